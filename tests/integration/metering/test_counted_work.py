"""The work of a push, counted: statements to the ledger, and ids. Both grow with the batches of lines, not faster."""

import tracemalloc
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from sqlalchemy import event

from automatum.core.json_rows import write_json
from automatum.metering import model
from automatum.metering.ledger.entries import Outcome
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.model import Line
from automatum.metering.options import PushOptions
from automatum.metering.plan import make_plan
from automatum.metering.push import push
from automatum.metering.usage.usage import read_usage
from tests.support.clocks import FakeClock

HOUR = datetime(2026, 11, 24, 9, tzinfo=timezone.utc)
NOW = HOUR + timedelta(hours=1, minutes=30)
SOURCE = "/usage.csv"
BATCH = 500
"""Ids in one statement."""


def lines_of(number, listing="lst_1"):
    return [
        Line("azure", listing, f"cust_{one // 25}", f"dim_{one % 25}", "hour", HOUR, Decimal(one + 1), Decimal("0.01"))
        for one in range(number)
    ]


def usage_of(lines):
    rows = [
        {
            "vendor": line.vendor,
            "listing_id": line.listing_id,
            "customer_id": line.customer_id,
            "dimension": line.dimension,
        }
        | {"units": str(line.units), "price": "0.01", "usage_at": line.starts_at.isoformat(), "title": "Calls"}
        for line in lines
    ]
    options = {"pipeline": None, "grain": "hour", "until": NOW, "now": NOW, "source": SOURCE, "unchecked": True}
    return read_usage(rows, clock=FakeClock(epoch=NOW.timestamp()), **options)


@pytest.fixture
def ledger(tmp_path):
    url, clock = f"sqlite:///{tmp_path}/ledger", FakeClock(epoch=NOW.timestamp())
    with Ledger.open(url, clock, begin=True, write=True) as opened:
        yield opened


@pytest.fixture
def statements(ledger):
    """Number of statements by their first word. One with many rows of values counts once."""
    counted = Counter()

    def count(connection, cursor, statement, *rest):
        counted[statement.split()[0]] += 1

    event.listen(ledger.engine, "before_cursor_execute", count)
    return counted


def sent(ledger, lines, source=SOURCE):
    """All lines accepted."""
    with ledger.run(source, lines, "ann") as run:
        for start in range(0, len(lines), BATCH):
            batch = lines[start : start + BATCH]
            run.answer(run.claim("body", batch), {line.id: Outcome("accepted") for line in batch}, status_code=202)
        run.end(complete=True)


@pytest.mark.slow
@pytest.mark.parametrize("before", ["empty", "accepted", "changed", "other source"])
def test_planning_takes_a_few_statements_for_each_batch_of_lines(before, ledger, statements):
    made = {}
    for batches in (1, 3):
        lines = lines_of(BATCH * batches, f"lst_{batches}")
        if before != "empty":
            sent(ledger, lines, "/other.csv" if before == "other source" else SOURCE)
        if before == "changed":
            lines = [replace(line, units=line.units + 1) for line in lines]
        usage = usage_of(lines)
        statements.clear()
        plan = make_plan(usage, ledger, PushOptions(), NOW)
        made[batches] = statements["SELECT"]
        assert set(statements) <= {"SELECT", "BEGIN"}, "planning changes nothing"
        found = {"empty": plan.to_send, "accepted": range(plan.same), "changed": plan.asked}
        assert len(found.get(before, plan.sources)) == len(lines)
    assert (made[3] - made[1]) / 2 <= 8, made


@pytest.mark.slow
def test_recording_takes_a_few_statements_for_each_batch_of_lines(ledger, statements):
    """What is too late, and what differs."""
    made = {}
    for batches in (1, 3):
        lines, late = lines_of(BATCH * batches, f"lst_{batches}"), lines_of(BATCH * batches, f"late_{batches}")
        sent(ledger, lines)
        with ledger.run(SOURCE, [], "ann") as run:
            statements.clear()
            run.record(
                expired=[(line, "too late") for line in late],
                asked=[replace(line, units=line.units + 1) for line in lines],
            )
            made[batches] = statements.total()
            run.end(complete=True)
    assert (made[3] - made[1]) / 2 <= 16, made


def test_a_call_takes_as_many_statements_for_25_lines_as_for_one(ledger, statements):
    """I5. One commit before the call, and one after it."""
    lines, made = lines_of(26), []
    with ledger.run(SOURCE, lines, "ann") as run:
        for body in (lines[:1], lines[1:]):
            statements.clear()
            run.answer(run.claim("body", body), {line.id: Outcome("accepted") for line in body}, status_code=202)
            made.append(dict(statements))
        run.end(complete=True)
    assert made[0] == made[1]
    assert made[0]["BEGIN"] == 2
    assert sum(made[0].values()) <= 18, made


def test_the_ids_of_a_line_are_computed_once_for_each_object(ledger, monkeypatch):
    made, real = Counter(), model._uuid

    def count(parts):
        made[tuple(parts)] += 1
        return real(parts)

    monkeypatch.setattr(model, "_uuid", count)
    plan = make_plan(usage_of(lines_of(30)), ledger, PushOptions(), NOW)
    sent(ledger, plan.to_send)
    assert max(made.values()) <= 2 and len(made) <= 60, "an id, and the key of its date; anew for what is read back"


@pytest.mark.slow
def test_memory_of_planning_is_about_a_kilobyte_a_line(tmp_path):
    """Each line, from the rows to the result that is printed."""

    def peak(number):
        lines, clock = lines_of(number), FakeClock(epoch=NOW.timestamp())
        tracemalloc.start()
        try:
            with Ledger.open(f"sqlite:///{tmp_path}/none", clock) as ledger:
                result = push(None, usage_of(lines), ledger, PushOptions())
            assert result.lines["to_send"] == number
            assert sum(map(len, write_json(result.figures(), float))) > 300 * number
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(100)
    small, large = peak(2_000), peak(8_000)
    assert (large - small) / 6_000 < 2_000, f"{(large - small) / 6_000:.0f} bytes a line"
