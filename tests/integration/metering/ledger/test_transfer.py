"""I5: backup, restore and adopt. A failure leaves nothing behind, and no two ledgers bill the same (M1, O1)."""

from pathlib import Path

import pytest

from automatum.core.errors import ConfigurationError
from automatum.metering.ledger import transfer
from automatum.metering.ledger.entries import Outcome
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.ledger.location import Owner
from automatum.metering.ledger.tables import CONTENT
from tests.support.clocks import FakeClock
from tests.support.metering_lines import make_like, make_line

OURS = Owner("api.example.com", "acme")
LINES = [make_line(hour) for hour in range(4)]


def open_(url, **more):
    return Ledger.open(url, FakeClock(), OURS, **more)


def send(run, lines, state="accepted"):
    attempt = run.claim("body", lines)
    run.answer(attempt, {line.id: Outcome(state) for line in lines}, status_code=202, reference=f"m-{lines[0].id}")


@pytest.fixture
def made(ledger_url):
    """URL of a ledger with lines that were accepted, carried and in a call."""
    with open_(ledger_url, begin=True, write=True) as ledger, ledger.run("usage.csv", LINES, "ann") as run:
        send(run, LINES[:2])
        run.record(expired=[(LINES[2], "too late")])
        send(run, [make_like(LINES[2], starts_at=LINES[3].starts_at, carried_from=LINES[2].id, carry_number=1)])
        run.claim("body", [LINES[3]])
        run.end(complete=True)
    return ledger_url


@pytest.fixture
def there(tmp_path):
    """URL of the restored ledger: another place."""
    return f"sqlite:///{tmp_path}/restored/ledger.sqlite"


@pytest.fixture
def file(made, tmp_path):
    with open_(made) as ledger:
        transfer.backup(ledger, tmp_path / "backup.sqlite")
    return tmp_path / "backup.sqlite"


def lose(url):
    """What happened to the ledger that was backed up."""
    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).unlink()


def content(url):
    with Ledger.open(url, FakeClock()) as ledger:
        return [list(ledger.entries()), list(ledger.attempts()), list(ledger.items())]


def test_a_backup_holds_all_and_is_refused_until_it_is_restored(made, file, there):
    assert content(f"sqlite:///{file}") == content(made)
    with pytest.raises(ConfigurationError, match="is a copy, or a backup"):
        open_(f"sqlite:///{file}")
    lose(made)
    restored = transfer.restore(there, FakeClock(), OURS, file)
    assert restored.rows == {"metering_lines": 5, "metering_attempts": 4, "metering_journal": 1}
    with open_(there, write=True) as ledger:
        states = [ledger.fetch([line.id])[line.id].state for line in LINES]
        assert states == ["accepted", "accepted", "settled", "unknown"]
        assert ledger.meta()["organization"] == "acme" and ledger.meta()["copied_from"] is None
        with ledger.run("usage.csv", LINES, "ann") as run:
            assert run.claim("body", LINES, again={line.id for line in LINES}) is None
            run.end(complete=True)


def test_a_restore_beside_the_ledger_is_refused(made, file, there):
    if made.startswith("sqlite"):
        with pytest.raises(ConfigurationError, match="which is still there"):
            transfer.restore(there, FakeClock(), OURS, file)
    with pytest.raises(ConfigurationError, match=r"there is a ledger at|which is still there"):
        transfer.restore(made, FakeClock(), OURS, file)


def test_a_ledger_that_is_used_is_no_backup(made, there):
    if made.startswith("sqlite"):
        with pytest.raises(ConfigurationError, match="in use, not a backup"):
            transfer.restore(there, FakeClock(), OURS, Path(made.removeprefix("sqlite:///")))


def test_the_backup_of_another_is_refused(made, file, there):
    lose(made)
    with pytest.raises(ConfigurationError, match="is the ledger of the organization acme"):
        transfer.restore(there, FakeClock(), Owner("api.example.com", "globex"), file)


@pytest.mark.parametrize("fails", [0, 1, 2])
def test_m1_a_restore_that_fails_leaves_nothing_behind(made, file, ledger_url, tmp_path, fails, monkeypatch):
    """A push afterwards finds no ledger, and asks; it does not find an empty one."""
    target = f"sqlite:///{tmp_path}/restored/ledger.sqlite"
    lose(made)
    calls, original = iter(range(100)), transfer.insert

    def fail(table):
        if next(calls) == fails:
            raise KeyboardInterrupt
        return original(table)

    monkeypatch.setattr(transfer, "insert", fail)
    with pytest.raises(KeyboardInterrupt):
        transfer.restore(target, FakeClock(), OURS, file)
    monkeypatch.undo()
    with open_(target) as ledger:
        assert not ledger.exists
        with pytest.raises(ConfigurationError, match="nobody can know what was billed"):
            ledger.require()
    assert not [one for one in (tmp_path / "restored").iterdir() if one.name.endswith(".sqlite")]
    transfer.restore(target, FakeClock(), OURS, file)


def test_m1_an_empty_ledger_is_a_question_whatever_created_it(ledger_url):
    with open_(ledger_url, begin=True, write=True):
        pass  # a first push that was killed at once
    with open_(ledger_url, write=True) as ledger:
        for act in (ledger.require, lambda: ledger.run("u", [], "ann").__enter__()):
            with pytest.raises(ConfigurationError, match="is empty, so nobody can know"):
                act()
    # It is normal after a first push that had nothing to send, and the message says so.
    with open_(ledger_url) as ledger, pytest.raises(ConfigurationError) as caught:
        ledger.require()
    assert "or a first push had nothing to send: add --new-ledger" in caught.value.next_step
    with open_(ledger_url, begin=True, write=True) as ledger, ledger.run("u", LINES, "ann") as run:
        send(run, LINES)
        run.end(complete=True)
    with pytest.raises(ConfigurationError, match=r"there is a ledger at .* already"):
        open_(ledger_url, begin=True, write=True)


def test_a_restore_fills_an_empty_ledger(made, file, tmp_path, postgres):
    lose(made)
    for target in (f"sqlite:///{tmp_path}/restored/ledger.sqlite", *([postgres] if made.startswith("sqlite") else [])):
        with open_(target, begin=True, write=True) as empty:
            transfer.restore(target, FakeClock(), OURS, file)
            with empty.run("u", LINES, "ann") as run:
                assert run.claim("body", LINES, again=[line.id for line in LINES]) is None
                run.end(complete=True)
            assert empty.counts()["accepted"] == 3
        with pytest.raises(ConfigurationError, match="there is a ledger at"):
            transfer.restore(target, FakeClock(), OURS, file)


def test_calls_that_were_being_sent_when_a_ledger_was_copied_blame_no_api(ledger_url, tmp_path):
    """A push after the restore counted them, found no time at which they ended, and failed."""
    with open_(ledger_url, begin=True, write=True) as ledger, ledger.run("u", LINES, "ann") as run:
        for line in LINES:
            run.claim("body", [line])
        transfer.backup(ledger, tmp_path / "backup.sqlite")
    target = f"sqlite:///{tmp_path}/restored/ledger.sqlite"
    lose(ledger_url)
    assert transfer.restore(target, FakeClock(), OURS, tmp_path / "backup.sqlite").unknown == len(LINES)
    with open_(target) as restored:
        assert restored.unknown_calls() == []
        assert None not in [attempt["ended_at"] for attempt in restored.attempts()]


def test_m9_an_older_state_in_the_same_place_is_refused_until_it_is_adopted(made, file):
    """Postgres as SQLite: a note outside of the ledger names its last call."""
    with open_(made, write=True) as ledger, ledger.run("u", [make_line(9)], "ann") as run:
        send(run, [make_line(9)])
        run.end(complete=True)
    put_back(made, file)
    with pytest.raises(ConfigurationError, match="is older than the ledger that was here") as caught:
        open_(made)
    assert "adopt --confirm" in caught.value.next_step
    transfer.adopt(made, FakeClock(), OURS)
    open_(made, write=True).close()


def put_back(url, file):
    """Write the content of a backup over the ledger, in its place."""
    with Ledger.open(f"sqlite:///{file}", FakeClock()) as copy, copy.read() as connection:
        rows = {table: [dict(row) for row in connection.execute(table.select()).mappings()] for table in CONTENT}
    with Ledger.open(url, FakeClock()) as ledger, ledger.write() as into:
        for table in CONTENT:
            into.execute(table.delete())
            into.execute(table.insert(), rows[table])


def test_an_adopted_copy_beside_the_original_is_refused(made, file, tmp_path):
    """O1: both would bill."""
    if made.startswith("sqlite"):
        with pytest.raises(ConfigurationError, match="which is still there"):
            transfer.adopt(f"sqlite:///{file}", FakeClock(), OURS)
        lose(made)
    transfer.adopt(f"sqlite:///{file}", FakeClock(), OURS)
    with open_(f"sqlite:///{file}", write=True) as ledger:
        assert ledger.counts()["accepted"] == 3
