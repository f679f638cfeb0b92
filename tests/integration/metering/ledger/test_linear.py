"""The work of the database grows with the lines, not with their square. Steps of SQLite are counted, not seconds."""

from contextlib import contextmanager

import pytest
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.ledger.past import read_past
from sqlalchemy import event

from tests.support.metering_lines import make_line

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

    event.listen(ledger.database.engine, "checkout", watch)
    try:
        yield steps
    finally:
        event.remove(ledger.database.engine, "checkout", watch)


def lines_of(number):
    """Lines of as many keys and dates."""
    return [make_line(customer=f"cust_{place}") for place in range(number)]


def work(tmp_path, clock, number):
    """Steps of planning, comparing and claiming lines of which all are planned already."""
    found = {}
    with Ledger.open(f"sqlite:///{tmp_path}/{number}.sqlite", clock, create=True) as ledger:
        lines = lines_of(number)
        with ledger.run() as run:
            run.plan(lines)
            for name, do in (
                ("compare", lambda: ledger.compare(lines)),
                ("plan", lambda: run.plan(lines)),
                ("claim", lambda: run.claim("body", lines[:20])),
                ("unresolved", ledger.reader.unresolved),
                ("past", lambda: read_past(ledger, [make_line(24 * 30)])),
            ):
                with counted(ledger) as steps:
                    do()
                found[name] = steps[0]
    return found


@pytest.mark.slow
def test_four_times_the_lines_need_four_times_the_work(tmp_path, clock):
    """16,000 planned lines took 50 s: SQLite read all of them for each 500."""
    few, many = (work(tmp_path, clock, number) for number in (1_000, 4_000))
    for name in ("compare", "plan", "unresolved"):
        assert many[name] < 4.4 * few[name], (name, few, many)
    assert many["claim"] < 1.5 * few["claim"], "a body needs no look at the other lines"
    assert many["past"] < few["past"] + 20, "old usage is not read"
