"""The books of a month: every unit of the ledger is in one column (I5); and what the marketplace says beside them."""

import random
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from automatum.core.errors import ConfigurationError
from automatum.metering.ledger.entries import STATES
from automatum.metering.statement import COLUMNS, read_statement
from tests.support.entries import START, Shelf, make_entry, make_line

MONTH = f"{START:%Y-%m}"


def check_adds_up(statement):
    for row in statement.rows:
        for what in ("units", "amount"):
            cells = {name: Fraction(row[f"{name}_{what}"]) for name in COLUMNS}
            taken_in = cells.pop("measured") + cells.pop("carried_in")
            assert taken_in == sum(cells.values()), row


def cells(row, what="units"):
    return {name: str(row[f"{name}_{what}"].normalize()) for name in COLUMNS if row[f"{name}_{what}"]}


def test_each_state_has_its_column():
    taken = {"accepted": "5", "confirmed": "5", "conflict": "3", "settled": "4"}
    shelf = Shelf(
        *(make_entry(make_line(dimension=state), state, taken.get(state)) for state in STATES),
        make_entry(make_line(dimension="carried"), "settled", "2", carried="3"),
    )
    statement = read_statement(shelf, MONTH)
    check_adds_up(statement)
    assert {row["dimension"]: cells(row) for row in statement.rows} == {
        "sending": {"measured": "5", "unknown": "5"},
        "accepted": {"measured": "5", "accepted": "5"},
        "confirmed": {"measured": "5", "confirmed": "5"},
        "unbilled": {"measured": "5", "unbilled": "5"},
        "conflict": {"measured": "5", "accepted": "3", "difference": "2"},
        "unknown": {"measured": "5", "unknown": "5"},
        "settled": {"measured": "5", "accepted": "4", "written_off": "1"},
        "carried": {"measured": "5", "accepted": "2", "carried_out": "3"},
    }


def test_carried_usage_is_measured_once_at_the_price_of_the_line_that_bills_it():
    used = make_line(1, "13", "2")
    later = make_line(24 * 12, "8", "1", carried_from=used.id, carry_number=1)
    # The usage had the price 1 when it was carried, and has 2 now.
    shelf = Shelf(make_entry(used, "conflict", "5", carried="8", price="1"), make_entry(later, "accepted"))
    then, now = read_statement(shelf, MONTH), read_statement(shelf, "2026-12")
    for statement in (then, now):
        check_adds_up(statement)
    assert cells(then.rows[0]) == {"measured": "13", "accepted": "5", "carried_out": "8"}
    assert cells(then.rows[0], "amount") == {"measured": "26", "accepted": "5", "carried_out": "8", "difference": "13"}
    assert cells(now.rows[0]) == {"carried_in": "8", "accepted": "8"}


def test_a_carried_line_that_was_not_billed_carries_nothing():
    used = make_line(1, "13")
    later = make_line(24, "8", carried_from=used.id, carry_number=1)
    shelf = Shelf(make_entry(used, "unbilled"), make_entry(later, "unbilled"))
    statement = read_statement(shelf, MONTH)
    check_adds_up(statement)
    assert cells(statement.rows[0]) == {"measured": "13", "carried_in": "8", "unbilled": "21"}


def test_it_adds_up_to_the_last_digit_whatever_was_billed():
    rng, found = random.Random(7), []
    for number in range(300):
        line = make_line(number % 240, f"{rng.randrange(10**9)}.{rng.randrange(10**6):06}", f"{rng.random():.12f}")
        accepted = rng.choice([None, str(line.units), f"{rng.randrange(10**6)}.5"])
        state = rng.choice(STATES) if accepted is None else rng.choice(["accepted", "confirmed", "conflict", "settled"])
        found.append(make_entry(line, state, accepted, price=f"{rng.random():.12f}"))
    statement = read_statement(Shelf(*found), MONTH)
    check_adds_up(statement)
    assert sum(Fraction(row["measured_amount"]) for row in statement.rows) == sum(
        Fraction(entry.line.charged) for entry in found
    )
    assert sum(row["lines"] for row in statement.rows) == 300


def test_a_month_ends_at_midnight_utc():
    month_end = make_line(24 * 11 - 1)  # 2026-11-30 23:00
    shelf = Shelf(make_entry(month_end), make_entry(make_line(24 * 11, dimension="next")))
    assert [row["dimension"] for row in read_statement(shelf, "2026-11").rows] == [month_end.dimension]
    for wrong in ("2026-13", "2026-1", "November", "0000-01"):
        with pytest.raises(ConfigurationError, match="is not a month"):
            read_statement(shelf, wrong)


def test_currencies_and_entitlements_are_rows_of_their_own():
    lines = [make_line(1), make_line(2, currency="EUR"), make_line(3, entitlement_id="ent_1")]
    rows = read_statement(Shelf(*map(make_entry, lines)), MONTH).rows
    assert [(row["entitlement_id"], row["currency"]) for row in rows] == [("", "EUR"), ("", "USD"), ("ent_1", "USD")]


# What the marketplace reports


def compare(text, *found, vendor=None, columns=None, accounts=None):
    Path("report.csv").write_text(text)
    shelf = Shelf(*(found or (make_entry(), make_entry(make_line(1)))))
    return read_statement(shelf, MONTH, Path("report.csv"), columns, vendor, accounts).compared


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_report_of_aws_that_agrees():
    text = (
        "Product Code,End User Account ID,Usage Date,Dimension Key,Usage Quantity,Estimated Revenue,Currency\n"
        "p1,111122223333,2026-11-20,api_calls,10,0.10,USD\np1,111122223333,2026-12-01,api_calls,7,7,USD\n"
    )
    compared = compare(text, accounts={"111122223333": "cust_1"})
    assert (compared["differences"], compared["rows"], compared["amounts"]) == ([], 1, True)
    assert compared["keys"] == ["vendor", "customer_id", "dimension", "currency"]


def test_m13_what_was_billed_to_a_strangers_account_is_a_difference():
    """As found: a column of which the ledger knew no value was left out, so that a stranger's bill agreed."""
    text = "End User Account ID,Usage Date,Dimension Key,Usage Quantity\n999999999999,2026-11-20,api_calls,10\n"
    for accounts in ({"111122223333": "cust_1"}, {}):
        found = compare(text, accounts=accounts)["differences"]
        assert {(row["customer_id"], row["our_units"], row["their_units"]) for row in found} == {
            ("999999999999", 0, 10),
            ("cust_1", 10, 0),
        }


def test_units_that_differ_are_named_with_both_sides():
    (row,) = compare("customer_id,dimension,units,amount\ncust_1,api_calls,12,0.12\n")["differences"]
    assert (row["our_units"], row["their_units"], row["difference"]) == (10, 12, 2)
    assert (row["our_amount"], row["their_amount"]) == (Decimal("0.1"), Decimal("0.12"))


def test_amounts_of_several_currencies_are_compared_by_currency_only():
    found = (make_entry(), make_entry(make_line(1, currency="EUR")))
    without = compare("customer_id,units,amount\ncust_1,10,99\n", *found)
    assert (without["differences"], without["amounts"]) == ([], False)
    assert "currencies" in without["notes"][0]
    within = compare("customer_id,units,amount,currency\ncust_1,5,0.05,USD\ncust_1,5,0.07,EUR\n", *found)
    assert [(row["currency"], row["their_amount"]) for row in within["differences"]] == [("EUR", Decimal("0.07"))]


def test_the_marketplace_of_a_report_must_be_known():
    found = (make_entry(), make_entry(make_line(1, vendor="azure")))
    with pytest.raises(ConfigurationError, match="several marketplaces"):
        compare("customer_id,units\ncust_1,5\n", *found)
    assert compare("customer_id,units\ncust_1,5\n", *found, vendor="aws")["differences"] == []
    assert compare("marketplace,units\nAWS,5\nAzure,5\n", *found)["differences"] == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('customer_id,units\ncust_1,"1,000"\n', "line 2: units: '1,000' is not a number"),
        ("customer_id,units,day\ncust_1,1,2026-11-20\n\ncust_1,1,20.11.2026\n", "line 4: day: '20.11.2026'"),
        ("customer_id,quantities\ncust_1,1\n", "lacks units"),
        ("", "lacks units"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(text, problem):
    with pytest.raises(ConfigurationError, match=problem):
        compare(text)


def test_a_report_of_azure_with_names_of_its_own():
    text = "\ufeffMarketplaceSubscriptionId,Usage Date,Meter Dimension,NormalizedUsage,Count\n"
    text += "cust_1,11/20/2026 0:00,api_calls,9,5\n"
    assert compare(text)["differences"][0]["their_units"] == 9
    found = compare(text, columns={"units": "Count"})["differences"]
    assert found[0]["their_units"] == 5
    with pytest.raises(ConfigurationError, match="is not a column of usage"):
        compare(text, columns={"colour": "Count"})


def test_an_empty_month_beside_a_report():
    compared = compare("customer_id,units\ncust_1,1\n", make_entry(make_line(24 * 20)))
    assert [row["our_units"] for row in compared["differences"]] == [0]
    assert compare("customer_id,units\n", make_entry(make_line(24 * 20)))["differences"] == []
