"""`push statement` and `push carry`: what a controller and an operator type (I5)."""

import csv
import io
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
    assert [found["totals"]["unknown"][name]["amount"] for name in ("measured", "accepted")] == [cost(rows)] * 2
    figures = desk.run("push", "statement", "--month", month_of(rows), "--csv")
    assert figures.code == 0
    table = list(csv.DictReader(io.StringIO(figures.out)))
    assert sum(Fraction(line["accepted_amount"]) for line in table) == cost(rows)
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
        (["--month", "2026-11", "--csv", "--json"], "cannot be combined with --json"),
        (["--month", "2026-11"], "there is no ledger"),
        (["--month", "2026-11", "--column", "units"], "is not ours=theirs"),
    ],
)
def test_mistakes_of_a_statement_end_with_78(desk, small, arguments, says):
    figures = desk.run("push", "statement", *arguments)
    assert figures.code == 78 and says in figures.out + figures.err


def test_late_usage_is_shown_confirmed_and_billed_once(small, desk, teller):
    rows = rows_of(small, back=(1,), most=2)
    teller.push(rows, "--confirm")
    more = [{**rows[0], "units": str(Decimal(rows[0]["units"]) + 3)}, rows[1]]
    teller.push(more, "--confirm", code=65)
    sent = len(taken_by(small))
    shown = teller.run("carry", code=65)
    assert (shown["verdict"], [one["units"] for one in shown["carry"]]) == ("dry_run", [3])
    assert shown["checks_skipped"] == ["customers", "entitlements"]
    before = len(taken_by(small))
    assert before == sent, "a dry run sends nothing"
    carried = teller.run("carry", "--confirm", "--reason", "agreed with the customer")
    assert carried["push"]["lines"]["accepted"] == 1
    assert [usage["units"] for body in taken_by(small)[before:] for usage in body["details"]["usages"]] == [3]
    assert teller.run("carry", "--confirm")["carry"] == []
    teller.push(more, "--confirm")
    assert len(taken_by(small)) == before + 1
    (entry,) = [entry for entry in teller.entries() if entry.carried_units]
    assert "agreed with the customer" in entry.error
    figures = desk.run("push", "carry")
    assert figures.code == 0 and "There is no late usage" in figures.out


def test_late_usage_of_a_line_that_the_ledger_does_not_have_ends_with_78(small, desk, teller):
    teller.push(rows_of(small, back=(1,), most=1), "--confirm")
    assert desk.run("push", "carry", "no-such-line", *teller.ledger).code == 78
