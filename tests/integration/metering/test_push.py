"""I5: each line of usage is billed once or said not to be. I4: a push keeps to the quota. I6: no secret leaves."""

import ast
import json
import random
import subprocess
import sys
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import permutations
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import automatum
from tests.support.loopback import Say, error
from tests.support.pushing import (
    COLUMNS,
    NOON,
    UTC,
    YES,
    Api,
    Books,
    Teller,
    cost,
    cost_of_bodies,
    counts,
    first,
    hour_of,
    keys_of,
    keys_of_bodies,
    money,
    rows_of,
    sent_to,
    taken_by,
    write_csv,
)


@pytest.fixture
def teller(desk):
    return Teller(desk)


@pytest.fixture
def at_noon(start, tmp_path):
    """A sandbox whose calendar begins at NOON, and pushes whose clock stands there."""
    served = start(customers=12, entitlements=20, private_offers=3, days=2, now=NOON)
    return served.sandbox, Books.at(served, tmp_path)


def bodies_needed(rows):
    """By the rules of the marketplaces alone: one for each customer's listing and hour, of up to 25 dimensions."""
    groups = {}
    for row in rows:
        hour = datetime.fromisoformat(row["usage_at"]).replace(minute=0)
        key = (row["vendor"], row["listing_id"], row["customer_id"], row.get("entitlement_id") or None, hour)
        groups.setdefault(key, set()).add(row["dimension"])
    return sum(-(-len(dimensions) // 25) for dimensions in groups.values())


# Dry, sent, sent again


def test_a_dry_run_writes_nothing_and_asks_nobody(small, desk, teller, tmp_path):
    rows = rows_of(small)
    before = sorted(tmp_path.rglob("*"))
    usage = write_csv(rows)
    figures = teller.push(usage)
    assert figures["verdict"] == "dry_run"
    assert {"verdict", "requests", "charged", "lines", "refused"} <= set(figures)
    counts(figures, to_send=len(rows))
    assert (figures["requests"], figures["refused"]) == (0, [])
    assert charged(figures) == cost(rows)
    assert small.requests.all() == []
    assert set(tmp_path.rglob("*")) - set(before) == {desk.folder / usage}, "a dry run made a file"


def test_the_money_is_shown_to_the_last_digit(tmp_path):
    """Dry and sent: with all the digits that the rules admit, which are more than decimals have by default."""
    rows = [
        {**two_customers()[0], "dimension": f"dim_{place}", "units": f"{2147483646 - place}.99999{place}",
         "price": f"9876543210.00000000012{place}"}
        for place in range(1, 10)
    ]  # fmt: skip
    with Api() as api:
        books = Books(api.url, tmp_path)
        assert money(books.push(rows, dry=True)) == cost(rows)
        assert money(books.push(rows)) == cost(rows) == cost_of_bodies(api.taken)
        assert books.accepted() == cost(rows)


def test_a_dry_run_needs_no_credentials_and_shows_the_money(small, desk):
    rows = rows_of(small)
    desk.set(client_id=None, client_secret=None)
    ran = desk.run("push", "--usage", write_csv(rows))
    assert ran.code == 0, ran
    dollars = cost(rows)
    money = f"{Decimal(dollars.numerator) / Decimal(dollars.denominator):f}".rstrip("0")
    assert f"to be sent {len(rows)}" in ran.says.replace("│", " ").replace("  ", " "), ran
    assert f"Would charge {money}" in ran.says, ran
    assert small.requests.all() == []


def test_a_dry_run_lists_its_lines_and_says_what_was_not_checked(small, desk, teller):
    """Up to 20 lines in the text, all in the JSON; the requests that it would take; each check that was skipped."""
    rows = rows_of(small)
    assert len(rows) > 20
    figures = teller.push(rows)
    assert keys_of_listed(figures) == keys_of(rows)
    assert figures["requests_needed"] == figures["bodies"] == bodies_needed(rows)
    assert list(figures["charged"]) == ["unknown"]
    assert figures["checks_skipped"] == ["customers", "entitlements"]
    assert "not checked against customers and entitlements" in figures["warnings"][0]
    ran = desk.run("push", "--usage", write_csv(rows))
    for place, one in enumerate(figures["to_send"]):
        listed = (
            f"{one['customer_id']} {one['listing_id']} {one['dimension']}: {one['asked_units']} at {one['price']} ="
        )
        assert (listed in ran.says) == (place < 20), (place, ran)
    assert f"and {len(rows) - 20} more; --json lists all" in ran.says, ran
    assert f"in {bodies_needed(rows)} requests" in ran.says
    assert "run automatum sync customers entitlements first" in ran.says
    asked = desk.run("push", "--usage", write_csv(rows), "--unchecked")
    assert "not checked" not in asked.says, "who asked for it needs no note"
    one = desk.run("push", "--usage", write_csv(rows[:1]))
    assert "in 1 request." in one.says and "1 requests" not in one.says, one


@pytest.mark.slow
def test_a_dry_run_sums_by_the_currency_of_the_entitlements(small, desk, teller):
    for position, id_ in enumerate(small.rows.ids("entitlements")):
        small.rows.change("entitlements", id_, {"currency": ("USD", "EUR", None)[position % 3]})
    assert desk.sync("customers", "entitlements").code == 0
    rows = rows_of(small)
    figures = teller.push(rows)
    assert figures["checks_skipped"] == [] and "not checked" not in str(figures["warnings"])
    assert set(figures["charged"]) == {"USD", "EUR", "unknown"}
    assert charged(figures) == cost(rows)
    for currency, amount in figures["charged"].items():
        assert Fraction(amount) == sum(
            Fraction(one["asked_amount"]) for one in figures["to_send"] if one["currency"] == currency
        )
    said = desk.run("push", "--usage", write_csv(rows)).says
    assert f"{figures['charged']['EUR']} EUR" in said, said


def charged(figures):
    """Money in all currencies."""
    return sum(map(Fraction, figures["charged"].values()), Fraction(0))


def keys_of_listed(figures):
    """How often each line occurs in `to_send` of a dry run."""
    return Counter(
        (
            one["vendor"],
            one["listing_id"],
            one["customer_id"],
            one["starts_at"][:10],
            one["dimension"],
            Fraction(one["asked_units"]),
            Fraction(one["price"]),
        )
        for one in figures["to_send"]
    )


def test_a_push_bills_each_line_once_and_the_next_sends_nothing(small, teller):
    rows = rows_of(small)
    figures = teller.push(rows, "--confirm")
    counts(figures, accepted=len(rows))
    assert figures["verdict"] == "complete"
    assert charged(figures) == cost(rows) == cost_of_bodies(taken_by(small))
    assert keys_of_bodies(taken_by(small)) == keys_of(rows)
    assert figures["requests"] == len(sent_to(small)) == figures["bodies"] == bodies_needed(rows)
    assert figures["token_requests"] == 1
    small.requests.clear()
    again = teller.push(rows, "--confirm")
    counts(again)
    assert (again["already_accepted"], again["charged"]) == (len(rows), {})
    assert (again["requests"], again["token_requests"], small.requests.all()) == (0, 0, [])
    dry = teller.push(rows)
    counts(dry)
    assert (dry["already_accepted"], dry["charged"]) == (len(rows), {})


def test_rows_in_another_order_and_form_are_the_same_lines(small, teller):
    rows = rows_of(small)
    teller.push(rows, "--confirm")
    rows = [{**row, "units": row["units"] + "00", "price": row["price"] + "0"} for row in reversed(rows)]
    assert teller.push(rows, "--confirm")["already_accepted"] == len(rows)
    assert keys_of_bodies(taken_by(small)) == keys_of(rows)


@pytest.mark.slow
def test_a_changed_quantity_after_acceptance_is_a_conflict_and_is_not_sent(small, desk, teller):
    rows = rows_of(small)
    teller.push(rows, "--confirm")
    small.requests.clear()
    was, rows[3]["units"] = rows[3]["units"], "777.25"
    for again in ([], ["--confirm"], ["--confirm"], []):
        figures = teller.push(rows, *again, code=65)
        counts(figures, conflict=1)
        (shown,) = figures["waiting"]
        assert Decimal(shown["accepted_units"]) == Decimal(was)
        assert (shown["asked_units"], shown["dimension"]) == (Decimal("777.25"), rows[3]["dimension"])
    assert small.requests.all() == []
    says = desk.run("push", "--usage", "usage.csv").says
    assert f"{Decimal(was).normalize():f}" in says and "777.25" in says, says
    assert teller.states() == {"accepted": len(rows) - 1, "conflict": 1}
    rows[3]["units"] = was
    counts(teller.push(rows, "--confirm"))
    assert teller.states() == {"accepted": len(rows)}


def test_a_changed_price_is_a_conflict_too(small, teller):
    rows = rows_of(small)
    teller.push(rows, "--confirm")
    rows[0]["price"] = "9.99"
    figures = teller.push(rows, "--confirm", code=65)
    counts(figures, conflict=1)
    assert figures["waiting"][0]["price"] == Decimal("9.99")
    assert not keys_of_bodies(taken_by(small)) & keys_of(rows[:1])


# Money


@pytest.mark.slow
def test_10_000_lines_come_to_the_cent(start, tmp_path):
    """The server checks each body's sum by itself; the total is compared with one that uses none of our code."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    rng = random.Random(seed)
    served = start(customers=100, entitlements=0, private_offers=0, days=1, now=NOON)
    sandbox = served.sandbox
    dimensions = [f"dim_{number:02}" for number in range(25)]
    listing = next(one for one in sandbox.organizations[sandbox.organization_id].listings if one.vendor == "aws")
    for customer in sandbox.rows.ids("customers"):
        fields = {"customerId": customer, "vendor": "aws", "listingId": listing.id, "status": "active"}
        sandbox.rows.insert("entitlements", {**fields, "dimensions": [{"key": one} for one in dimensions]})

    def row(customer, dimension, hours, price):
        units = f"{rng.randrange(10 ** rng.randrange(1, 8))}.{rng.randrange(10**6):06}"
        at = hour_of(NOON, hours) + timedelta(seconds=rng.randrange(3600))
        return {
            "customer_id": customer, "listing_id": listing.id, "vendor": "aws", "dimension": dimension,
            "units": units, "price": price, "usage_at": at.isoformat(),
        }  # fmt: skip

    rows = []
    for customer in sandbox.rows.ids("customers"):
        for dimension in dimensions:
            for hours in (1, 2, 3, 4):
                price = f"{rng.randrange(100)}.{rng.randrange(10**12):012}"[: rng.randrange(4, 16)]
                rows += [row(customer, dimension, hours, price) for _ in range(rng.choice((1, 1, 1, 1, 2)))]
    rng.shuffle(rows)
    books = Books.at(served, tmp_path)
    summary = books.push(rows)
    assert summary.lines["accepted"] == 10_000
    expected = cost(rows)
    assert money(summary) == expected
    assert cost_of_bodies(taken_by(sandbox)) == expected
    sums = {}
    for body in taken_by(sandbox):
        for usage in body["details"]["usages"]:
            key = body["details"]["customer"]["id"], usage["apiKey"]
            sums[key] = sums.get(key, 0) + Fraction(usage["units"]) * Fraction(usage["price"])
    wanted = {}
    for one in rows:
        key = one["customer_id"], one["dimension"]
        wanted[key] = wanted.get(key, 0) + Fraction(one["units"]) * Fraction(one["price"])
    assert sums == wanted
    assert books.accepted() == expected
    assert summary.requests == len(sent_to(sandbox)) == 400
    again = books.push(rows)
    assert (again.requests, again.token_requests, again.plan.same) == (0, 0, 10_000)


PAYLOAD_PATH = (
    "model",
    "usage/usage",
    "usage/query",
    "payloads",
    "answers",
    "plan",
    "send",
    "push",
    "settle",
)


@pytest.mark.parametrize("module", PAYLOAD_PATH)
def test_no_float_is_used_between_usage_and_invoice(module):
    tree = ast.parse((Path(automatum.__file__).parent / "metering" / f"{module}.py").read_text())
    asked = [
        name
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "isinstance"
        for name in ast.walk(call.args[1])
    ]
    # When to come back is a time, not money.
    asked += [
        name
        for made in ast.walk(tree)
        if isinstance(made, ast.FunctionDef) and made.name == "resume_at" and made.returns
        for name in ast.walk(made.returns)
    ]
    found = []
    for node in ast.walk(tree):
        named = isinstance(node, ast.Name) and node.id in ("float", "round") and node not in asked
        written = isinstance(node, ast.Constant) and isinstance(node.value, (float, complex))
        divided = isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.Div)
        imported = isinstance(node, (ast.Import, ast.ImportFrom)) and "math" in ast.unparse(node)
        if named or written or (divided and "folder" not in ast.unparse(node)) or imported:
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
    assert found == []


# Time


def test_the_open_hour_waits_and_goes_out_when_it_is_over(at_noon):
    sandbox, books = at_noon
    closed, open_ = rows_of(sandbox, back=(1,), now=NOON), rows_of(sandbox, back=(0,), now=NOON)
    for row in open_:
        row["units"] = str(Decimal(row["units"]) + 1000)
    rows = [*closed, *open_]
    summary = books.push(rows)
    assert (summary.lines["accepted"], summary.usage.open_rows, summary.exit_code) == (
        len(closed),
        len(open_),
        0,
    )
    assert keys_of_bodies(taken_by(sandbox)) == keys_of(closed)
    assert books.push(rows).requests == 0
    books.clock.advance(29 * 60 + 59)
    assert books.push(rows).requests == 0
    books.clock.advance(1)
    later = books.push(rows)
    assert (later.lines["accepted"], later.usage.open_rows) == (len(open_), 0)
    assert keys_of_bodies(taken_by(sandbox)) == keys_of(rows)


def test_the_open_day_waits_too(at_noon):
    sandbox, books = at_noon
    rows = rows_of(sandbox, back=(1, 14), now=NOON)
    yesterday = [row for row in rows if datetime.fromisoformat(row["usage_at"]).date() < NOON.date()]
    summary = books.push(rows, grain="day", late_ok=True)
    assert 0 < summary.lines["accepted"] == len(yesterday)
    assert summary.usage.open_rows == len(rows) - len(yesterday)
    assert keys_of_bodies(taken_by(sandbox)) == keys_of(yesterday)


@pytest.mark.sample(2)
@pytest.mark.parametrize(("one", "other"), list(permutations(("hour", "day"))))
@pytest.mark.parametrize("settled", [True, False])
def test_hours_and_days_of_one_date_never_mix(one, other, settled, at_noon):
    """Also not when nobody knows what became of the first of them."""
    sandbox, books = at_noon
    rows = rows_of(sandbox, back=(14, 15), now=NOON, most=4)
    if not settled:
        sandbox.faults.add("status", "/api/v1/metering", status=500, count=2)
    before = books.push(rows, grain=one, late_ok=True)
    assert before.exit_code == (0 if settled else 65)
    assert books.states().get("accepted", 0) == before.lines["accepted"]
    taken = keys_of_bodies(taken_by(sandbox))
    mixed = books.push(rows, grain=other, late_ok=True)
    blocked = {entry.line.date_key for entry in books.entries().values()}
    assert mixed.lines["refused"] == len(rows) if len(blocked) == len(rows) else mixed.lines["refused"]
    assert all(f"by the {one} already" in refused.reason for refused in mixed.plan.refusals)
    assert {entry.line.grain for entry in books.entries().values()} == {one}
    assert keys_of_bodies(taken_by(sandbox)) == taken


def test_late_and_too_late(at_noon):
    sandbox, books = at_noon
    rows = {hours: rows_of(sandbox, back=(hours,), now=NOON, most=1) for hours in (1, 2, 5, 7, 30)}
    for hours, (row,) in rows.items():
        row["units"] = f"{hours}.5"
    usage = [row for some in rows.values() for row in some]
    for confirmed in (False, True):
        summary = books.push(usage, dry=not confirmed)
        assert summary.plan.late == 2
        assert sorted(line.units for line, _ in summary.plan.expired) == [Decimal("7.5"), Decimal("30.5")]
        assert all("too late" in reason and "--late-ok" in reason for _, reason in summary.plan.expired)
        assert summary.exit_code == 65
    assert keys_of_bodies(taken_by(sandbox)) == keys_of(usage[:3])
    assert books.states() == {"accepted": 3, "unbilled": 2}
    assert money(summary) == cost(usage[:3])
    # Said again each time, until somebody lets them through.
    assert books.push(usage).lines["expired"] == 2
    through = books.push(usage, late_ok=True)
    assert (through.lines["accepted"], through.lines["expired"], through.exit_code) == (1, 1, 65)
    assert keys_of_bodies(taken_by(sandbox)) == keys_of(usage[:4])


@pytest.mark.parametrize(("minutes", "left"), [(-1, 1), (0, 0)])
def test_a_month_ends_six_hours_into_the_next(minutes, left, tmp_path):
    """On Azure, whose day is longer, nothing changes at that moment; on AWS, only for the month before."""
    now = datetime(2026, 12, 1, 6, tzinfo=UTC) + timedelta(minutes=minutes)
    last, next_ = datetime(2026, 11, 30, 23, 30, tzinfo=UTC), datetime(2026, 12, 1, 1, tzinfo=UTC)
    aws = [{**two_customers()[0], "units": "1", "usage_at": last.isoformat()}]
    rows = [*aws, {**aws[0], "units": "2", "usage_at": next_.isoformat()}, {**aws[0], "units": "3", "vendor": "azure"}]
    with Api() as api:
        books = Books(api.url, tmp_path)
        books.clock.set_wall((now - NOON).total_seconds())
        # By the day the hours do not count, only the month's end.
        by_day = books.push(aws, dry=True, grain="day").plan.expired
        assert [line.day.month for line, _ in by_day] == [11] * (1 - left)
        summary = books.push(rows)
        assert [line.units for line, _ in summary.plan.expired] == [1]
        assert summary.lines["accepted"] == 2


def test_no_zero_goes_to_azure_and_one_goes_to_aws(start, tmp_path):
    served = start(customers=60, entitlements=80, private_offers=3, days=2, now=NOON)
    sandbox, books = served.sandbox, Books.at(served, tmp_path)
    rows = rows_of(sandbox, back=(1,), now=NOON)
    aws = [row for row in rows if row["vendor"] == "aws"][:2]
    azure = [row for row in rows if row["vendor"] == "azure"][:2]
    aws[0]["units"], azure[0]["units"] = "0", "0.00"
    summary = books.push([*aws, *azure])
    assert (summary.lines["accepted"], len(summary.usage.zeros), summary.exit_code) == (3, 1, 0)
    assert keys_of_bodies(taken_by(sandbox)) == keys_of([*aws, azure[1]])


def test_an_unknown_marketplace_goes_out_with_a_warning(tmp_path):
    rows = [{**row, "vendor": "gcp"} for row in two_customers()]
    with Api() as api:
        summary = Books(api.url, tmp_path).push(rows)
        assert (summary.lines["accepted"], summary.exit_code) == (len(rows), 0)
        assert any("'gcp'" in one for one in summary.to_json()["warnings"])
        assert keys_of_bodies(api.taken) == keys_of(rows)


def two_customers(hours=2):
    at = (hour_of(NOON, hours) + timedelta(minutes=1)).isoformat()
    return [
        {"customer_id": f"cust_{one}", "listing_id": "list_1", "vendor": "aws", "dimension": "api_calls",
         "units": f"{one}{hours}", "price": "0.01", "usage_at": at}
        for one in (1, 2)
    ]  # fmt: skip


def test_the_earliest_deadline_goes_first_and_what_is_past_it_last(tmp_path):
    """AWS closes after 6 hours, Azure after 24: hours of AWS come first though Azure's are older."""
    places = [("aws", 2), ("azure", 3), ("aws", 5), ("azure", 20), ("aws", 9), ("aws", 12), ("aws", 1)]
    rows = [{**two_customers(hours)[0], "vendor": vendor, "units": str(hours)} for vendor, hours in places]
    with Api() as api:
        books = Books(api.url, tmp_path)
        dry = books.push(rows, dry=True, late_ok=True).to_json()
        summary = books.push(rows, late_ok=True)
        sent = [(body["vendor"], int(body["details"]["usages"][0]["units"])) for body in api.bodies]
        # Left: 5 h: 1 h; 2 h: 4; azure 20 h: 4 (starts earlier); 1 h: 5; azure 3 h: 21. Past it: aws 9 h and 12 h.
        listed = [(line["vendor"], int(line["asked_units"])) for line in dry["to_send"]]
        assert listed == sent, "the dry run lists them in the order of the requests"
        assert sent[0] == ("aws", 5)
        assert set(sent[1:3]) == {("aws", 2), ("azure", 20)}
        assert sent[3:5] == [("aws", 1), ("azure", 3)]
        assert set(sent[5:]) == {("aws", 9), ("aws", 12)}
        assert summary.lines["accepted"] == len(rows)


# Wrong input

NOT_ONE = [
    ({"units": "-3"}, "negative"),
    ({"units": "abc"}, "units: 'abc' is not a plain number"),
    ({"units": "NaN"}, "units"),
    ({"units": ""}, "units is missing"),
    ({"units": "1,000"}, "without separators"),
    ({"units": "1.1234567"}, "more than 6 digits after the decimal point"),
    ({"units": "99999999999"}, "is more than"),
    ({"price": "-0.01"}, "negative"),
    ({"price": "free"}, "price: 'free' is not a plain number"),
    ({"price": ""}, "price is missing"),
    ({"customer_id": " "}, "customer_id is missing"),
    ({"dimension": ""}, "dimension is missing"),
    ({"listing_id": ""}, "listing_id is missing"),
    ({"vendor": ""}, "vendor is missing"),
    ({"usage_at": ""}, "usage_at is missing"),
    ({"usage_at": "yesterday"}, "usage_at"),
    ({"usage_at": "2026-11-24"}, "has a date only; use --grain day"),
    ({"usage_at": "2999-01-01T00:00:00Z"}, "in the future"),
    ({"usage_at": "1764000000"}, "usage_at"),
]


def test_each_wrong_row_is_named_and_the_lines_of_others_go_out(small, teller):
    """Of the line of a wrong row nothing is sent, also where its key cannot be read whole."""
    good = rows_of(small)
    rows, wrong = list(good), {}
    for row, (change, reason) in zip(good, NOT_ONE, strict=False):
        rows.append({**row, **change})
        wrong[len(rows) + 1] = reason
    for arguments, verdict in (([], "dry_run"), (["--confirm"], "incomplete")):
        figures = teller.push(rows, *arguments, code=65)
        assert figures["verdict"] == verdict
        for row, reason in wrong.items():
            named = [one["reason"] for one in figures["refused"] if row in one["rows"]]
            assert any(reason in one for one in named), (row, named)
    taken = keys_of_bodies(taken_by(small))
    assert taken <= keys_of(good)
    assert not taken & keys_of(good[:8]), "rows whose key can be read"


def test_two_prices_for_one_line_are_both_refused(small, teller):
    rows = rows_of(small)
    rows.insert(3, {**rows[0], "price": "0.77"})
    figures = teller.push(rows, "--confirm", code=65)
    assert {row for one in figures["refused"] for row in one["rows"]} == {2, 5}
    assert all("0.77" in one["reason"] for one in figures["refused"])
    assert keys_of_bodies(taken_by(small)) == keys_of([*rows[1:3], *rows[4:]])


def test_nan_and_binary_remainders_in_a_frame_are_refused(at_noon):
    import pandas as pd

    sandbox, books = at_noon
    rows = rows_of(sandbox, back=(1,), now=NOON, most=4)
    frame = pd.DataFrame(rows)
    frame["units"] = [1.5, float("nan"), 0.1 + 0.2, float("inf")]
    summary = books.push(frame)
    assert {row for one in summary.plan.refusals for row in one.rows} == {2, 3, 4}
    assert summary.lines["accepted"] == 1
    assert keys_of_bodies(taken_by(sandbox)) == keys_of([{**rows[0], "units": "1.5"}])


def all_dimensions_known(sandbox, one):
    """An entitlement without dimensions may hold any, as far as the tables tell."""
    own = [row for row in sandbox.rows.all("entitlements") if row.get("customerId") == one.customer_id]
    return all(row.get("dimensions") for row in own if row.get("listingId") == one.listing_id)


@pytest.mark.slow
def test_unknown_customers_listings_and_dimensions_are_refused_by_the_synced_tables(small, desk, teller):
    assert desk.sync("customers", "entitlements").code == 0
    small.requests.clear()
    rows = rows_of(small)
    one = next(one for one in small.metering.billable() if all_dimensions_known(small, one))
    rows.sort(key=lambda row: (row["customer_id"], row["listing_id"]) != (one.customer_id, one.listing_id))
    bad = [
        {**rows[0], "customer_id": "cust_nobody"},
        {**rows[0], "listing_id": "list_none"},
        {**rows[0], "dimension": "dim_none"},
    ]
    figures = teller.push([*rows, *bad], "--confirm", code=65)
    counts(figures, accepted=len(rows), refused=3)
    assert [one["rows"] for one in figures["refused"]] == [[len(rows) + place] for place in (2, 3, 4)]
    assert "cust_nobody" in figures["refused"][0]["reason"]
    assert keys_of_bodies(taken_by(small)) == keys_of(rows)
    assert len(sent_to(small)) == bodies_needed(rows), "the API was asked about what the tables know"
    # Their refusals are open until a push takes them.
    counts(teller.push([*rows, *bad], "--unchecked", code=65), to_send=3)


@pytest.mark.slow
def test_i5_what_is_settled_by_sending_is_checked_against_the_synced_tables(small, desk, teller):
    """The rows name a dimension that the entitlement does not have."""
    assert desk.sync("customers", "entitlements").code == 0
    one = next(one for one in small.metering.billable() if all_dimensions_known(small, one))
    (row,) = [row for row in rows_of(small, back=(2,)) if row["customer_id"] == one.customer_id][:1]
    row = {**row, "dimension": "dim_none"}
    teller.push([row], "--confirm", "--unchecked", code=65)
    (entry,) = teller.entries("unbilled")
    small.requests.clear()
    for arguments in (["--not-billed", "--send"], ["--carry"]):
        for confirm in ([], ["--confirm"]):
            refused = teller.run("settle", entry.id, *arguments, *confirm, code=65)
            assert "dim_none" in refused["refused"][0]["reason"]
    assert sent_to(small) == []


@pytest.mark.parametrize("column", ["units", "price", "customer_id", "usage_at"])
def test_a_source_without_a_column_is_refused_as_a_whole(column, small, desk):
    rows = [{name: value for name, value in row.items() if name != column} for row in rows_of(small)]
    ran = desk.run("push", "--usage", write_csv(rows), "--confirm", "--new-ledger", "--json")
    assert ran.code == 78
    assert column in ran.says
    assert "It has: " in ran.says
    assert small.requests.all() == []


# Sources


def make_relations(desk, rows):
    with duckdb.connect(str(desk.database)) as connection:
        connection.execute("CREATE SCHEMA automatum")
        connection.execute("USE automatum")
        connection.execute(
            "CREATE TABLE used (customer_id VARCHAR, listing_id VARCHAR, vendor VARCHAR, dimension VARCHAR, "
            "units DECIMAL(18, 6), price DECIMAL(18, 12), usage_at TIMESTAMPTZ, plenty VARCHAR DEFAULT 'x')"
        )
        names = "customer_id, listing_id, vendor, dimension, units, price, usage_at"
        connection.executemany(
            f"INSERT INTO used ({names}) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [[row[name] for name in COLUMNS] for row in rows],
        )
        connection.execute(f"CREATE VIEW used_now AS SELECT {names} FROM used")


@pytest.mark.slow
@pytest.mark.parametrize("source", ["used", "automatum.used", "used_now", "sql:SELECT * FROM used WHERE units >= 0"])
def test_usage_from_a_relation(source, small, desk, teller):
    rows = rows_of(small)
    make_relations(desk, rows)
    counts(teller.push(source, "--confirm"), accepted=len(rows))
    assert keys_of_bodies(taken_by(small)) == keys_of(rows)
    again = teller.push(rows, "--confirm", code=65)
    assert (again["lines"]["other_source"], again["requests"]) == (len(rows), 0), "the same lines, from a file"
    named = teller.push(rows, "--confirm", "--source", again["other_sources"][0]["other"]["source"], code=65)
    assert named["already_accepted"] == len(rows)


def test_usage_from_a_parquet_file_with_other_names(small, desk, teller):
    rows = rows_of(small)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    columns["quantity"] = pa.array([Decimal(one) for one in columns.pop("units")], pa.decimal128(20, 6))
    columns["account"] = columns.pop("customer_id")
    columns["usage_at"] = pa.array(
        [datetime.fromisoformat(one) for one in columns["usage_at"]], pa.timestamp("us", "UTC")
    )
    pq.write_table(pa.table(columns), "usage.parquet")
    mapped = ("--map", "units=quantity", "--map", "customer_id=account")
    counts(teller.push("usage.parquet", *mapped, "--confirm"), accepted=len(rows))
    assert keys_of_bodies(taken_by(small)) == keys_of(rows)
    ran = desk.run("push", "--usage", "usage.parquet", "--map", "units=amount")
    assert ran.code == 78 and "amount" in ran.says, ran


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--usage", "none.csv"], "there is no file none.csv"),
        (["--usage", "used"], "there is none"),
        (["--usage", "usage.csv", "--map", "units"], "is not ours=theirs"),
        (["--usage", "usage.csv", "--map", "amount=units"], "amount is not a usage column"),
        (["--usage", "usage.csv", "--grain", "week"], "neither hour nor day"),
        ([], "--usage"),
    ],
)
@pytest.mark.parametrize("confirm", [[], ["--confirm", "--new-ledger"]])
def test_what_makes_no_sense_is_said_with_78(arguments, words, confirm, small, desk):
    write_csv(rows_of(small))
    ran = desk.run("push", *arguments, *confirm, "--json")
    assert ran.code == 78, ran
    assert words in ran.says
    assert ran.json["verdict"] == "incomplete"
    assert small.requests.all() == []


# Quota


@pytest.mark.slow
def test_what_a_push_has_no_quota_for_goes_out_with_the_next(small, desk, teller):
    """I4, I5: exit 75 and when to come back. A push of other usage says that the rest is not sent."""
    rows, needed = rows_of(small), bodies_needed(rows_of(small))
    desk.set(application_limits=[[4, 3600]])
    figures = teller.push(rows, "--confirm", "--max-wait", "0", code=75)
    assert figures["verdict"] == "more_to_do"
    assert figures["requests"] + figures["token_requests"] == len(small.requests.all()) <= 4
    assert 0 < figures["lines"]["accepted"] < len(rows)
    assert figures["lines"]["to_send"] == len(rows) - figures["lines"]["accepted"]
    assert figures["resume_at"] > datetime.now(UTC).strftime("%Y-%m-%dT%H:%M")
    assert charged(figures) == cost_of_bodies(taken_by(small))
    assert teller.states() == {"accepted": figures["lines"]["accepted"]}
    desk.set(application_limits=[[1000, 60]])
    other = rows_of(small, back=(3,), most=2)
    for number, row in enumerate(other):
        row["units"] = f"{5000 + number}"
    waiting = teller.push(other, "--source", "other", "--confirm", code=65)
    assert (waiting["lines"]["accepted"], waiting["unresolved"]) == (2, {"run": 1})
    rest = teller.push(rows, "--confirm")
    assert (rest["lines"]["accepted"], rest["unresolved"]) == (figures["lines"]["to_send"], {})
    assert keys_of_bodies(taken_by(small)) == keys_of([*rows, *other])
    assert len(sent_to(small)) == needed + bodies_needed(other)
    assert teller.push(rows, "--confirm")["requests"] == 0


@pytest.mark.slow
@pytest.mark.parametrize(("reserve", "code"), [(0.6, 0), (0.0, 75)])
def test_a_backfill_leaves_the_push_its_reserve(reserve, code, start, desk, teller, monkeypatch):
    """I4: and with no reserve, the backfill has used up all."""
    served = start(customers=3000, entitlements=20, private_offers=3, days=2)
    desk.use(served)
    monkeypatch.setattr("automatum.api.oauth.METERING_RESERVE", reserve)
    desk.set(application_limits=[[20, 3600]])
    assert desk.sync("customers", "--max-wait", "0").code == 75
    reads = len(served.sandbox.requests.to("/api/v1/"))
    rows = rows_of(served.sandbox, back=(1,), most=4)
    teller.push(rows, "--confirm", "--max-wait", "0", "--unchecked", code=code)
    assert keys_of_bodies(taken_by(served.sandbox)) == (keys_of(rows) if code == 0 else keys_of([]))
    assert 0 < reads <= 20 * (1 - reserve)
    assert len(served.sandbox.requests.all()) <= 20


# Exit codes, secrets


def test_wrong_credentials_and_a_missing_scope_exit_77(small, desk, teller):
    write_csv(rows_of(small))
    desk.set(client_secret="secret_that_is_wrong")
    ran = desk.run("push", "--usage", "usage.csv", "--confirm", "--new-ledger", "--json")
    assert ran.code == 77
    assert "secret_that_is_wrong" not in ran.says
    with Api(scope="read:customers") as api:
        desk.set(base_url=api.url)
        ran = desk.run("push", "--usage", "usage.csv", "--confirm", "--new-ledger", "--json")
        assert (ran.code, api.bodies) == (77, [])
        assert "write:metering" in ran.says
    desk.set(client_secret=None)
    assert desk.run("push", "--usage", "usage.csv", "--confirm", "--new-ledger").code == 78
    assert taken_by(small) == []


@pytest.mark.slow
def test_no_secret_is_shown_or_written(desk, tmp_path):
    """I6: with an API that repeats all it was given; in the output, with --debug, the ledger and the export."""
    secret, words = "s3cr3t-of-the-application", ("s3cr3t-of-the-application", "t0ken-of-the-test")
    repeated = f"Bearer {words[1]} client_secret={secret}"
    says = [
        Say(202, {"code": 202, "data": {"id": "m_1", "status": "queued", "message": repeated}}),
        error(500, repeated),
        error(400, repeated, errors=[{"field": "details.usages[0]", "message": repeated}]),
    ]
    now = datetime.now(UTC)
    at = (hour_of(now, 2) + timedelta(minutes=1)).isoformat()
    rows = [{**two_customers()[0], "customer_id": f"cust_{number}", "usage_at": at} for number in range(4)]
    with Api(lambda number, body: (True, says[number - 1] if number <= 3 else Say(202, YES))) as api:
        api._scripts["/oauth/token"][0].body["access_token"] = words[1]
        desk.set(base_url=api.url, client_id="app_1", client_secret=secret)
        usage = write_csv(rows)
        figures = [
            desk.run("push", "--usage", usage, "--confirm", "--new-ledger", "--debug"),
            desk.run("push", "--usage", usage, "--confirm", "--debug", "--json"),
            desk.run("push", "status", "--json", "--debug"),
            desk.run("push", "status"),
            desk.run("push", "export", "--debug"),
        ]
        assert len(api.bodies) == 4
        assert words[1] in api.seen[1].headers["Authorization"]
    assert [one.code for one in figures] == [65, 65, 65, 65, 0], figures
    # dlt keeps no secret of ours either: its working folders are below, too.
    written = b"".join(one.read_bytes() for one in tmp_path.rglob("*") if one.is_file())
    assert b"cust_3" in written
    for word in words:
        assert word not in "".join(one.out + one.err for one in figures)
        assert word.encode() not in written


def test_exit_69_when_the_api_cannot_be_reached(small, desk, teller):
    from tests.support.loopback import closed_port

    desk.attempts(1)
    desk.set(base_url=f"http://127.0.0.1:{closed_port()}")
    ran = desk.run("push", "--usage", write_csv(rows_of(small)), "--confirm", "--new-ledger", "--json")
    assert ran.code == 69, ran
    assert json.loads(ran.out)["errors"]


def test_a_rejected_line_is_65_each_time_and_named(tmp_path):
    rows = two_customers()
    with Api(first(False, error(400, "Not for sale"))) as api:
        books = Books(api.url, tmp_path)
        for requests in (2, 0, 0):
            summary = books.push(rows)
            assert (summary.exit_code, summary.requests, summary.lines["rejected"]) == (65, requests, 1)
        assert "Not for sale" in summary.to_json()["waiting"][0]["error"]


@pytest.mark.slow
def test_a_push_keeps_the_file_open_between_its_queries(small, desk):
    """As found: of two pushes at once, one in three ended with 69: the other one had the file meanwhile."""
    desk.sync()
    codes = []

    def usage():
        other = [sys.executable, "-c", f"import duckdb; duckdb.connect({str(desk.database)!r})"]
        codes.append(subprocess.run(other, stderr=subprocess.DEVNULL).returncode)
        yield from rows_of(small, most=1)

    assert automatum.run_push(usage(), automatum.PushOptions()).lines["to_send"] == 1
    assert codes == [1]
