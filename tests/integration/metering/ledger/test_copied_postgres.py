"""I5: a ledger in Postgres that was dumped and restored is a copy, and both would bill what the other has billed."""

import pytest
from automatum.metering.ledger.identity import Owner, _is_same_place, place_id
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.ledger.transfer import adopt_ledger, move_ledger

from automatum.core.errors import ConfigurationError
from tests.support.clocks import FakeClock
from tests.support.metering_lines import make_line
from tests.support.postgres import postgres, running  # noqa: F401  the fixture

OURS = Owner("api.example.com")


def open_(url, create=False, owner=OURS):
    return Ledger.open(url, FakeClock(), create=create, owner=owner)


def send(url, line):
    with open_(url) as ledger, ledger.run() as run:
        run.plan([line])
        run.settle(run.claim("body", [line]), "accepted")


@pytest.fixture
def made(postgres):  # noqa: F811
    """URL of a ledger with an accepted line."""
    with open_(postgres, create=True):
        pass
    send(postgres, make_line())
    return postgres


@pytest.fixture
def copy(made):
    """URL of a database with the same tables and rows."""
    server, name = running(), "copy_of_ledger"
    server.execute(f"CREATE DATABASE {name} TEMPLATE {made.rpartition('/')[2]}")
    yield server.url(name)
    server.drop(name)


def test_a_copy_in_another_database_is_refused_until_it_is_adopted(made, copy):
    with pytest.raises(ConfigurationError, match=r"is a copy of a ledger in another database.*ledger adopt --confirm"):
        open_(copy)
    send(made, make_line(1))  # the original goes on
    adopt_ledger(copy, FakeClock(), OURS)
    send(copy, make_line(2))
    send(copy, make_line(3))


def test_tables_that_were_restored_into_the_same_database_are_refused(made):
    server, name = running(), made.rpartition("/")[2]
    server.execute("CREATE TABLE kept (LIKE metering_identity INCLUDING ALL)", name)
    server.execute("INSERT INTO kept SELECT * FROM metering_identity", name)
    server.execute("DROP TABLE metering_identity", name)
    server.execute("ALTER TABLE kept RENAME TO metering_identity", name)
    with pytest.raises(ConfigurationError, match="is a copy of a ledger in another database"):
        open_(made)


def test_a_ledger_of_a_version_without_ids_takes_those_of_its_database(made, copy):
    running().execute("UPDATE metering_identity SET inode = NULL", copy.rpartition("/")[2])
    send(copy, make_line(1))
    send(copy, make_line(2))


def test_a_ledger_that_was_moved_to_postgres_and_back_is_used(made, tmp_path):
    there = f"sqlite:///{tmp_path}/ledger.sqlite"
    with open_(made) as ledger:
        move_ledger(ledger, there, FakeClock(), OURS)
    send(there, make_line(1))


def test_a_user_who_may_not_ask_for_the_id_of_the_server_is_compared_by_the_rest(made):
    with open_(made) as ledger, ledger.database.read() as connection:
        found = place_id(connection, None)
    kind, server, database, relation = found.split(":")
    assert kind == "postgres" and server.isdigit()
    assert _is_same_place(found, f"postgres:-:{database}:{relation}")
    assert _is_same_place(None, found)
    assert not _is_same_place(f"postgres:-:{database}:1", found)
    assert not _is_same_place(f"postgres:1:{database}:{relation}", found)
