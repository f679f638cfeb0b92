"""A ledger of each released version is upgraded once; what it may have billed is never sent again (I5).

The fixtures are dumps of ledgers that the code of those versions wrote, with a line in each state that it had.
"""

import contextlib
import re
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from automatum.core.errors import ConfigurationError
from automatum.metering.ledger import upgrade
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.ledger.location import Owner
from tests.support.clocks import FakeClock
from tests.support.metering_lines import START, make_like, make_line, missing
from tests.support.postgres import running

OURS = Owner("api.example.com", "acme")
VERSIONS = range(1, 6)
FIXTURES = Path(__file__).parents[3] / "fixtures" / "ledgers"
HOURS = {
    1: "accepted rejected expired conflict unknown",
    2: "accepted rejected expired conflict unknown writeoff",
    3: "accepted confirmed rejected expired conflict unknown writeoff",
    4: "accepted confirmed rejected expired conflict unknown writeoff canceled",
    5: "accepted confirmed rejected expired conflict unknown writeoff canceled carried",
}
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


def load(url, version):
    """Write the ledger of a version to the database, as it was written there."""
    dump = (FIXTURES / f"version-{version}.sql").read_text()
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.executescript(dump)
            if version > 1:
                inode = str(path.stat().st_ino)
                connection.execute("UPDATE metering_identity SET inode = ?, path = ?", (inode, str(path)))
                connection.commit()
        return
    dump = re.sub(r"^(BEGIN TRANSACTION|COMMIT);$", "", dump, flags=re.MULTILINE)
    dump = re.sub(r"\b(\w+_at) TEXT", r"\1 TIMESTAMP WITH TIME ZONE", dump)
    name = url.rpartition("/")[2]
    running().execute(dump, name)
    if version > 1:
        running().execute("UPDATE metering_identity SET inode = NULL, path = NULL", name)


@pytest.fixture(params=VERSIONS)
def version(request):
    return request.param


@pytest.fixture
def upgraded(ledger_url, version):
    load(ledger_url, version)
    with Ledger.open(ledger_url, FakeClock(), OURS, write=True) as ledger:
        yield ledger


def test_each_line_keeps_what_is_known_of_it(upgraded, version):
    entries = {int((entry.line.starts_at - START) / timedelta(hours=1)): entry for entry in upgraded.entries()}
    by_hour = [entries[hour] for hour in sorted(entries)]
    names = [(entry.state, entry.why) for entry in by_hour]
    for name in HOURS[version].split():
        assert STATES[name] in names, name
    conflict = next(entry for entry in by_hour if entry.why == "differs")
    assert conflict.line.units == conflict.accepted_units + 1
    assert (entries[20].state, entries[20].why) == ("settled", "never") and entries[20].open_units == 2
    assert (entries[21].state, entries[21].why) == ("conflict", "refused by the marketplace")
    assert (entries[22].state, entries[22].why) == ("unbilled", "rejected")
    assert upgraded.counts()["sending"] == 1
    assert all(entry.source == "" for entry in by_hour)
    if version == 5:
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


def test_what_was_only_planned_is_an_open_item_until_it_is_pushed(upgraded, version):
    (item,) = upgraded.items(kinds=["run"], open_only=True)
    assert item.reason == upgrade.PLANNED and item.source == ("usage.csv" if version > 3 else "")
    (left,) = missing(upgraded, item.id)
    line = make_line(0, units="10")
    assert left == line.id
    with upgraded.run("usage.csv", [line], "ann") as run:
        run.claim("body", [line])
        run.end(complete=True)
    assert not list(upgraded.items(kinds=["run"], open_only=True))


def test_events_refusals_and_decisions_are_in_the_journal(upgraded, version):
    kinds = [item.kind for item in upgraded.items()]
    assert "event" in kinds and all(item.closed_at for item in upgraded.items(kinds=["event"]))
    assert ("decision" in kinds) == (version >= 3)
    (refusal,) = upgraded.items(kinds=["refusal"]) if version >= 4 else (None,)
    if refusal:
        assert refusal.closed_at is None and refusal.data["about"]["units"] == "many"


def test_it_is_upgraded_once_and_an_earlier_release_refuses_it(ledger_url, version):
    load(ledger_url, version)
    seen = set()
    for _ in range(2):
        with Ledger.open(ledger_url, FakeClock(), OURS, write=True) as ledger, ledger.read() as connection:
            columns = "version, ledger_id, api, organization"
            seen.add(tuple(connection.execute(text(f"SELECT {columns} FROM metering_schema")).one()))
            seen.add(tuple(sorted(ledger.counts().items())))
    assert len(seen) == 2
    ((_, _, *owner),) = [row for row in seen if row[0] == 6]
    assert owner == ["api.example.com", "acme"]


def test_the_old_file_is_kept_beside(tmp_path, version):
    path = tmp_path / "ledger.sqlite"
    load(f"sqlite:///{path}", version)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        before = list(connection.iterdump())
    Ledger.open(f"sqlite:///{path}", FakeClock(), OURS).close()
    kept = tmp_path / f"ledger.sqlite.v{version}"
    with contextlib.closing(sqlite3.connect(kept)) as connection:
        assert list(connection.iterdump()) == before
    assert not kept.stat().st_mode & 0o077


@pytest.mark.parametrize("at", [0, 7])
def test_a_kill_during_the_upgrade_leaves_the_old_ledger(ledger_url, version, at, monkeypatch):
    """An upgrade is one transaction: whatever ends it, the next one begins with the ledger as it was."""
    load(ledger_url, version)
    original, calls = upgrade.to_row, iter(range(100))

    def fail(entry):
        if next(calls) == at:
            raise KeyboardInterrupt
        return original(entry)

    monkeypatch.setattr(upgrade, "to_row", fail)
    with contextlib.suppress(KeyboardInterrupt):
        Ledger.open(ledger_url, FakeClock(), OURS).close()
    monkeypatch.undo()
    with Ledger.open(ledger_url, FakeClock(), OURS, write=True) as ledger:
        assert sum(ledger.counts().values()) >= 8


@pytest.mark.parametrize("version", [2, 5])
def test_a_copy_stays_a_copy(ledger_url, version):
    load(ledger_url, version)
    if ledger_url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(ledger_url.removeprefix("sqlite:///"))) as connection:
            connection.execute("UPDATE metering_identity SET inode = '1'")
            connection.commit()
    else:
        running().execute("UPDATE metering_identity SET inode = 'postgres:-:1:1'", ledger_url.rpartition("/")[2])
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="is a copy of"):
            Ledger.open(ledger_url, FakeClock(), OURS)


def test_a_ledger_that_was_moved_by_an_earlier_version_stays_refused(tmp_path):
    path = tmp_path / "ledger.sqlite"
    load(f"sqlite:///{path}", 5)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE metering_identity SET moved_to = 'postgresql://there/ledger'")
        connection.commit()
    with pytest.raises(ConfigurationError, match="a copy, or a backup, of the ledger postgresql://there/ledger"):
        Ledger.open(f"sqlite:///{path}", FakeClock(), OURS)
