"""The work of a push, counted: statements to the ledger, and ids. Both grow with the batches of lines, not faster."""

import tracemalloc
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from automatum.metering.classify import Classification
from automatum.metering.ledger.batches import MOST
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.ledger.past import read_past
from automatum.metering.usage.usage import read_usage
from sqlalchemy import event

from automatum.core.json_rows import write_json
from automatum.metering import model
from automatum.metering.checks import Checks
from automatum.metering.model import Line
from automatum.metering.plan import Planner
from automatum.metering.push import push
from automatum.metering.statement import read_statement
from tests.support.clocks import FakeClock

HOUR = datetime(2026, 11, 24, 9, tzinfo=timezone.utc)
NOW = HOUR + timedelta(hours=1, minutes=30)
CHECKS = Checks(as_of=NOW, source="/usage.csv", unusual_factor=Decimal(10), prices=True)


def lines_of(number):
    return [
        Line("azure", "lst_1", f"cust_{one // 25}", f"dim_{one % 25}", "hour", HOUR, Decimal(one + 1), Decimal("0.01"))
        for one in range(number)
    ]


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(f"sqlite:///{tmp_path}/ledger", FakeClock(epoch=NOW.timestamp()), create=True) as opened:
        yield opened


@pytest.fixture
def statements(ledger):
    """Number of statements by their first word. One with many rows of values counts once."""
    counted = Counter()

    def count(connection, cursor, statement, *rest):
        counted[statement.split()[0]] += 1

    event.listen(ledger.database.engine, "before_cursor_execute", count)
    return counted


def plan_of(ledger, lines):
    return Planner(ledger, CHECKS).plan(lines, Classification(), NOW)


def record(ledger, lines):
    plan = plan_of(ledger, lines)
    with ledger.run() as run:
        run.plan(plan.to_send, renew=plan.renewed, record=plan.record(CHECKS, plan.to_send))
    return plan


def sent(ledger, lines):
    """All lines, planned and accepted."""
    with ledger.run() as run:
        run.plan(lines)
        for start in range(0, len(lines), MOST):
            run.settle(run.claim("body", lines[start : start + MOST]), "accepted", status_code=202)


@pytest.mark.slow
@pytest.mark.parametrize("before", ["empty", "planned", "accepted"])
def test_planning_takes_a_few_statements_for_each_batch_of_lines(before, ledger, statements):
    made = {}
    for batches in (1, 3):
        lines = [replace(line, listing_id=f"lst_{batches}") for line in lines_of(MOST * batches)]
        if before == "planned":
            record(ledger, lines)
        elif before == "accepted":
            sent(ledger, lines)
        statements.clear()
        plan_of(ledger, lines)
        made[batches] = statements["SELECT"]
        assert set(statements) <= {"SELECT", "BEGIN"}, "planning changes nothing"
        if before == "planned":
            sent(ledger, lines)
    assert (made[3] - made[1]) / 2 <= 8, made


@pytest.mark.slow
def test_recording_a_plan_takes_a_few_statements_for_each_batch_of_lines(ledger, statements):
    made = {}
    for batches in (1, 3):
        lines = [replace(line, listing_id=f"lst_{batches}") for line in lines_of(MOST * batches)]
        statements.clear()
        assert len(record(ledger, lines).sent) == len(lines)
        made[batches] = statements.total()
        sent(ledger, lines)
    assert (made[3] - made[1]) / 2 <= 16, made


def test_a_call_takes_as_many_statements_for_25_lines_as_for_one(ledger, statements):
    """I5. One commit before the call, and one after it."""
    lines, made = lines_of(26), []
    with ledger.run() as run:
        run.plan(lines)
        for body in (lines[:1], lines[1:]):
            statements.clear()
            run.settle(run.claim("body", body), "accepted", status_code=202)
            made.append(dict(statements))
    assert made[0] == made[1]
    assert made[0]["BEGIN"] == 2
    assert sum(made[0].values()) <= 14, made


@pytest.mark.slow
def test_a_conflict_of_many_lines_is_recorded_at_once(ledger, statements):
    lines = lines_of(MOST)
    sent(ledger, lines)
    with ledger.run() as run:
        statements.clear()
        changed = run.conflict([replace(line, units=line.units + 1) for line in lines], "Other units.")
    assert len(changed) == MOST
    assert statements["UPDATE"] <= 4
    asked = {entry.line_id: entry.asked_units for entry in ledger.reader.lines(["conflict"])}
    assert asked == {line.id: line.units + 1 for line in lines}


@pytest.mark.slow
def test_a_statement_reads_a_page_of_lines_with_each_query(ledger, statements):
    sent(ledger, lines_of(2500))
    statements.clear()
    assert len(read_statement(ledger, "2026-11").rows) == 2500
    assert statements["SELECT"] == 3


def test_the_past_is_read_of_the_customers_of_the_usage_only(ledger, statements):
    lines = lines_of(100)
    sent(ledger, lines)
    later = [replace(line, starts_at=HOUR + timedelta(hours=1)) for line in lines[:26]]
    statements.clear()
    past = read_past(ledger, later)
    assert {customer for _, _, customer, _, _ in past.units} == {"cust_0", "cust_1"} and len(past.units) == 50
    assert statements["SELECT"] == 1


def test_the_ids_of_a_line_are_computed_once(ledger, monkeypatch):
    made, real = Counter(), model._uuid

    def count(parts):
        made[tuple(parts)] += 1
        return real(parts)

    monkeypatch.setattr(model, "_uuid", count)
    record(ledger, lines_of(30))
    assert max(made.values()) == 1 and len(made) == 60, "an id, and the key of its date"


@pytest.mark.slow
def test_memory_of_planning_is_a_few_hundred_bytes_a_line(tmp_path):
    """Each line, from the rows to the summary that is printed; measured: 325. With the whole JSON it was 1,615."""

    def peak(number):
        rows = [
            {
                "vendor": "azure",
                "listing_id": "lst_1",
                "customer_id": f"cust_{one // 25}",
                "dimension": f"dim_{one % 25}",
            }
            | {"units": f"{one % 90}.25", "price": "0.01", "usage_at": "2026-11-24T09:10:00Z", "title": "Calls"}
            for one in range(number)
        ]
        clock = FakeClock(epoch=NOW.timestamp())
        tracemalloc.start()
        try:
            summary = push(None, read_usage(iter(rows)), f"sqlite:///{tmp_path}/none", clock)
            assert summary.lines["new"] == number
            assert sum(map(len, write_json(summary.figures(), float))) > 300 * number
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(100)
    small, large = peak(2_000), peak(8_000)
    assert (large - small) / 6_000 < 500, f"{(large - small) / 6_000:.0f} bytes a line"
