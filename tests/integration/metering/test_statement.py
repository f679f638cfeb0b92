"""The books of a month: every unit of the ledger is in one column, and they agree with what the server took (I5)."""

import csv
import io
import random
from collections import defaultdict
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import pytest

from automatum.core.errors import ConfigurationError
from automatum.metering.carry import find_late, record_carries
from automatum.metering.checks import Checks
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.ledger.reconcile import resolve_by_hand
from automatum.metering.ledger.states import STATES
from automatum.metering.marketplace_report import compare
from automatum.metering.push import push
from automatum.metering.statement import COLUMNS, SUMMED, read_statement
from automatum.metering.usage.usage import read_usage
from tests.support.clocks import FakeClock
from tests.support.metering_lines import START, bring, make_like, make_line
from tests.support.pushing import METERING, Books, use, write_csv

MONTH = f"{START:%Y-%m}"


def check_adds_up(statement):
    for row in statement.rows:
        for what in ("units", "amount"):
            total = sum(Fraction(getattr(row.sums[name], what)) for name in SUMMED)
            taken_in = sum(Fraction(getattr(row.sums[name], what)) for name in ("measured", "carried_in"))
            assert total == taken_in, (row.named, what)


def in_all(statement, name, what="units"):
    return sum(Fraction(getattr(row.sums[name], what)) for row in statement.rows)


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite", FakeClock(), create=True) as opened:
        yield opened


def test_each_state_has_its_column(ledger):
    for number, state in enumerate(STATES):
        bring(ledger, make_line(number, dimension=state), state)
    statement = read_statement(ledger, MONTH)
    check_adds_up(statement)
    found = {
        row.named["dimension"]: {name: str(one.units) for name, one in row.sums.items() if one.units}
        for row in statement.rows
    }
    sent = {"measured": "5", "sent": "5"}
    assert found == {
        "planned": {"measured": "5", "open": "5"},
        # The run that brought it to `sending` is over.
        "sending": {**sent, "unknown": "5"},
        "accepted": {**sent, "accepted": "5"},
        "confirmed": {**sent, "confirmed": "5"},
        "rejected": {**sent, "rejected": "5"},
        "expired": {"measured": "5", "expired": "5"},
        "conflict": {"measured": "6", "sent": "5", "accepted": "5", "difference": "1"},
        "unknown": {**sent, "unknown": "5"},
        "writeoff": {**sent, "written_off": "5"},
        "canceled": {"measured": "5", "canceled": "5"},
        "carried": {"measured": "5", "carried_out": "5"},
    }


def test_carried_usage_is_measured_once_and_billed_in_the_month_of_its_new_hour(ledger):
    line = make_line(1)
    bring(ledger, line, "conflict")
    (carried,) = record_carries(ledger, find_late(ledger))
    used, billed = read_statement(ledger, MONTH), read_statement(ledger, f"{carried.starts_at:%Y-%m}")
    for statement in (used, billed):
        check_adds_up(statement)
    assert (in_all(used, "measured"), in_all(used, "accepted"), in_all(used, "carried_out")) == (6, 5, 1)
    assert (in_all(billed, "measured"), in_all(billed, "carried_in"), in_all(billed, "open")) == (0, 1, 1)


def test_a_month_ends_at_midnight_utc(ledger):
    month_end = make_line(24 * 11 - 1)  # 2026-11-30 23:00
    for line in (month_end, make_line(24 * 11)):
        bring(ledger, line, "accepted")
    assert [row.lines for row in read_statement(ledger, "2026-11").rows] == [[month_end.id]]
    for wrong in ("2026-13", "2026-1", "November", "0000-01"):
        with pytest.raises(ConfigurationError, match="is not a month"):
            read_statement(ledger, wrong)


def test_no_text_of_the_csv_is_a_formula(ledger):
    bring(ledger, make_line(1, dimension="=1+1"), "accepted")
    assert "'=1+1" in read_statement(ledger, MONTH).as_csv()


@pytest.mark.slow
def test_i5_the_statement_of_a_month_with_faults_ties_out_to_the_ledger_and_to_the_server(start, tmp_path):
    """Usage of each day of a month, 5 % of the calls fail in all ways, and a person decides about a part of it."""
    seed = 20261001
    rng, served = random.Random(seed), start(traps=False, customers=12, entitlements=20, private_offers=2, days=2)
    sandbox, books = served.sandbox, Books.at(served, tmp_path)
    first = datetime(2026, 10, 1, 0, 20, tzinfo=timezone.utc)
    bills = {(one.customer_id, one.listing_id): one for one in sandbox.metering.billable()}.values()
    measured = defaultdict(Fraction)
    for day in range(31):
        books.clock = FakeClock(epoch=(first + timedelta(days=day + 1)).timestamp())
        at, rows = first + timedelta(days=day, hours=10), []
        for one in bills:
            for dimension in one.prices:
                rows.append(use(one, dimension, at, f"{rng.randrange(1, 10**6)}.{rng.randrange(10**6):06}"))
                measured[one.customer_id, one.listing_id, dimension] += Fraction(rows[-1]["units"])
        for call in range(len(bills)):
            if rng.random() < 0.05:
                kind = rng.choice(["lost_answer", "status", "error_after", "truncate", "reset"])
                status = rng.choice([400, 409, 404, 500]) if kind == "status" else 503
                sandbox.faults.add(kind, METERING, after=call, status=status)
        begun = {"grain": "day", "new_ledger": not day, "checks": Checks(unchecked=True)}
        push(books.connect(), read_usage(rows), books.url, books.clock, **begun)
        sandbox.faults.clear()
    with books.open() as ledger:
        unknown, rejected = (
            sorted(entry.line_id for entry in ledger.reader.lines([state])) for state in STATES[7:3:-3]
        )
        print(f"seed {seed}; unknown {len(unknown)}, rejected {len(rejected)}")
        resolve_by_hand(ledger, written_off=rejected[:1], rejected=unknown[:1])
        statement = read_statement(ledger, "2026-10")
        entries, attempts = list(ledger.reader.lines()), list(ledger.reader.attempts())
    check_adds_up(statement)
    assert {one for one in COLUMNS if in_all(statement, one)} >= {"measured", "sent", "accepted", "unknown", "rejected"}
    for row in statement.rows:
        key = (row.named["customer_id"], row.named["listing_id"], row.named["dimension"])
        assert Fraction(row.sums["measured"].units) == measured.pop(key), seed
    assert not measured
    # To the ledger, line by line and call by call.
    assert sorted(line_id for row in statement.rows for line_id in row.lines) == sorted(one.line_id for one in entries)
    accepted = {(one.attempt_id, one.line_id): one for one in attempts if one.state == "accepted"}.values()
    for what, name in (("units", "units"), ("amount", "charged")):
        assert in_all(statement, "accepted", what) == sum(Fraction(getattr(one, name)) for one in accepted)
    # To the server: what it took is accepted, or unknown, or a person has decided about it.
    took = sum(Fraction(one["units"]) for call in sandbox.metering.accepted for one in call.body["details"]["usages"])
    taken = in_all(statement, "accepted")
    assert taken <= took <= taken + in_all(statement, "unknown") + in_all(statement, "rejected")
    # And the CSV has each digit.
    table = list(csv.DictReader(io.StringIO(statement.as_csv())))
    for name in COLUMNS:
        assert sum(Fraction(line[f"{name}_amount"]) for line in table) == in_all(statement, name, "amount")


# The marketplace's report


AWS = ("usage_date", "end_user_account_id", "dimension_key", "usage_quantity", "estimated_usage_revenue")
AZURE = ("UsageDate", "MarketplaceSubscriptionId", "Meter Dimension", "NormalizedUsage", "Estimated Extended Charge")


@pytest.fixture
def billed(ledger):
    """A month of two customers; 2 of the 3 lines of one dimension."""
    for number, customer in enumerate(("cust_1", "cust_1", "cust_2")):
        bring(ledger, make_line(number, units=f"{number + 1}.5", customer=customer), "accepted")
    bring(ledger, make_line(9, units="100"), "rejected")
    return read_statement(ledger, MONTH)


def report(columns, *rows):
    return write_csv([dict(zip(columns, row, strict=True)) for row in rows], "report.csv")


@pytest.mark.parametrize(("columns", "day"), [(AWS, "2026-11-20"), (AZURE, "11/20/2026 12:00:00 AM")])
def test_reports_of_the_marketplaces_are_compared_by_their_own_columns(billed, columns, day, tmp_path):
    accounts = {"111122223333": "cust_1", "444455556666": "cust_2"}
    rows = [
        (day, "111122223333", "api_calls", "1.5", "0.015"),
        (day, "111122223333", "api_calls", "2.50", "0.025"),
        (day, "444455556666", "api_calls", "3.5", "0.035"),
        (day.replace("11", "10", 1), "444455556666", "api_calls", "77", "0.77"),  # of another month
    ]
    path = report(columns, *rows)
    agreed = compare(billed, tmp_path / "work" / path, customers=accounts)
    assert (agreed.keys, agreed.amounts, agreed.rows) == (("customer_id", "dimension"), True, 3)
    assert agreed.differences == []
    rows[2] = (day, "444455556666", "api_calls", "3.4", "0.034")
    (one,) = compare(billed, tmp_path / "work" / report(columns, *rows), customers=accounts).differences
    assert one.as_json() == {
        "customer_id": "cust_2",
        "dimension": "api_calls",
        "our_units": Decimal("3.5"),
        "their_units": Decimal("3.4"),
        "difference": Decimal("-0.1"),
        "our_amount": Decimal("0.035"),
        "their_amount": Decimal("0.034"),
    }


def test_what_only_one_side_has_is_a_difference(billed, tmp_path):
    path = report(("customer_id", "dimension", "units"), ("cust_1", "api_calls", "4"), ("cust_9", "seats", "1"))
    found = compare(billed, tmp_path / "work" / path)
    assert [(one.key["customer_id"], one.ours.units, one.theirs.units) for one in found.differences] == [
        ("cust_2", Decimal("3.5"), 0),
        ("cust_9", 0, 1),
    ]
    assert found.notes == ["the report has no column of amounts, so only units were compared"]


def test_customers_that_nobody_knows_are_named_and_the_dimensions_compared(billed, tmp_path):
    path = report(("Customer AWS account number", "Dimension", "Usage units"), ("1111", "api_calls", "7.5"))
    found = compare(billed, tmp_path / "work" / path)
    assert (found.keys, found.differences) == (("dimension",), [])
    assert "customer_id was not compared: the ledger knows none" in found.notes[0] and "'1111'" in found.notes[0]


@pytest.mark.parametrize(
    ("columns", "row", "says"),
    [
        (("customer_id", "Menge"), ("cust_1", "1"), "lacks units"),
        (("customer_id", "units"), ("cust_1", "1,234.5"), "line 2: units: '1,234.5' is not a number"),
        (("date", "units"), ("20.11.2026", "1"), "line 2: '20.11.2026' is not a date"),
    ],
)
def test_reports_that_cannot_be_read(billed, tmp_path, columns, row, says):
    with pytest.raises(ConfigurationError, match=says):
        compare(billed, tmp_path / "work" / report(columns, row))


def test_the_marketplace_of_a_report_is_named_where_there_are_several(ledger, tmp_path):
    bring(ledger, make_line(1), "accepted")
    bring(ledger, make_line(1, vendor="azure"), "accepted")
    path = tmp_path / "work" / report(("dimension", "units"), ("api_calls", "5"))
    with pytest.raises(ConfigurationError, match="several marketplaces"):
        compare(read_statement(ledger, MONTH), path)
    assert compare(read_statement(ledger, MONTH), path, vendor="aws").differences == []


def test_a_line_that_failed_after_a_part_was_carried_still_adds_up(ledger):
    line = make_line(1)
    bring(ledger, line, "conflict")
    resolve_by_hand(ledger, accepted=[line.id])
    with ledger.run() as run:
        run.conflict([make_like(line, units=Decimal(9))])
    record_carries(ledger, find_late(ledger))
    check_adds_up(read_statement(ledger, MONTH))
