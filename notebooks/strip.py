"""Take out of notebooks what running them leaves behind: outputs, counts, a front end's metadata.

    python notebooks/strip.py notebooks/*.ipynb             # `make strip`
    python notebooks/strip.py --check notebooks/*.ipynb     # says which are not clean; exit 1 if any is

Ids of cells stay, so that a change shows as a change of that cell. It needs nbformat, which the lock file pins.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""All that a notebook needs to say of itself; the rest differs from machine to machine."""


def stripped(text: str) -> str:
    """The notebook without what a run leaves behind.

    Args:
        text: A notebook of format 4.5, as JSON.

    Raises:
        nbformat.ValidationError: It is none.
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
    """Strip the named files, or say which need it."""
    check = "--check" in arguments
    unclean = 0
    for path in [Path(one) for one in arguments if one != "--check"]:
        text = path.read_text(encoding="utf-8")
        clean = stripped(text)
        if clean == text:
            continue
        unclean += 1
        print(f"{path} {'holds what a run has left: make strip' if check else 'stripped'}")
        if not check:
            path.write_text(clean, encoding="utf-8")
    return 1 if check and unclean else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
