"""The quota in a file: what can happen to files, processes, threads and machines (I4, and nothing is ever stuck)."""

import gc
import os
import random
import sqlite3
import threading
from contextlib import closing

import pytest

from automatum.api.rate_limit import RateLimiter, stores
from automatum.api.rate_limit.state import FORMAT
from automatum.core.budget import Budget
from automatum.core.errors import QuotaExhausted
from tests.support.clocks import FakeClock
from tests.support.quota_fixtures import spend, used, warnings


def counts_in_memory(limiter, budget, caplog, before=0):
    """It counts alone, from what it knew, and says so once."""
    spend(limiter, budget, 5 - before)
    with pytest.raises(QuotaExhausted):
        limiter.acquire(1.0, budget)
    assert used(limiter)[0] == 5
    (said,) = warnings(caplog)
    assert "this process counts its requests alone" in said
    assert "sources.automatum.quota_url" in said
    return said


# ---- a file that cannot be used


@pytest.mark.parametrize(
    "content",
    [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4000, b"SQLite format 3\0"],
    ids=["text", "broken", "header alone"],
)
def test_a_file_that_is_no_database_leads_to_a_count_in_memory(path, open_one, budget, caplog, content):
    path.parent.mkdir()
    path.write_bytes(content)
    said = counts_in_memory(open_one(), budget, caplog)
    assert str(path) in said
    assert "Delete it" in said
    assert path.read_bytes() == content, "it may be somebody else's"


def test_a_limiter_that_nobody_closes_closes_its_file_also_in_a_cycle_of_references(path, clock, budget):
    """Python 3.13 and later raise ResourceWarning, an error in these tests, for a connection that is not closed."""
    limiter = RateLimiter((), (), clock, stores.SqliteStore(path, clock))
    limiter.itself = limiter
    gc.collect(0)  # The connection gets younger than the limiter. The collector comes to it first.
    spend(limiter, budget)
    del limiter
    gc.collect()


@pytest.mark.parametrize("share", [0.2, 0.6, 0.8])
def test_a_file_that_is_cut_short_leads_to_a_count_in_memory(path, open_one, budget, caplog, share):
    first = open_one(((2000, 60.0),))
    spend(first, budget, 1500)
    first.close()
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * share))
    counts_in_memory(open_one(), budget, caplog)


def test_a_file_that_breaks_in_use_leads_to_a_count_in_memory_that_forgets_nothing(path, open_one, budget, caplog):
    limiter = open_one()
    spend(limiter, budget, 3)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE tally SET version = version + 1, body = x'00'")
    counts_in_memory(limiter, budget, caplog, before=3)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("body", f'{{"format":{FORMAT + 1}}}\n'.encode()),
        ("body", f'{{"format":{FORMAT}}}\n'.encode()),
        ("body", b"[]\n"),
        ("body", b""),
        ("body", "text"),
    ],
    ids=["later format", "lacks all", "list", "empty", "text"],
)
def test_a_state_that_this_version_cannot_read_leads_to_a_count_in_memory(
    path, open_one, budget, caplog, column, value
):
    spend(open_one(), budget)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(f"UPDATE tally SET version = version + 1, {column} = ?", (value,))
    counts_in_memory(open_one(), budget, caplog)


def test_a_table_of_other_columns_leads_to_a_count_in_memory(path, open_one, budget, caplog):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE tally (something TEXT)")
    counts_in_memory(open_one(), budget, caplog)


@pytest.mark.slow
def test_a_byte_that_changed_on_disk_stops_no_run(path, open_one, clock, budget, caplog):
    """Whatever one byte becomes, requests continue: with the stored state, or without it and with a warning."""
    rng = random.Random(5)
    spend(open_one(), budget, 3)
    open_one().acquire(None, budget)
    with closing(sqlite3.connect(path)) as other:
        (body,) = other.execute("SELECT body FROM tally").fetchone()
    for _ in range(100):
        place = rng.randrange(len(body))
        changed = body[:place] + bytes([body[place] ^ (1 << rng.randrange(8))]) + body[place + 1 :]
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("UPDATE tally SET version = version + 1, body = ?", (changed,))
        other = FakeClock()
        limiter = open_one(clock=other)
        limiter.record_response(limiter.acquire(None, Budget(other, max_seconds=4000)))
        limiter.close()


def test_a_folder_that_cannot_be_made_leads_to_a_count_in_memory(path, open_one, budget, caplog):
    """This binds root too, unlike permissions."""
    path.parent.write_text("")
    counts_in_memory(open_one(), budget, caplog)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_file_or_folder_that_may_only_be_read_leads_to_a_count_in_memory(path, open_one, budget, caplog, what):
    first = open_one()
    spend(first, budget)
    first.close()
    target = path if what == "file" else path.parent
    target.chmod(0o400 if what == "file" else 0o500)
    counts_in_memory(open_one(), budget, caplog)
    target.chmod(0o700)


def test_a_database_that_says_it_is_read_only_leads_to_a_count_in_memory(path, open_one, budget, caplog, monkeypatch):
    """As root meets it on a read-only mount: SQLite opens the file and refuses to write."""
    spend(open_one(), budget, 2)
    connect = sqlite3.connect
    monkeypatch.setattr(
        stores.sqlite3, "connect", lambda _, *a, **k: connect(f"file:{path}?mode=ro", *a, uri=True, **k)
    )
    limiter = open_one()
    spend(limiter, budget)
    (said,) = warnings(caplog)
    assert "readonly" in said
    assert used(limiter)[0] in (3, 4), "what it could read counts; the one that could not be stored may count twice"


def test_a_full_disk_leads_to_a_count_in_memory_that_forgets_nothing(path, open_one, budget, caplog, monkeypatch):
    """A database that may have no more pages says the same as a disk that has none."""
    limiter = open_one(((3000, 60.0),))
    spend(limiter, budget, 1000)
    (pages,) = limiter._store._connection.execute("PRAGMA page_count").fetchone()
    limiter._store._connection.execute(f"PRAGMA max_page_count = {pages}")
    spend(limiter, budget, 1500)
    (said,) = warnings(caplog)
    assert "full" in said
    assert used(limiter)[0] in (2500, 2501), "the one that could not be stored may count twice"


def test_a_file_that_is_locked_for_too_long_leads_to_a_count_in_memory(path, open_one, budget, caplog, monkeypatch):
    monkeypatch.setattr(stores, "BUSY", 0.05)
    limiter = open_one()
    spend(limiter, budget, 2)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        counts_in_memory(limiter, budget, caplog, before=2)


def test_a_file_that_is_locked_for_a_moment_is_waited_for(path, open_one, budget, caplog):
    limiter = open_one()
    spend(limiter, budget)
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.2, other.execute, ("COMMIT",))
        timer.start()
        spend(limiter, budget)
        timer.join()
    assert warnings(caplog) == []
    assert used(limiter)[0] == 2
