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
    "pydantic",
    "pendulum",
    "requests",
    "sqlalchemy",
    "starlette",
    "tomlkit",
    "yaml",
}
"""Packages of which none is imported without need; `import dlt` alone takes longer than the rest together."""
RUN = """
import atexit, gc, json, sys
def collections():
    return [one["collections"] for one in gc.get_stats()]
def tell():
    done = [now - then for now, then in zip(collections(), before)]
    with open("imported.json", "w") as out:
        json.dump([sorted(sys.modules), done], out)
atexit.register(tell)
from automatum.__main__ import main
before = collections()
main()
"""


class Imported:
    """The modules that a command had imported at its end, its exit code, and its garbage collections by generation."""

    def __init__(self, folder, *arguments):
        done = subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, cwd=folder)
        self.code, self.says = done.returncode, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        modules, self.collections = json.loads((folder / "imported.json").read_text())
        self.heavy = {name.partition(".")[0] for name in modules} & HEAVY
        self.own = [name for name in modules if name.partition(".")[0] == "automatum"]


HELP = [("--help",), ("sync", "--help"), ("push", "--help"), ("push", "statement", "--help"), ("apps", "--help")]
WRONG = [("snyc",), ("sync", "--max-minutes", "soon"), ("push", "ledger", "backup")]


def test_the_version_imports_no_command(desk):
    found = Imported(desk.folder, "--version")
    assert (found.code, found.heavy) == (0, set())
    assert len(found.own) <= 9, found.own


@pytest.mark.parametrize("arguments", HELP, ids=" ".join)
def test_help_imports_no_work(desk, arguments):
    found = Imported(desk.folder, *arguments)
    assert found.code == 0
    assert found.heavy <= {"orjson", "pydantic"}
    assert len(found.own) <= 40, found.own


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_wrong_arguments_are_refused_before_anything_is_imported(desk, arguments):
    found = Imported(desk.folder, *arguments)
    assert found.code == 2
    assert found.heavy <= {"orjson", "pydantic"}


@pytest.mark.slow
def test_imports_are_not_searched_for_garbage(small, desk):
    assert Imported(desk.folder, "--help").collections == [0, 0, 0]
    assert desk.sync("customers").code == 0
    young, _, all_objects = Imported(desk.folder, "status").collections
    assert all_objects == 0
    assert 0 < young < 160, "dlt's modules alone make 150; what comes after them is searched"


CONFIGURED = {"dlt", "duckdb", "filelock", "orjson", "pendulum", "pydantic", "requests", "tomlkit", "yaml"}
"""What a command has that reads dlt's configuration and a DuckDB file: dlt imports all of these but filelock."""
ARROW = {"numpy", "pyarrow"}
READ = [("check",), ("sync", "customers", "--dry-run"), ("sync", "customers")]


@pytest.mark.slow
def test_what_moves_no_rows_imports_neither_arrow_nor_sqlalchemy(small, desk):
    """Unless there is a ledger: who only syncs does not wait for SQLAlchemy."""
    assert desk.sync("customers").code == 0
    for arguments in (("status",), ("push", "status"), ("status", "--verify"), ("apps", "list")):
        found = Imported(desk.folder, *arguments)
        assert found.code == 0, found.says
        assert found.heavy <= CONFIGURED, arguments
        assert len(found.own) <= 120, arguments


@pytest.mark.slow
@pytest.mark.parametrize("arguments", READ, ids=" ".join)
def test_a_sync_and_what_belongs_to_it_imports_neither_sqlalchemy_nor_pandas(small, desk, arguments):
    """dlt would import SQLAlchemy to write the path of a DuckDB file as a URL, and Arrow pandas if it is installed."""
    assert desk.sync("customers").code == 0
    found = Imported(desk.folder, *arguments)
    assert found.code == 0, found.says
    assert found.heavy <= CONFIGURED | ARROW
    assert len(found.own) <= 200


@pytest.mark.slow
def test_a_push_and_its_status_import_sqlalchemy_and_no_pandas(small, desk):
    (desk.folder / "usage.csv").write_text("customer_id,listing_id,dimension,units,price,usage_at,vendor\n")
    begun = Imported(desk.folder, "push", "--usage", "usage.csv", "--unchecked", "--new-ledger", "--confirm")
    assert begun.code == 0, begun.says
    assert "sqlalchemy" in begun.heavy and "pandas" not in begun.heavy
    found = Imported(desk.folder, "push", "status")
    assert found.code == 0, found.says
    assert found.heavy == (CONFIGURED - {"duckdb"}) | {"sqlalchemy"}
