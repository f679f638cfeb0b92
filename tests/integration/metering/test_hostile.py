"""I5 by what a hostile reading found (M1 to M18), each as it was found, through the command line.

M13 is in `tests/integration/cli/test_books.py`, M16 to M18 in `tests/integration/cli/test_push.py`, M1 in
`tests/integration/cli/test_ledger.py` and, killed at each commit, in `tests/system/test_push_deaths.py`.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path

import duckdb
import psycopg2
import pytest

from automatum.core.clock import SystemClock
from automatum.metering.ledger.ledger import Ledger
from tests.support.desk import WIDE_LIMITS
from tests.support.loopback import Say
from tests.support.postgres import postgres  # noqa: F401  the fixture
from tests.support.pushing import UTC, YES, Api, Teller, hour_of, rows_of, taken_by, write_csv

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


class Shop:
    """A user with a marketplace that answers as a test says."""

    def __init__(self, api, desk):
        self.api, self.desk, self.teller = api, desk, Teller(desk)

    def answer(self, status, body, taken=False):
        """The next calls are answered like this; without a call, as usual."""
        self.api.decide = lambda number, _: (taken, Say(status, body))

    def accept(self):
        """Each call is taken, and gets an id."""
        self.api.decide = lambda number, _: (True, Say(202, {**YES, "data": {"id": f"m{number}", "status": "queued"}}))

    def push(self, rows, *arguments, code=0):
        return self.teller.push(rows, "--unchecked", "--confirm", *arguments, code=code)

    def settle(self, line_id, *arguments, code=0):
        return self.teller.run("settle", line_id, *arguments, "--confirm", code=code)

    def send_events(self, *events, code=0):
        Path("events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
        return self.teller.run("events", "events.jsonl", code=code)

    @property
    def billed(self):
        return sum(Fraction(usage["units"]) for body in self.api.taken for usage in body["details"]["usages"])

    @property
    def line(self):
        (entry,) = self.teller.entries()
        return entry

    @property
    def open(self):
        return self.teller.desk.run("push", "status", "--json").json["open"]


@pytest.fixture
def shop(desk):
    with Api() as api:
        limits = {"application_limits": WIDE_LIMITS}
        desk.set(base_url=api.url, client_id="app_1", client_secret="secret_of_the_app", **limits)
        made = Shop(api, desk)
        made.accept()
        yield made


@cache
def _now():
    """The present, as a test has it from its beginning to its end."""
    return datetime.now(UTC) - timedelta(minutes=6)


@pytest.fixture(autouse=True)
def _one_hour():
    _now.cache_clear()


def row(units, back=1, **changes):
    at = hour_of(_now(), back) + timedelta(minutes=15)
    known = {"customer_id": "cust_1", "listing_id": "lst_1", "vendor": "azure", "dimension": "calls"}
    return {**known, "units": str(units), "price": "0.5", "usage_at": at.isoformat(), **changes}


NOT_FOR_SALE = (400, {"code": 400, "message": "Not for sale"})


def test_m2_a_carry_does_not_bill_what_another_line_has_billed(shop):
    """As found: 200 for 100."""
    shop.answer(*NOT_FOR_SALE)
    shop.push([row(100, entitlement_id="")], code=65)
    refused = shop.line.id
    shop.accept()
    shop.push([row(100, entitlement_id="ent_1")], code=65)
    assert shop.billed == 100
    for words in (("--carry",), ("--not-billed", "--send")):
        figures = shop.settle(refused, *words, "--unchecked", code=65)
        assert len(figures["refused"]) == 1
    assert shop.billed == 100


def test_m2_what_was_carried_is_not_billed_by_another_line(shop):
    shop.answer(*NOT_FOR_SALE)
    shop.push([row(100, entitlement_id="")], code=65)
    shop.accept()
    shop.settle(shop.line.id, "--carry", "--unchecked")
    shop.push([row(100, entitlement_id="ent_1")], code=65)
    assert shop.billed == 100
    assert [item["kind"] for item in shop.open] == ["refusal"]


def test_m3_a_carried_line_is_not_sent_again_in_full(shop):
    """As found: 22 of 13 after `resolve --rejected`, 18 of 13 after `retry`."""
    shop.push([row(10)])
    shop.push([row(13)], code=65)
    line_id = shop.line.id
    shop.settle(line_id, "--carry", "--unchecked")
    assert shop.billed == 13
    failed = {"id": "evt_1", "event": "metering.failed", "data": {"id": "m1", "reason": "no such plan"}}
    shop.send_events(failed, code=65)
    shop.push([row(13)], code=65)
    shop.settle(line_id, "--not-billed", "--send", "--unchecked", code=65)
    assert shop.billed == 13, "10 of them failed, and nobody has sent them again"
    shop.settle(line_id, "--carry", "--unchecked")
    assert shop.billed - 10 == 13
    shop.push([row(13)])
    assert (shop.billed - 10, shop.open) == (13, [])


def test_m4_a_carry_keeps_to_the_limit(shop):
    shop.push([row(1)])
    shop.push([row(1000)], code=65)
    shop.desk.set(metering_max_amount="100")
    figures = shop.settle(shop.line.id, "--carry", "--unchecked", code=65)
    assert "max_amount" in figures["refused"][0]["reason"]
    assert shop.billed == 1


def test_m4_a_carry_without_ids_is_refused(shop):
    shop.push([row(1)])
    ran = shop.desk.run("push", "settle", "--carry", "--confirm")
    assert ran.code not in (0, 65)
    assert shop.billed == 1


@pytest.mark.parametrize(
    "said",
    [
        {"accepted": ["calls"]},
        {"queued": 2},
        {"meteringStatus": "FAILED"},
        {"billed": False},
        {"message": "Customer unsubscribed"},
        {"dryRun": True},
        {"notFound": ["calls"]},
        {"usages": [{"apiKey": "calls", "billed": 0}]},
        {"id": "m1", "result": {"ok": False}},
    ],
    ids=str,
)
def test_m5_a_no_inside_the_envelope_is_no_yes(said, shop):
    shop.answer(200, {"code": 200, "data": {"id": "m1", **said}})
    shop.push([row(1), row(2, dimension="seats")], code=65)
    assert "accepted" not in shop.teller.states()
    shop.accept()
    shop.push([row(1), row(2, dimension="seats")], code=65)
    assert len(shop.api.bodies) == 1, "nor is it sent again"


@pytest.mark.parametrize(
    "event",
    [
        {"event": "metering.failed", "data": {"call": "m1"}},
        {"event": "metering.failed", "meteringId": "m1"},
        {"event": "metering.failed", "data": {"id": "m999"}},
        {"event": "metering.rejected", "data": {"id": "m1"}},
        {"event": "metering.failed", "data": {"metering": {"id": "m1"}}},
        {"event": "metering.failed"},
        {"data": {"id": "m1", "status": "failed"}},
    ],
    ids=str,
)
def test_m6_an_event_that_cannot_be_placed_is_not_forgotten(event, shop):
    """As found: exit 0 for 8 of 9 shapes."""
    shop.push([row(1)])
    shop.send_events({"id": "evt_1", **event}, code=65)
    assert [item["kind"] for item in shop.open] == ["event"]
    shop.push([row(1)], code=65)
    item = shop.open[0]
    shop.settle(item["id"], "--never", "--reason", "seen in the marketplace")
    assert shop.open == []
    shop.push([row(1)])


def test_m7_a_file_that_is_being_written_is_not_billed(shop):
    """As found: 1 of 1000."""
    write_csv([row(1000)])
    whole = Path("usage.csv").read_text()
    Path("usage.csv").write_text(whole[: whole.index("1000") + 1])
    code = shop.desk.run("push", "--usage", "usage.csv", "--unchecked", "--confirm", "--new-ledger").code
    Path("usage.csv").write_text(whole[: whole.index("T")])  # its last line has no end
    os.utime("usage.csv", (time.time() - 30, time.time() - 30))
    again = shop.desk.run("push", "--usage", "usage.csv", "--unchecked", "--confirm", "--new-ledger")
    assert (code, again.code) == (78, 78), again
    assert shop.billed == 0
    Path("usage.csv").write_text(whole)
    shop.desk.run("push", "--usage", "usage.csv", "--unchecked", "--confirm", "--new-ledger")
    assert shop.billed == 1000


@pytest.mark.parametrize("units", [50, 70])
def test_m8_a_second_file_with_a_part_of_an_hour_is_neither_dropped_nor_sent(units, shop):
    """As found: an equal second file was dropped with exit 0, of 70 more units 20 were billed."""
    for name, part in (("east.csv", 50), ("west.csv", units)):
        write_csv([row(part)], name)
    assert shop.desk.run("push", "--usage", "east.csv", "--unchecked", "--confirm", "--new-ledger").code == 0
    for _ in range(2):
        assert shop.desk.run("push", "--usage", "west.csv", "--unchecked", "--confirm").code == 65
    (item,) = shop.open
    assert item["kind"] == "source"
    assert "east.csv" in item["why"] and "west.csv" in item["why"]
    shop.settle(shop.line.id, "--carry", "--unchecked", code=65)
    assert shop.billed == 50
    # Both as one usage: the line has all of it, and what is open is carried.
    write_csv([row(50), row(units)], "all.csv")
    arguments = ("--usage", "all.csv", "--source", str(Path("east.csv").absolute()), "--unchecked", "--confirm")
    assert shop.desk.run("push", *arguments).code == 65
    shop.settle(shop.line.id, "--carry", "--unchecked")
    assert shop.billed == 50 + units


def test_m9_a_ledger_in_postgres_that_was_put_back_is_refused(shop, postgres):  # noqa: F811  the fixture
    """As found: 5 of 5 billed twice, exit 0. The tables are those of the ledger, with less in them."""
    shop.desk.set(ledger_url=postgres)
    shop.teller = Teller(shop.desk, postgres)
    tables = ("metering_lines", "metering_attempts", "metering_journal")
    shop.push([row(1)])

    def run(*statements):
        connection = psycopg2.connect(postgres)
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        connection.close()

    run(*(f"CREATE TABLE old_{name} AS SELECT * FROM {name}" for name in tables))
    rows = [row(1), *(row(number, dimension=f"d{number}") for number in range(2, 7))]
    shop.push(rows)
    assert shop.billed == 21
    run(
        *(f"DELETE FROM {name}" for name in tables),
        *(f"INSERT INTO {name} SELECT * FROM old_{name}" for name in tables),
    )
    shop.push(rows, code=78)
    assert shop.billed == 21


def test_m10_a_422_that_took_some_sends_nothing_again(shop):
    shop.answer(422, {"code": 422, "message": "1 failed", "data": {"accepted": 1, "failed": 1}}, taken=True)
    rows = [row(1), row(2, dimension="seats")]
    shop.push(rows, code=65)
    shop.accept()
    shop.push(rows, code=65)
    assert len(shop.api.bodies) == 1
    assert shop.teller.states() == {"unknown": 2}


def test_m11_a_dry_run_gives_its_digest_whatever_else_is_open(shop):
    shop.answer(200, {})
    shop.push([row(1)], code=65)
    shop.accept()
    rows = [row(1), row(2, dimension="seats")]
    figures = shop.teller.push(rows, "--unchecked", code=65)
    shop.push(rows, "--plan", figures["plan"], code=65)
    assert shop.billed == 2
    assert shop.teller.states() == {"unknown": 1, "accepted": 1}


def test_m12_an_unusual_amount_is_sent_with_a_warning(shop):
    """As found: a true night of 150 units waited, and expired after six hours."""
    rows = [row(1, back=hours) for hours in range(2, 10)]
    shop.push(rows)
    figures = shop.push([*rows, row(150)])
    assert any("usual" in warning for warning in figures["warnings"])
    assert shop.billed == 158


@pytest.mark.parametrize(
    "status", ["cancelled", "expired", "terminated", "Unsubscribed", "NotStarted", "PendingFulfillmentStart"]
)
def test_m14_usage_of_an_entitlement_that_is_not_known_as_active_is_not_billed(status, small, desk):
    """As found: billed without a word, as its end is in the future."""
    assert desk.sync().code == 0
    rows = rows_of(small, back=(1,), named=True)[:1]
    end = datetime.now(UTC) + timedelta(days=90)
    with duckdb.connect(str(desk.database)) as connection:
        connection.execute("USE automatum")
        names = {name for (name, *_) in connection.execute("DESCRIBE entitlements").fetchall()}
        ends = [name for name in ("end_date", "expires_at") if name in names]
        changes = ", ".join(["status = $status", *(f"{name} = $ends" for name in ends)])
        connection.execute(f"UPDATE entitlements SET {changes}", {"status": status, "ends": end})
    figures = Teller(desk).push(rows, "--confirm", code=65)
    assert figures["lines"]["refused"] == 1
    assert status.lower() in figures["refused"][0]["reason"].lower()
    assert taken_by(small) == []


def test_m15_the_script_ends_with_the_exit_code_of_the_push(small, desk):
    """As found: exit 0 with 5 of 6 rows unbilled."""
    assert desk.sync().code == 0
    rows = rows_of(small, back=(1,))[:3]
    with duckdb.connect(str(desk.database)) as connection:
        write_csv([*rows, {**rows[0], "customer_id": "cust_unknown"}])
        connection.execute("CREATE TABLE automatum.usage_by_hour AS FROM read_csv('usage.csv', all_varchar = true)")
    script = [sys.executable, str(ROOT / "pipelines" / "automatum_push.py"), "--confirm", "--new-ledger"]
    ran = subprocess.run(script, capture_output=True, text=True, env={**os.environ}, check=False)
    assert ran.returncode == 65, ran
    assert sum(len(body["details"]["usages"]) for body in taken_by(small)) == len(rows)


def test_a_run_cannot_be_closed_while_its_lines_are_in_a_call(shop):
    """Found by the machine: the line of a push that died was listed nowhere after its run was closed."""
    shop.push([row(1)])
    line = replace(shop.line.line, dimension="seats")
    with (
        Ledger.open(shop.teller.url, SystemClock(), None, write=True) as ledger,
        ledger.run("usage.csv", [line]) as run,
    ):
        run.claim("body", [line])
        (item,) = (one for one in ledger.items(("run",)) if one.subject == run.id)
        shop.settle(item.id, "--never", "--reason", "seen", code=65)
        assert shop.desk.run("push", "status").code == 0, "it waits for nobody while it runs"
    assert shop.desk.run("push", "status").code == 65


def test_a_push_that_ends_does_not_close_the_run_of_one_that_died(shop):
    """Found by two processes of which one was killed: its line was in a call, and the status said 0."""
    shop.push([row(1)])
    line = replace(shop.line.line, dimension="seats")
    with (
        Ledger.open(shop.teller.url, SystemClock(), None, write=True) as ledger,
        ledger.run("usage.csv", [line]) as run,
    ):
        run.claim("body", [line])
        shop.push([row(1), row(2, dimension="more")], code=0)
        (item,) = (one for one in ledger.items(("run",)) if one.subject == run.id)
        assert item.closed_at is None
    assert shop.desk.run("push", "status").code == 65


@pytest.mark.parametrize("answer", [(200, {}), (409, {"code": 409, "message": "Already there"})], ids=["?", "409"])
def test_what_may_have_been_billed_is_not_given_up(answer, shop):
    """Found by the machine: given up, then grown and carried, it was billed twice: 21 for 15."""
    shop.answer(*answer, taken=True)
    shop.push([row(6)], code=65)
    shop.accept()
    shop.settle(shop.line.id, "--never", "--reason", "little", code=65)
    shop.push([row(15)], code=65)
    shop.settle(shop.line.id, "--carry", "--unchecked", code=65)
    assert shop.billed == 6


@pytest.mark.parametrize(("kind", "state", "code"), [("confirmed", "settled", 0), ("failed", "unbilled", 65)])
def test_an_event_about_the_billed_part_of_a_line_whose_rest_was_given_up(kind, state, code, shop):
    """Found by the machine: a failure was dropped, and 10 units with it; a confirmation was a conflict."""
    shop.push([row(10)])
    shop.push([row(13)], code=65)
    shop.settle(shop.line.id, "--never", "--reason", "3 are free")
    shop.send_events({"id": "evt_1", "event": f"metering.{kind}", "data": {"id": "m1"}}, code=code)
    assert shop.line.state == state


def test_asked_is_accepted_and_carried_and_open_in_the_status(shop):
    shop.push([row(10)])
    shop.push([row("13.000001")], code=65)
    (item,) = shop.teller.run("status", code=65)["open"]
    asked, accepted, carried, open_ = (item[f"{name}_units"] for name in ("asked", "accepted", "carried", "open"))
    assert (asked, accepted, carried, open_) == (Decimal("13.000001"), 10, 0, Decimal("3.000001"))
