"""Remove outputs, execution counts and front-end metadata from notebooks.

    python notebooks/strip.py notebooks/*.ipynb             # `make strip`
    python notebooks/strip.py --check notebooks/*.ipynb     # lists the notebooks to strip; exit 1 if any

Cell ids stay, so that a diff shows which cell changed. Needs nbformat, which the lock file pins.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""The metadata that a notebook keeps; the rest depends on the machine."""


def stripped(text: str) -> str:
    """The notebook without outputs, execution counts and front-end metadata.

    Args:
        text: A notebook of format 4.5, as JSON.

    Raises:
        nbformat.ValidationError: The text is not such a notebook.
    """
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
        cell.pop("attachments", None)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return nbformat.writes(notebook, version=4, indent=1).rstrip("\n") + "\n"


def main(arguments: list[str]) -> int:
    """Strip the given files, or list those that need it."""
    check = "--check" in arguments
    unclean = 0
    for path in [Path(name) for name in arguments if name != "--check"]:
        text = path.read_text(encoding="utf-8")
        clean = stripped(text)
        if clean == text:
            continue
        unclean += 1
        print(f"{path} {'has outputs or metadata of a run: run make strip' if check else 'stripped'}")
        if not check:
            path.write_text(clean, encoding="utf-8")
    return 1 if check and unclean else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
