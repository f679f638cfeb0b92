"""What each command imports: a budget on modules, because seconds depend on the machine.

A scheduler, a notebook and a person at a shell pay the imports at every start. Each command runs in a process of its
own, as a user starts it.
"""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "dlt",
    "duckdb",
    "filelock",
    "numpy",
    "orjson",
    "pandas",
    "pyarrow",
    "pendulum",
    "requests",
    "sqlalchemy",
    "starlette",
    "tomlkit",
    "yaml",
}
"""Packages of which none is imported without need; `import dlt` alone takes longer than the rest together."""
RUN = """
import atexit, json, sys
def tell():
    with open("imported.json", "w") as out:
        json.dump(sorted(sys.modules), out)
atexit.register(tell)
from automatum.__main__ import main
main()
"""


class Imported:
    """The modules that a command had imported at its end, and its exit code."""

    def __init__(self, folder, *arguments):
        done = subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, cwd=folder)
        self.code, self.stderr = done.returncode, done.stderr
        modules = json.loads((folder / "imported.json").read_text())
        self.heavy = {name.partition(".")[0] for name in modules} & HEAVY
        self.own = [name for name in modules if name.partition(".")[0] == "automatum"]


HELP = [("--help",), ("sync", "--help"), ("push", "--help"), ("push", "statement", "--help"), ("apps", "--help")]
WRONG = [("snyc",), ("sync", "--max-minutes", "soon"), ("push", "ledger", "copy")]


@pytest.mark.parametrize("arguments", [("--version",), *HELP], ids=" ".join)
def test_help_imports_no_work(desk, arguments):
    found = Imported(desk.folder, *arguments)
    assert found.code == 0
    assert found.heavy == {"orjson"}
    assert len(found.own) <= 40, found.own


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_wrong_arguments_are_refused_before_anything_is_imported(desk, arguments):
    found = Imported(desk.folder, *arguments)
    assert found.code == 2
    assert found.heavy == {"orjson"}
