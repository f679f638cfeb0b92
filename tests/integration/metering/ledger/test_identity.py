"""I5: a ledger that was copied, moved by hand, or is another's is refused; one of an earlier version is not."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from automatum.core.errors import ConfigurationError, DestinationError
from automatum.metering.ledger.entries import Outcome
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.ledger.location import Owner
from tests.support.clocks import FakeClock
from tests.support.metering_lines import make_line
from tests.support.postgres import postgres, running  # noqa: F401  a fixture

OURS = Owner("api.example.com", "acme")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledgers" / "marketplace.sqlite"


def open_(path, owner=OURS, begin=False):
    return Ledger.open(f"sqlite:///{path}", FakeClock(), owner, begin=begin, write=True)


def send(ledger, *lines):
    with ledger.run("u", lines, "ann") as run:
        run.answer(run.claim("body", lines), {line.id: Outcome("accepted") for line in lines})
        run.end(complete=True)


@pytest.fixture
def made(path):
    """A closed ledger with an accepted line."""
    with open_(path, begin=True) as ledger:
        send(ledger, make_line())
    return path


def killed(path, mode="DELETE"):
    """The files as a process leaves them that is killed while it writes, of a later transaction (or after it)."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("PRAGMA cache_size = 1")  # so that it writes before it commits
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE metering_lines SET error = hex(randomblob(20000))")
        if mode == "WAL":
            connection.commit()
        left = {file: file.read_bytes() for file in path.parent.glob(path.name + "-*")} | {path: path.read_bytes()}
        connection.rollback()
    for file, content in left.items():
        file.write_bytes(content)
    assert Path(f"{path}-{'wal' if mode == 'WAL' else 'journal'}").stat().st_size


def refused(path, owner=OURS):
    before = path.read_bytes()
    with pytest.raises(ConfigurationError) as caught:
        open_(path, owner)
    assert caught.value.next_step
    assert path.read_bytes() == before
    return str(caught.value)


def error_of(path):
    with open_(path) as ledger:
        (entry,) = ledger.entries()
    assert entry.state == "accepted"
    return entry.error


def test_what_a_killed_process_had_not_committed_is_undone(made):
    killed(made)
    assert error_of(made) == ""
    assert not list(made.parent.glob("*-journal"))


def test_a_ledger_with_the_log_of_an_earlier_version_keeps_what_was_committed(made):
    killed(made, "WAL")
    assert len(error_of(made)) == 40000
    assert not list(made.parent.glob("*-wal"))


def test_a_file_that_was_moved_whole_is_the_ledger(made, tmp_path):
    there = tmp_path / "moved.sqlite"
    made.rename(there)
    for _ in range(2):
        with open_(there) as ledger:
            assert ledger.counts()["accepted"] == 1


def test_a_copy_is_refused(made, tmp_path):
    there = tmp_path / "copy.sqlite"
    shutil.copyfile(made, there)
    assert "is a copy of the ledger" in refused(there)
    open_(made).close()


def test_an_older_copy_in_the_same_place_is_refused(made):
    old = made.read_bytes()
    with open_(made) as ledger:
        send(ledger, make_line(1))
    made.write_bytes(old)  # the same inode
    assert "is older than the ledger that was here" in refused(made)


@pytest.mark.parametrize(
    "other, says",
    [
        (Owner("api.example.org", "acme"), "of the API api.example.com"),
        (Owner("api.example.com", "globex"), "of the organization acme"),
        (Owner("api.example.com"), "of the organization acme"),
    ],
)
def test_the_ledger_of_another_is_refused(made, other, says):
    assert says in refused(made, other)


def test_the_file_of_another_user_is_refused(made, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    assert "belongs to another user" in refused(made)


def test_a_new_ledger_is_not_begun_where_one_was(made):
    made.unlink()
    with pytest.raises(ConfigurationError, match=r"there was a ledger at .* names the call"):
        open_(made, begin=True)
    with open_(made) as ledger, pytest.raises(ConfigurationError, match="there was a ledger at"):
        ledger.require()


def test_a_failing_disk_is_not_a_damaged_ledger(made):
    with open_(made) as ledger:
        error = OperationalError("", None, sqlite3.OperationalError("disk I/O error"))
        with pytest.raises(DestinationError, match="Run again") as caught, ledger.translate_errors():
            raise error
    assert "damaged" not in str(caught.value)


def test_one_ledger_has_one_set_of_locks_under_every_name(made, tmp_path):
    link = tmp_path / "link.sqlite"
    link.symlink_to(made)
    with open_(link) as ledger:
        assert ledger.location == str(made)


@pytest.mark.parametrize("url", ["sqlite:///ledger.sqlite", "sqlite:///./ledger.sqlite", "sqlite:///data/../l.sqlite"])
def test_a_relative_path_is_refused(url):
    with pytest.raises(ConfigurationError, match="relative path") as caught:
        Ledger.open(url, FakeClock(), begin=True, write=True)
    assert str(Path.cwd()) in caught.value.next_step and "four slashes" in caught.value.next_step
    assert list(Path().iterdir()) == []


def test_no_connection_is_left_open_by_a_refusal(made):
    refused(made, Owner("api.example.org"))
    with closing(sqlite3.connect(made, timeout=0)) as connection:
        connection.execute("BEGIN EXCLUSIVE")


def test_schemas_of_one_postgres_database_are_ledgers_of_their_own(postgres):  # noqa: F811
    """The note of the last call in one of them is not that of another."""
    for name in ("acme", "globex"):
        running().execute(f"CREATE SCHEMA {name}", postgres.rpartition("/")[2])
        url = f"{postgres}?options=-csearch_path%3D{name}"
        for begin in (True, False):
            owner = Owner("api.example.com", name)
            with Ledger.open(url, FakeClock(), owner, begin=begin, write=True) as ledger:
                send(ledger, make_line(begin))
                assert ledger.location.endswith(f"?options=-csearch_path%3D{name}")
                assert "postgres:" not in ledger.location
