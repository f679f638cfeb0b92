"""A ledger of version 5 is upgraded once; what it may have billed is never sent again (I5). Earlier ones are refused.

The fixture is the dump of a ledger that the code of that version wrote, with a line in each state that it had.
"""

import contextlib
import re
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from automatum.core.errors import ConfigurationError
from automatum.metering.ledger import upgrade
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.ledger.location import Owner
from tests.support.clocks import FakeClock
from tests.support.metering_lines import START, make_like, make_line, missing
from tests.support.postgres import running

OURS = Owner("api.example.com", "acme")
FIXTURE = Path(__file__).parents[3] / "fixtures" / "ledgers" / "version-5.sql"
STATES = {
    "accepted": ("accepted", ""),
    "confirmed": ("confirmed", ""),
    "rejected": ("unbilled", "rejected"),
    "expired": ("unbilled", "expired"),
    "canceled": ("unbilled", "rejected"),
    "conflict": ("conflict", "differs"),
    "unknown": ("unknown", ""),
    "writeoff": ("settled", "never"),
    "carried": ("unbilled", "expired"),  # The fixture's has no line that bills it.
}


def load(url):
    """Write the ledger of version 5 to the database, as it was written there."""
    dump = FIXTURE.read_text()
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.executescript(dump)
        change(path, inode=str(path.stat().st_ino), path=str(path))
        return
    dump = re.sub(r"^(BEGIN TRANSACTION|COMMIT);$", "", dump, flags=re.MULTILINE)
    dump = re.sub(r"\b(\w+_at) TEXT", r"\1 TIMESTAMP WITH TIME ZONE", dump)
    name = url.rpartition("/")[2]
    running().execute(dump, name)
    running().execute("UPDATE metering_identity SET inode = NULL, path = NULL", name)


def change(file, **identity):
    """Change what the earlier ledger in a file says of itself."""
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        for name, value in identity.items():
            connection.execute(f"UPDATE metering_identity SET {name} = ?", (value,))


@pytest.fixture
def earlier(ledger_url):
    """URL of a ledger of version 5."""
    load(ledger_url)
    return ledger_url


@pytest.fixture
def upgraded(earlier):
    with Ledger.open(earlier, FakeClock(), OURS, write=True) as ledger:
        yield ledger


def test_each_line_keeps_what_is_known_of_it(upgraded):
    entries = {int((entry.line.starts_at - START) / timedelta(hours=1)): entry for entry in upgraded.entries()}
    by_hour = [entries[hour] for hour in sorted(entries)]
    names = [(entry.state, entry.why) for entry in by_hour]
    for name, state in STATES.items():
        assert state in names, name
    conflict = next(entry for entry in by_hour if entry.why == "differs")
    assert conflict.line.units == conflict.accepted_units + 1
    assert (entries[20].state, entries[20].why) == ("settled", "never") and entries[20].open_units == 2
    assert (entries[21].state, entries[21].why) == ("conflict", "refused by the marketplace")
    assert (entries[22].state, entries[22].why) == ("unbilled", "rejected")
    assert upgraded.counts()["sending"] == 1
    assert all(entry.source == "" for entry in by_hour)
    assert (entries[23].state, entries[23].why, entries[23].open_units) == ("settled", "carried", 0)
    assert (entries[24].state, entries[24].why, entries[24].open_units) == ("settled", "carried", 0)


def test_what_may_have_been_billed_is_never_sent_again(upgraded):
    entries = list(upgraded.entries())
    lines = [make_like(entry.line, units=entry.line.units) for entry in entries]
    kept = {entry.id for entry in entries if entry.state != "unbilled"}
    days = {entry.line.day for entry in entries if entry.id in kept}
    with upgraded.run("u", [], "ann") as run:
        assert run.claim("body", lines) is None
        for day in days:
            hour = make_line(24 * (day.day - 20), grain="day")
            assert run.claim("body", [hour]) is None, "a day that contains such an hour"
        claimed = run.claim("body", lines, again={line.id for line in lines})
        assert {line.id for line in claimed.lines}.isdisjoint(kept)
        run.end(complete=True)


def test_what_was_only_planned_is_an_open_item_until_it_is_pushed(upgraded):
    (item,) = upgraded.items(kinds=["run"], open_only=True)
    assert item.reason == upgrade.PLANNED and item.source == "usage.csv"
    (left,) = missing(upgraded, item.id)
    line = make_line(0, units="10")
    assert left == line.id
    with upgraded.run("usage.csv", [line], "ann") as run:
        run.claim("body", [line])
        run.end(complete=True)
    assert not list(upgraded.items(kinds=["run"], open_only=True))


def test_events_refusals_and_decisions_are_in_the_journal(upgraded):
    kinds = [item.kind for item in upgraded.items()]
    assert "decision" in kinds
    events = list(upgraded.items(kinds=["event"]))
    assert events and all(item.closed_at for item in events)
    (refusal,) = upgraded.items(kinds=["refusal"])
    assert refusal.closed_at is None and refusal.data["about"]["units"] == "many"


def test_it_is_upgraded_once(earlier):
    seen = set()
    for _ in range(2):
        with Ledger.open(earlier, FakeClock(), OURS, write=True) as ledger:
            meta = ledger.meta()
            seen.add((meta["version"], meta["ledger_id"], meta["api"], meta["organization"]))
            seen.add(tuple(sorted(ledger.counts().items())))
    assert len(seen) == 2
    ((_, _, *owner),) = [row for row in seen if row[0] == 6]
    assert owner == ["api.example.com", "acme"]


@pytest.mark.parametrize("version", [1, 4])
def test_a_ledger_of_an_earlier_version_is_refused_with_the_way_to_upgrade_it(tmp_path, version):
    with contextlib.closing(sqlite3.connect(tmp_path / "l.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE metering_schema (version INTEGER)")
        connection.execute("INSERT INTO metering_schema VALUES (?)", (version,))
    with pytest.raises(ConfigurationError, match=f"early checkout .its tables are version {version}.") as caught:
        Ledger.open(f"sqlite:///{tmp_path}/l.sqlite", FakeClock(), OURS, begin=True, write=True)
    assert "which upgrades it" in caught.value.next_step


def test_the_old_file_is_kept_beside(tmp_path):
    path = tmp_path / "ledger.sqlite"
    load(f"sqlite:///{path}")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        before = list(connection.iterdump())
    Ledger.open(f"sqlite:///{path}", FakeClock(), OURS).close()
    kept = tmp_path / "ledger.sqlite.v5"
    with contextlib.closing(sqlite3.connect(kept)) as connection:
        assert list(connection.iterdump()) == before
    assert not kept.stat().st_mode & 0o077


@pytest.mark.parametrize("at", [0, 7])
def test_a_kill_during_the_upgrade_leaves_the_old_ledger(earlier, at, monkeypatch):
    """An upgrade is one transaction: whatever ends it, the next one begins with the ledger as it was."""
    original, calls = upgrade.to_row, iter(range(100))

    def fail(entry):
        if next(calls) == at:
            raise KeyboardInterrupt
        return original(entry)

    monkeypatch.setattr(upgrade, "to_row", fail)
    with pytest.raises(KeyboardInterrupt):
        Ledger.open(earlier, FakeClock(), OURS).close()
    monkeypatch.undo()
    with Ledger.open(earlier, FakeClock(), OURS, write=True) as ledger:
        assert sum(ledger.counts().values()) >= 8


def test_a_copy_stays_a_copy(earlier):
    if earlier.startswith("sqlite"):
        change(earlier.removeprefix("sqlite:///"), inode="1")
    else:
        running().execute("UPDATE metering_identity SET inode = 'postgres:-:1:1'", earlier.rpartition("/")[2])
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="is a copy of"):
            Ledger.open(earlier, FakeClock(), OURS)


def test_a_ledger_that_was_moved_by_an_earlier_version_stays_refused(tmp_path):
    path = tmp_path / "ledger.sqlite"
    load(f"sqlite:///{path}")
    change(path, moved_to="postgresql://there/ledger")
    with pytest.raises(ConfigurationError, match="a copy, or a backup, of the ledger postgresql://there/ledger"):
        Ledger.open(f"sqlite:///{path}", FakeClock(), OURS)
