"""The public names of the package, and the files that may import no others."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import automatum

ROOT = Path(__file__).parents[2]
FILES = [
    *sorted((ROOT / "pipelines").rglob("*.py")),
    *sorted((ROOT / "notebooks").glob("*.ipynb")),
    ROOT / "sources" / "automatum_pipeline.py",
]


def code_of(path):
    if path.suffix == ".py":
        return path.read_text()
    cells = json.loads(path.read_text())["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def public_names_in(path):
    """Names of the package that a file uses, each with its module."""
    for node in ast.walk(ast.parse(code_of(path))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "automatum":
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names if alias.name.split(".")[0] == "automatum")
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "automatum":
            yield "automatum", node.attr


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_scripts_notebooks_and_dags_use_public_names_only(path):
    found = set(public_names_in(path))
    assert found
    assert {module for module, _ in found} == {"automatum"}
    assert {name for _, name in found if name} <= set(automatum.__all__)


def test_every_public_name_can_be_imported():
    assert sorted(automatum.__all__) == sorted(automatum._MODULES)
    for name in automatum.__all__:
        assert getattr(automatum, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = automatum.nothing


def test_the_package_imports_nothing_before_a_name_is_used():
    """dlt alone takes half a second to import."""
    code = "import sys, automatum; print({name.split('.')[0] for name in sys.modules} & {'dlt', 'duckdb', 'pyarrow'})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
