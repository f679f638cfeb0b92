"""I5: a ledger in Postgres that was dumped and restored is a copy, and both would bill what the other has billed."""

import pytest

from automatum.core.errors import ConfigurationError
from automatum.metering.ledger.entries import Outcome
from automatum.metering.ledger.identity import is_same_place, place_of
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.ledger.location import Owner
from automatum.metering.ledger.transfer import adopt
from tests.support.clocks import FakeClock
from tests.support.metering_lines import make_line
from tests.support.postgres import postgres, running  # noqa: F401  the fixture

OURS = Owner("api.example.com")


def open_(url, begin=False, owner=OURS):
    return Ledger.open(url, FakeClock(), owner, begin=begin, write=True)


def send(url, line, begin=False):
    with open_(url, begin) as ledger, ledger.run("u", [line], "ann") as run:
        run.answer(run.claim("body", [line]), {line.id: Outcome("accepted")})
        run.end(complete=True)


@pytest.fixture
def made(postgres):  # noqa: F811
    """URL of a ledger with an accepted line."""
    send(postgres, make_line(), begin=True)
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
    adopt(copy, FakeClock(), OURS)
    send(copy, make_line(2))
    send(copy, make_line(3))


def test_tables_that_were_restored_into_the_same_database_are_refused(made):
    server, name = running(), made.rpartition("/")[2]
    server.execute("CREATE TABLE kept (LIKE metering_schema INCLUDING ALL)", name)
    server.execute("INSERT INTO kept SELECT * FROM metering_schema", name)
    server.execute("DROP TABLE metering_schema", name)
    server.execute("ALTER TABLE kept RENAME TO metering_schema", name)
    with pytest.raises(ConfigurationError, match="is a copy of a ledger in another database"):
        open_(made)


def test_a_ledger_of_a_version_without_ids_takes_those_of_its_database(made, copy):
    running().execute("UPDATE metering_schema SET place = NULL", copy.rpartition("/")[2])
    send(copy, make_line(1))
    send(copy, make_line(2))


def test_a_user_who_may_not_ask_for_the_id_of_the_server_is_compared_by_the_rest(made):
    with open_(made) as ledger, ledger.read() as connection:
        found = place_of(connection, None)
    kind, server, database, relation = found.split(":")
    assert kind == "postgres" and server.isdigit()
    assert is_same_place(found, f"postgres:-:{database}:{relation}")
    assert is_same_place(None, found)
    assert not is_same_place(f"postgres:-:{database}:1", found)
    assert not is_same_place(f"postgres:1:{database}:{relation}", found)
