"""The database of the ledger: a SQLite file or Postgres; durable, and never replaced by an empty one."""

import os
import sqlite3
import stat
import traceback
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from automatum.core.errors import ConfigurationError, DestinationError
from automatum.core.redaction import redact
from automatum.metering.ledger.engines import sqlite_engine
from automatum.metering.ledger.entries import Outcome
from automatum.metering.ledger.ledger import Ledger
from tests.support.clocks import FakeClock
from tests.support.loopback import closed_port
from tests.support.metering_lines import make_line
from tests.support.postgres import PASSWORD, running


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledgers" / "marketplace.sqlite"


@pytest.fixture
def made(path, clock):
    """A SQLite ledger with an accepted line, closed."""
    with Ledger.open(f"sqlite:///{path}", clock, begin=True, write=True) as ledger:
        send(ledger, make_line())
    return path


def send(ledger, *lines):
    with ledger.run("u", lines, "ann") as run:
        run.answer(run.claim("body", lines), {line.id: Outcome("accepted") for line in lines})
        run.end(complete=True)


def refused(path, write=True):
    with pytest.raises(ConfigurationError) as caught:
        Ledger.open(f"sqlite:///{path}", FakeClock(), begin=write, write=write)
    assert caught.value.next_step
    return str(caught.value)


def test_the_file_is_its_owners_and_every_commit_waits_for_the_disk(path, clock):
    previous = os.umask(0)
    try:
        ledger = Ledger.open(f"sqlite:///{path}", clock, begin=True, write=True)
        with ledger.run("u", [make_line()], "ann") as run:
            run.claim("body", [make_line()])
            assert [file.name for file in path.parent.glob("*.sqlite*")] == [path.name, f"{path.name}.locks"]
            for file in path.parent.glob("*.sqlite*"):
                assert not stat.S_IMODE(file.stat().st_mode) & 0o077, file
    finally:
        os.umask(previous)
    with ledger.write() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "delete"
        assert connection.scalar(text("PRAGMA synchronous")) == 3
        # Others cannot write meanwhile, from the first statement on.
        other = sqlite3.connect(path, timeout=0)
        with closing(other), pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    ledger.close()


def test_postgres_answers_when_its_disk_has_answered(postgres, clock):
    running().execute(f"ALTER DATABASE {postgres.rsplit('/', 1)[1]} SET synchronous_commit = off")
    with Ledger.open(postgres, clock, begin=True, write=True) as ledger, ledger.write() as connection:
        assert connection.scalar(text("SHOW synchronous_commit")) == "on"


@pytest.mark.parametrize("write", [True, False])
def test_a_damaged_file_is_refused(made, write):
    content = made.read_bytes()
    for name, spoilt in {
        "no database": b"not a database" * 100,
        "cut": content[: len(content) // 2],
        **{
            f"page {at // 4096}": content[:at] + bytes(4096) + content[at + 4096 :]
            for at in range(0, len(content), 4096)
        },
    }.items():
        made.write_bytes(spoilt)
        said = refused(made, write)
        assert "damaged" in said or "no ledger" in said, (name, said)
        assert made.read_bytes() == spoilt, f"{name}: it was written to"


def test_a_file_that_is_refused_is_closed_at_once(path):
    """SQLAlchemy 2.0 leaves a connection open whose set-up fails; 2.1 closes it."""
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 100)
    engine = sqlite_engine(path)
    with pytest.raises(DBAPIError, match="not a database"):
        engine.connect()
    opened = [os.path.realpath(one) for one in Path("/proc/self/fd").iterdir()]
    assert str(path) not in opened


@pytest.mark.parametrize("write", [True, False])
def test_an_empty_file_is_no_empty_ledger(path, write):
    path.parent.mkdir()
    path.touch()
    assert "is empty, or the database" in refused(path, write)
    path.unlink()
    path.mkdir()
    assert "no plain file" in refused(path, write)


def test_a_file_that_vanishes_does_not_come_back_empty(made, clock):
    ledger = Ledger.open(f"sqlite:///{made}", clock, write=True)
    ledger.close()
    made.unlink()
    with pytest.raises(ConfigurationError):
        ledger.counts()
    assert not made.exists()


def test_another_programs_database_is_refused(path):
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    assert "another program" in refused(path)


@pytest.mark.parametrize(
    "statement, says",
    [
        ("UPDATE metering_schema SET version = 99", "later version"),
        ("UPDATE metering_schema SET version = 5", "early checkout .its tables are version 5."),
        ("DELETE FROM metering_schema", "incomplete ledger"),
        ("DROP TABLE metering_attempts", "missing tables: metering_attempts"),
        ("DROP TABLE metering_schema", "missing tables: metering_schema"),
        ("DELETE FROM metering_lines", "metering_lines is empty, and metering_attempts has the line"),
    ],
)
@pytest.mark.parametrize("write", [True, False])
def test_a_ledger_that_is_not_ours_to_read_is_refused(open_ledger, ledger_url, statement, says, write):
    with open_ledger() as ledger:
        with ledger.run("usage.csv", [make_line()], "ann") as run:
            run.claim("body", [make_line()])
            run.end(complete=True)
        with ledger.write() as connection:
            connection.execute(text(statement))
    with pytest.raises(ConfigurationError, match=says) as caught:
        Ledger.open(ledger_url, FakeClock(), begin=write, write=write)
    assert caught.value.next_step


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?uri=true",
        "mysql://u:hunter2secret@h/d",
        "duckdb:///x",
        "::",
    ],
)
def test_other_databases_are_refused(url):
    with pytest.raises(ConfigurationError) as caught:
        Ledger.open(url, FakeClock(), begin=True, write=True)
    assert "hunter2secret" not in str(caught.value) and "ledger_url" in str(caught.value)
    assert list(Path().iterdir()) == []


def test_a_folder_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "file").touch()
    assert "cannot be created" in refused(tmp_path / "file" / "ledger.sqlite")


@pytest.mark.parametrize("wrong", ["password", "port", "database"])
def test_a_password_is_never_shown(wrong, clock):
    """I6."""
    server = running()
    secret = "not/the:right?one" if wrong == "password" else PASSWORD
    port = closed_port() if wrong == "port" else server.port
    name = "nowhere" if wrong == "database" else "postgres"
    written = secret.replace("/", "%2F").replace(":", "%3A").replace("?", "%3F")
    with pytest.raises(DestinationError) as caught:
        Ledger.open(f"postgresql://postgres:{written}@127.0.0.1:{port}/{name}", clock, begin=True, write=True)
    shown = str(caught.value) + repr(caught.value) + str(caught.value.to_json())
    assert secret not in shown and written not in shown
    assert f"127.0.0.1:{port}/{name}" in shown and caught.value.next_step
    assert caught.value.__suppress_context__
    assert redact(f"{secret} {quote(secret, safe='')}") == "*** ***", "nor will a log show it"


def test_errors_contain_no_data_of_customers(ledger):
    """I6: the error of a failing statement contains no values."""
    with pytest.raises((ConfigurationError, DestinationError)) as caught, ledger.write() as connection:
        connection.execute(text("SELECT :who FROM nowhere"), {"who": "customer-secret"})
    assert "customer-secret" not in "".join(traceback.format_exception(caught.value))


def test_a_ledger_moves_with_its_file(made, tmp_path, clock):
    there = tmp_path / "elsewhere.sqlite"
    made.rename(there)
    with Ledger.open(f"sqlite:///{there}", clock) as ledger:
        assert [entry.state for entry in ledger.entries()] == ["accepted"]
