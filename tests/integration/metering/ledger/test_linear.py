"""The work of the database grows with the lines, not with their square. Steps of SQLite are counted, not seconds."""

from contextlib import contextmanager

import pytest
from sqlalchemy import event

from automatum.metering.ledger.ledger import Ledger
from tests.support.metering_lines import make_like, make_line

EACH = 10


@contextmanager
def counted(ledger):
    """Count the steps of SQLite's machine, in tens."""
    steps = [0]

    def count():
        steps[0] += 1
        return 0

    def watch(connection, *_):
        connection.set_progress_handler(count, EACH)

    event.listen(ledger.engine, "checkout", watch)
    try:
        yield steps
    finally:
        event.remove(ledger.engine, "checkout", watch)


def lines_of(number):
    """Lines of as many keys and dates."""
    return [make_line(customer=f"cust_{place}") for place in range(number)]


def work(tmp_path, clock, number):
    """Steps of what a push does with lines that are in the ledger."""
    found = {}
    with Ledger.open(f"sqlite:///{tmp_path}/{number}.sqlite", clock, begin=True, write=True) as ledger:
        lines = lines_of(number)
        with ledger.run("u", lines, "ann") as run:
            run.record(expired=[(line, "too late") for line in lines])
            child = make_like(lines[9], starts_at=make_line(9).starts_at, carried_from=lines[9].id, carry_number=1)
            for name, do in (
                ("fetch", lambda: ledger.fetch([line.id for line in lines])),
                ("overlapping", lambda: ledger.overlapping(lines)),
                ("entries", lambda: list(ledger.entries())),
                ("counts", ledger.counts),
                ("record", lambda: run.record(asked=lines)),
                ("claim", lambda: run.claim("body", lines[20:40], again=[line.id for line in lines])),
                ("carry", lambda: run.claim("body", [child])),
                ("unknown", ledger.unknown_calls),
                ("end", lambda: run.end(complete=True)),
            ):
                with counted(ledger) as steps:
                    do()
                found[name] = steps[0]
    return found


@pytest.mark.slow
def test_four_times_the_lines_need_four_times_the_work(tmp_path, clock):
    """16,000 lines once took 50 s: SQLite read all of them for each 500."""
    few, many = (work(tmp_path, clock, number) for number in (1_000, 4_000))
    for name in ("fetch", "overlapping", "entries", "counts", "record", "end"):
        assert many[name] < 4.4 * few[name] + 5, (name, few, many)
    for name in ("claim", "carry", "unknown"):
        assert many[name] < 1.5 * few[name] + 5, (name, few, many, "a body needs no look at the other lines")
