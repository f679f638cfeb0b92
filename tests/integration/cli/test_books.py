"""`push statement` and `push settle --carry`: what a controller and an operator type (I5)."""

from decimal import Decimal
from fractions import Fraction

import pytest

from tests.support.pushing import Teller, cost, rows_of, taken_by, write_csv


@pytest.fixture
def teller(desk):
    return Teller(desk)


def month_of(rows):
    return rows[0]["usage_at"][:7]


def test_the_statement_of_a_push_and_the_report_that_agrees_with_it(small, desk, teller):
    rows = rows_of(small, back=(1,), most=6)
    teller.push(rows, "--confirm")
    found = teller.run("statement", "--month", month_of(rows))
    for name in ("measured_amount", "accepted_amount"):
        assert sum(Fraction(row[name]) for row in found["rows"]) == cost(rows)
    report = [{name: row[name] for name in ("customer_id", "listing_id", "dimension", "units")} for row in rows]
    report = write_csv([{**row, "vendor": one["vendor"]} for row, one in zip(report, rows, strict=True)], "report.csv")
    assert teller.run("statement", "--month", month_of(rows), "--compare", report)["compared"]["differences"] == []


def test_a_report_that_differs_ends_with_65_and_names_the_customer(small, desk, teller):
    rows = rows_of(small, back=(1,), most=2)
    teller.push(rows, "--confirm")
    names = ("vendor", "customer_id", "dimension")
    report = [{name: row[name] for name in names} | {"Menge": str(Decimal(row["units"]) + 1)} for row in rows]
    report = write_csv(report, "report.csv")
    arguments = ("--month", month_of(rows), "--compare", report, "--column", "units=Menge")
    found = teller.run("statement", *arguments, code=65)
    assert {one["difference"] for one in found["compared"]["differences"]} == {1}
    figures = desk.run("push", "statement", *arguments)
    assert figures.code == 65 and rows[0]["customer_id"] in figures.out and "Differences, by vendor" in figures.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--month", "11/2026"], "is not a month"),
        (["--month", "2026-11"], "there is no ledger"),
        (["--month", "2026-11", "--column", "units"], "is not ours=theirs"),
    ],
)
def test_mistakes_of_a_statement_end_with_78(desk, small, arguments, says):
    figures = desk.run("push", "statement", *arguments)
    assert figures.code == 78 and says in figures.out + figures.err


def test_m13_what_was_billed_to_a_strangers_account_does_not_agree(small, desk, teller):
    """As found: the account was compared only where the ledger knew one of them."""
    assert desk.sync("customers").code == 0
    rows = rows_of(small, back=(1,), most=2)
    teller.push(rows, "--confirm")
    columns = {"vendor": "vendor", "dimension": "Dimension Key", "units": "Usage Quantity"}
    report = [{named: row[ours] for ours, named in columns.items()} for row in rows]
    write_csv([{**row, "End User Account ID": "999999999999"} for row in report], "report.csv")
    arguments = ("--month", month_of(rows), "--compare", "report.csv")
    found = teller.run("statement", *arguments, code=65)["compared"]["differences"]
    strangers = [one for one in found if one["customer_id"] == "999999999999"]
    assert sum(one["their_units"] for one in strangers) == sum(Decimal(row["units"]) for row in rows)
    assert all(one["our_units"] == 0 for one in strangers) and len(found) > len(strangers)


def test_late_usage_is_shown_confirmed_and_billed_once(small, desk, teller):
    rows = rows_of(small, back=(1,), most=2)
    teller.push(rows, "--confirm")
    more = [{**rows[0], "units": str(Decimal(rows[0]["units"]) + 3)}, rows[1]]
    teller.push(more, "--confirm", code=65)
    before = len(taken_by(small))
    (item,) = teller.run("status", code=65)["open"]
    carry = ("settle", item["id"], "--carry", "--unchecked", "--reason", "agreed with the customer")
    shown = teller.run(*carry)
    assert (shown["verdict"], [one["asked_units"] for one in shown["to_send"]]) == ("dry_run", [3])
    assert len(taken_by(small)) == before, "a dry run sends nothing"
    teller.run(*carry, "--confirm")
    assert [usage["units"] for body in taken_by(small)[before:] for usage in body["details"]["usages"]] == [3]
    teller.run(*carry, "--confirm", code=65)  # nothing of it is open
    teller.push(more, "--confirm")
    assert len(taken_by(small)) == before + 1
    (row,) = [row for row in teller.run("statement", "--month", month_of(rows))["rows"] if row["carried_out_units"]]
    assert (row["carried_out_units"], row["difference_units"]) == (3, 0)
    assert desk.run("push", "statement", "--month", month_of(rows)).code == 0
