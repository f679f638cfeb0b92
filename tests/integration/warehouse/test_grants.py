"""The grants of docs/secrets.md: with them a sync works, and each role can do what the document says and no more."""

import contextlib
import re

import psycopg2
import pytest

from tests.support import ROOT
from tests.support.desk import SMALL
from tests.support.postgres import running

pytestmark = pytest.mark.slow


def statements(database):
    """The SQL blocks of the document, for this database and the roles of this test."""
    text = (ROOT / "docs/secrets.md").read_text()
    blocks = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    return [block.replace("warehouse", database).replace("automatum_", f"{database}_") for block in blocks]


@pytest.fixture
def roles():
    """A new database, and the names of its two roles."""
    server = running()
    name = server.new_database()
    yield name
    server.drop(name)
    for role in ("loader", "reader"):
        server.execute(f"DROP ROLE IF EXISTS {name}_{role}")


def connect(name, role):
    server = running()
    password = {"loader": "change-me-1", "reader": "change-me-2"}[role]
    connection = psycopg2.connect(
        host="127.0.0.1", port=server.port, dbname=name, user=f"{name}_{role}", password=password
    )
    connection.autocommit = True
    return contextlib.closing(connection)


def run(name, role, statement):
    with connect(name, role) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else None


def test_loader_and_reader_can_do_what_the_document_says_and_no_more(roles, start, desk, monkeypatch):
    """Two syncs as the loader, the second without the right to create schemas; new tables are readable, too."""
    make, revoke, grant = statements(roles)
    server = running()
    # The schemas' names begin with the dataset, which stays what it is.
    grant = grant.replace(f"SCHEMA {roles}_", "SCHEMA automatum_")
    server.execute(make)
    url = f"postgresql://{roles}_loader:change-me-1@127.0.0.1:{server.port}/{roles}"
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)
    served = start(**SMALL)
    desk.use(served)
    assert desk.sync("customers", "--destination", "postgres").code == 0
    server.execute(revoke)
    run(roles, "loader", grant)
    served.sandbox.rows.insert("customers", count=2)
    assert desk.sync("--destination", "postgres").code == 0
    assert run(roles, "reader", "SELECT count(*) FROM automatum.customers") == [(SMALL["customers"] + 2,)]
    assert run(roles, "reader", "SELECT count(*) FROM automatum.entitlements") == [(SMALL["entitlements"],)]
    for forbidden in (
        "DELETE FROM automatum.customers",
        "CREATE TABLE automatum.mine (x int)",
        "CREATE SCHEMA mine",
        "SELECT * FROM automatum_staging.customers",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run(roles, "reader", forbidden)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        run(roles, "loader", "CREATE SCHEMA mine")
