"""I5: what is left of a push is shown with the command that closes it, settled or exported; each line visibly in one
state.
"""

import json
import shlex
import sqlite3
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import duckdb
import pytest

from automatum.metering.ledger.ledger import Ledger
from tests.support.clocks import FakeClock
from tests.support.postgres import PASSWORD, postgres  # noqa: F401  fixture
from tests.support.pushing import (
    METERING,
    Api,
    Teller,
    cost,
    counts,
    exact,
    hour_of,
    keys_of,
    keys_of_bodies,
    rows_of,
    sent_to,
    taken_by,
    write_csv,
    write_events,
)


@pytest.fixture
def teller(desk):
    return Teller(desk)


@pytest.fixture
def troubled(small, teller):
    """A push of which the first body was lost, the second refused, and the others taken; teller, rows."""
    rows = rows_of(small)
    small.faults.add("lost_answer", METERING)
    small.faults.add("status", METERING, status=400, message="Not for sale")
    figures = teller.push(rows, "--confirm", code=65)
    assert figures["lines"]["unknown"] and figures["lines"]["rejected"]
    assert set(teller.states()) == {"accepted", "unknown", "unbilled"}
    return teller, rows


def ids_of(teller, *states):
    return [entry.id for entry in teller.entries(*states)]


def paste(desk, command, code=0):
    """Run a printed command as a person pastes it; its JSON."""
    program, *arguments = shlex.split(command)
    assert program == "automatum"
    ran = desk.run(*arguments, "--json")
    assert ran.code == code, ran
    return exact(ran.out)


# status


def test_status_counts_lines_and_names_what_is_open(troubled, small):
    teller, _ = troubled
    asked = len(small.requests.all())
    figures = teller.run("status", code=65)
    assert {state: number for state, number in figures["lines"].items() if number} == teller.states()
    shown = {one["id"]: one for one in figures["open"]}
    entries = {entry.id: entry for entry in teller.entries("unknown", "unbilled")}
    assert {key: one["kind"] for key, one in shown.items()} == {key: one.state for key, one in entries.items()}
    for key, one in shown.items():
        line = entries[key].line
        assert (one["asked_units"], one["price"], one["customer_id"]) == (line.units, line.price, line.customer_id)
        assert one["why"]
    said = teller.desk.run("push", "status").says
    assert all(key in said for key in shown)
    assert "Not for sale" in said
    assert len(small.requests.all()) == asked, "status asks nobody"


def test_status_is_0_when_all_is_settled(small, teller):
    teller.push(rows_of(small), "--confirm")
    figures = teller.run("status")
    assert (figures["lines"]["accepted"], figures["open"], figures["unresolved"]) == (len(rows_of(small)), [], {})
    ran = teller.desk.run("push", "status")
    assert (ran.code, ran.err) == (0, "")


def test_m17_each_open_item_names_a_command_that_can_be_pasted_and_closes_it(troubled, small, desk):
    teller, rows = troubled
    rows[-1]["units"] = "4321"  # accepted with less
    teller.push([*rows[:-1], rows[-1], {**rows[0], "customer_id": "", "units": "1"}], "--confirm", code=65)
    figures = teller.run("status", code=65)
    assert set(figures["unresolved"]) == {"unknown", "unbilled", "conflict", "refusal"}
    conflict = next(one for one in figures["open"] if one["kind"] == "conflict")
    assert conflict["open_units"] == conflict["asked_units"] - conflict["accepted_units"] > 0
    assert conflict["open_amount"] == conflict["open_units"] * conflict["price"]
    said = teller.desk.run("push", "status").says
    for item in figures["open"]:
        assert item["command"] in said
        paste(desk, item["command"] + " --unchecked" * ("--send" in item["command"] or "--carry" in item["command"]))
    assert teller.run("status")["open"] == []
    assert sum(Fraction(body["details"]["charged"]) for body in taken_by(small)) == cost(rows)


def test_m17_lines_of_several_customers_are_open_items_with_a_customer_each(small, teller):
    """As found: all expired lines stood under one customer, though only `carry` could bill them."""
    rows = [row for row in rows_of(small, back=(30,)) if row["vendor"] == "aws"]
    teller.push(rows, "--confirm", code=65)
    items = teller.run("status", code=65)["open"]
    assert {one["customer_id"] for one in items} == {row["customer_id"] for row in rows}
    assert all(one["command"].endswith("--carry --confirm") for one in items)


def test_m16_a_row_that_the_usage_lacks_after_acceptance_is_a_conflict(small, teller):
    rows = rows_of(small)
    teller.push(rows, "--confirm")
    # In the middle of the usage's time: what is outside of it may be in another file.
    last = max(row["usage_at"] for row in rows)
    gone = next(row for row in rows if row["usage_at"] != last)
    left = [row for row in rows if row is not gone]
    teller.push(left, "--confirm", code=65)
    (item,) = teller.run("status", code=65)["open"]
    assert (item["kind"], item["asked_units"], item["open_units"]) == ("conflict", 0, -Decimal(gone["units"]))
    teller.push(rows, "--confirm")
    assert teller.run("status")["open"] == []


def test_m16_an_accepted_line_that_is_never_confirmed_becomes_an_alarm_that_a_person_closes(small, desk, teller):
    """As found: events confirm most lines, and nobody learns of the others."""
    small.configure(metering_outcome="manual")
    rows = rows_of(small)
    teller.push(rows, "--confirm")
    first, *others = small.metering.accepted
    small.metering.settle(first.id, "confirmed")
    teller.run("events", write_events(small))
    assert teller.run("status")["open"] == [], "two days have not passed"
    _age_calls(teller, timedelta(days=3))
    figures = teller.run("status", code=65)
    late = sum(len(call.body["details"]["usages"]) for call in others)
    assert figures["unresolved"] == {"unconfirmed": late}
    assert desk.run("push", "status").code == 65
    for item in figures["open"]:
        paste(desk, item["command"])
    assert teller.run("status")["open"] == []


def _age_calls(teller, age):
    """Let all calls have been made, and all events have come, so long ago."""
    path = teller.url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as connection:
        moved = (datetime.now(timezone.utc) - age).isoformat(timespec="microseconds")
        connection.execute("UPDATE metering_lines SET sent_at = ?, settled_at = ?", (moved, moved))
        connection.execute("UPDATE metering_journal SET recorded_at = ?", (moved,))
    connection.close()


# without a ledger


@pytest.mark.slow
def test_without_a_ledger_status_has_nothing_to_tell_and_asks_nobody(small, teller):
    figures = teller.run("status")
    assert (figures["ledger_exists"], figures["open"]) == (False, [])
    assert "no usage was pushed" in teller.desk.run("push", "status").says
    assert small.requests.all() == []
    assert sorted(Path.home().rglob("metering*")) == [], "asking made a ledger"


@pytest.mark.parametrize(
    "arguments",
    [
        ["export"],
        ["statement", "--month", "2026-11"],
        ["settle", "x", "--billed"],
        ["settle", "x", "--billed", "--confirm"],
        ["events", "events.jsonl"],
        ["ledger", "backup", "copy.sqlite"],
    ],
    ids=" ".join,
)
def test_m18_what_needs_a_ledger_says_that_there_is_none(arguments, small, desk):
    """As found: `export` and `carry` ended with 0, and `retry` spoke of free disk space."""
    Path("events.jsonl").write_text("")
    ran = desk.run("push", *arguments, "--json")
    assert ran.code == 78, ran
    assert "there is no ledger" in ran.says
    assert sorted(Path.home().rglob("metering*")) == []
    assert small.requests.all() == []


@pytest.mark.slow
@pytest.mark.parametrize("output", ["text", "json"])
def test_a_vendor_that_is_markup_or_control_characters_is_refused_and_the_others_are_billed(output, small, desk):
    """After the calls the result is printed, also if a vendor breaks rich's markup or a terminal."""
    good = rows_of(small, most=4)
    hostile = [{**good[0], "vendor": vendor} for vendor in ("\x1b[31maws", "[bold]\u202eaws", "\x9b2Jaws")]
    # A name that can be read: the strictest rules hold for it, and the API refuses it.
    hostile.append({**good[0], "customer_id": "cust_9", "vendor": "[/gcp]"})
    options = ["--confirm", "--new-ledger", *(["--json"] if output == "json" else [])]
    ran = desk.run("push", "--usage", write_csv([*hostile, *good], "usage.csv"), *options)
    assert ran.code == 65, ran.says
    assert sent_to(small)
    assert "[/gcp]" in ran.says and "\\x1b[31maws" in ran.says
    assert not set(ran.says) & set("\x1b\x9b\u202e") and "Traceback" not in ran.says
    taken = keys_of_bodies(taken_by(small))
    assert not taken - keys_of(good)
    again = desk.run("push", "--usage", "usage.csv", "--confirm")
    assert again.code == 65 and keys_of_bodies(taken_by(small)) == taken, "each of them is billed once"
    assert desk.run("push", "status").code == 65


# settle


def test_a_dry_settle_shows_what_it_would_send_and_sends_nothing(troubled, small):
    teller, _ = troubled
    before, asked, ids = teller.states(), len(small.requests.all()), ids_of(teller, "unbilled")
    figures = teller.run("settle", *ids, "--not-billed", "--send", "--unchecked")
    assert figures["verdict"] == "dry_run"
    assert {one["line_id"] for one in figures["to_send"]} == set(ids)
    assert teller.states() == before
    assert len(small.requests.all()) == asked
    assert "Dry run" in teller.desk.run("push", "settle", ids[0], "--not-billed", "--send", "--unchecked").says


def test_what_was_refused_is_sent_by_settle_and_the_unknown_never(troubled, small):
    teller, rows = troubled
    ids = ids_of(teller, "unbilled")
    figures = teller.run("settle", *ids, "--not-billed", "--send", "--unchecked", "--confirm")
    assert set(figures["sent"]["accepted"]) == set(ids)
    assert keys_of_bodies(taken_by(small)) == keys_of(rows), "the lost body was taken, too"
    unknown = ids_of(teller, "unknown")
    assert teller.states() == {"accepted": len(rows) - len(unknown), "unknown": len(unknown)}
    again = teller.run("settle", *ids, "--not-billed", "--send", "--unchecked", "--confirm", code=65)
    assert {one["id"] for one in again["refused"]} == set(ids), "they are billed"


def test_a_line_that_the_marketplace_shows_as_billed_is_not_sent_again(troubled, small):
    teller, rows = troubled
    unknown, sent = ids_of(teller, "unknown"), len(sent_to(small))
    figures = teller.run("settle", *unknown, "--billed", "--reason", "seen in the portal", "--confirm")
    assert {one["line_id"] for one in figures["changes"]} == set(unknown)
    teller.push(rows, "--confirm", code=65)
    assert len(sent_to(small)) == sent
    assert {entry.settled_by for entry in teller.entries() if entry.id in unknown} == {"hand"}


def test_a_line_that_was_not_billed_is_sent_with_the_same_command(small, teller):
    rows = rows_of(small)
    small.faults.add("reset", METERING)  # nothing is taken
    teller.push(rows, "--confirm", code=65)
    unknown = ids_of(teller, "unknown")
    teller.run("settle", *unknown, "--not-billed", "--send", "--unchecked", "--confirm")
    assert keys_of_bodies(taken_by(small)) == keys_of(rows)
    assert teller.states() == {"accepted": len(rows)}


def test_a_wrong_decision_is_corrected_by_another_and_the_journal_has_both(troubled):
    teller, _ = troubled
    one = ids_of(teller, "unknown")[0]
    teller.run("settle", one, "--billed", "--reason", "seen in the portal", "--confirm")
    teller.run("settle", one, "--not-billed", "--reason", "that was another customer", "--confirm")
    assert one in ids_of(teller, "unbilled")
    with Ledger.open(teller.url, FakeClock()) as ledger:
        decisions = list(ledger.items(kinds=["decision"], subjects=[one]))
    assert [item.reason for item in decisions] == ["seen in the portal", "that was another customer"]
    assert all(item.by and item.closed_at for item in decisions)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--billed", "--not-billed"], 78, "several decisions"),
        ([], 78, "no decision is given"),
        (["--never"], 78, "--reason"),
        (["--billed", "--send"], 78, "--send"),
        (["--billed"], 65, "nothing of it is open"),
    ],
)
def test_what_cannot_be_settled_so_is_refused_with_the_reason(arguments, code, words, small, teller):
    teller.push(rows_of(small, most=1), "--confirm")
    (accepted,) = ids_of(teller)
    ran = teller.desk.run("push", "settle", accepted, *arguments, "--confirm", "--json")
    assert (ran.code, words in ran.says) == (code, True), ran
    assert teller.states() == {"accepted": 1}


def test_an_id_that_nothing_has_is_refused(small, teller):
    teller.push(rows_of(small, most=1), "--confirm")
    figures = teller.run("settle", "no-such-line", "--never", "--reason", "x", "--confirm", code=65)
    assert figures["refused"][0]["id"] == "no-such-line"


@pytest.mark.slow
def test_the_checks_of_a_push_hold_for_settle(small, desk, teller):
    """A limit, a customer that is not synced, or a deadline that has passed, stops it as it stops a push."""
    rows = [row for row in rows_of(small, back=(8,)) if row["vendor"] == "aws"]
    teller.push(rows, "--confirm", code=65)
    ids = ids_of(teller, "unbilled")
    send = ["settle", *ids, "--not-billed", "--send"]
    late = teller.run(*send, "--unchecked", code=65)
    assert late["to_send"] == [] and all("--late-ok" in one["reason"] for one in late["refused"])
    assert len(teller.run(*send, "--unchecked", "--late-ok")["to_send"]) == len(ids)
    desk.set(metering_max_amount="0.01")
    assert teller.run(*send, "--unchecked", "--late-ok", code=65)["to_send"] == []
    desk.set(metering_max_amount=None)
    with duckdb.connect(str(desk.database)) as connection:
        connection.execute(
            "CREATE SCHEMA automatum; USE automatum; CREATE TABLE customers AS SELECT 'cust_other' AS id, "
            "NULL::VARCHAR AS vendor, NULL::TIMESTAMP AS _deleted_at"
        )
    refused = teller.run(*send, "--late-ok", code=65)["refused"]
    assert len(refused) == len(ids) and all("synced customers" in one["reason"] for one in refused)
    teller.run(*send, "--late-ok", "--unchecked", "--confirm")
    assert teller.states() == {"accepted": len(ids)}


# events


def test_events_settle_what_nobody_knew_and_nothing_else(troubled, small):
    teller, _ = troubled
    lost = set(ids_of(teller, "unknown"))
    figures = teller.run("events", write_events(small), code=65)  # the refused ones are open still
    # The lost answer had the id of its call: nothing but a person can place that event.
    assert figures["open"] and set(figures["lines"]) == set(ids_of(teller, "confirmed"))
    assert not set(figures["lines"]) & lost
    assert figures["unresolved"]["event"] == len(figures["open"])
    again = teller.run("events", "events.jsonl", code=65)
    assert (again["placed"], again["known"]) == (0, figures["placed"])


@pytest.mark.slow
def test_events_of_a_table_settle_too(small, teller):
    rows = rows_of(small)
    teller.push(rows, "--confirm")
    with duckdb.connect(str(teller.desk.database)) as connection:
        connection.execute(
            "CREATE SCHEMA automatum; USE automatum; CREATE TABLE hooks (id VARCHAR, type VARCHAR, data JSON)"
        )
        for event in small.metering.events:
            data = json.dumps(event["data"], default=str)
            connection.execute("INSERT INTO hooks VALUES (?, ?, ?)", [event["id"], event["event"], data])
    teller.run("events", "sql:SELECT * FROM hooks WHERE type = 'metering.confirmed'")
    assert teller.states() == {"confirmed": len(rows)}
    assert teller.run("events", "hooks")["open"] == []


def test_a_marketplace_that_refuses_later_opens_accepted_lines_again(small, teller):
    small.configure(metering_outcome="manual")
    rows = rows_of(small)
    teller.push(rows, "--confirm")
    call = small.metering.accepted[0]
    small.metering.settle(call.id, "failed")
    figures = teller.run("events", write_events(small), code=65)
    number = len(call.body["details"]["usages"])
    assert len(figures["lines"]) >= number
    assert teller.states() == {"accepted": len(rows) - number, "unbilled": number}
    assert teller.run("status", code=65)["unresolved"] == {"unbilled": number}


@pytest.mark.parametrize(
    ("source", "words"),
    [("none.jsonl", "none.jsonl cannot be read"), ("broken.jsonl", "line 2 is not JSON"), ("no_table", "no file")],
)
def test_events_that_cannot_be_read_are_said_with_78(source, words, small, teller):
    teller.push(rows_of(small, most=1), "--confirm")
    Path("broken.jsonl").write_text('{"event": "else"}\n{"event": \n')
    ran = teller.desk.run("push", "events", source, "--json")
    assert (ran.code, words in ran.says) == (78, True), ran
    assert teller.states() == {"accepted": 1}


def test_events_need_a_signature_where_the_secret_is_set(desk, tmp_path):
    """A forged event makes usage count as billed. The vendor's own variable holds the secret, too."""
    desk.set(base_url="http://127.0.0.1:9", client_id="app_1", client_secret="secret_canary_1")
    ledger = f"sqlite:///{tmp_path}/ledger.sqlite"
    with Ledger.open(ledger, FakeClock(), begin=True, write=True):
        pass
    Path("events.jsonl").write_text('{"event": "metering.confirmed"}\n')
    desk.set(ledger_url=ledger)
    assert desk.run("push", "events", "events.jsonl").code == 65
    desk.set(webhook_secret="whs_canary_1234567890")
    made = desk.run("push", "events", "events.jsonl")
    assert made.code == 78
    assert "event 1 has no headers and no body" in made.says
    assert "canary" not in made.says


# refused usage, and both kinds of status


@pytest.mark.slow
def test_i5_refused_usage_is_65_until_it_is_pushed_or_closed(small, teller):
    """Whichever push refused it: later pushes of other usage, and both kinds of status, say so, too."""
    first, second, *rows = rows_of(small)
    write_csv([{**first, "units": "abc"}, {**second, "customer_id": ""}], "first.csv")
    figures = teller.push("first.csv", "--confirm", code=65)
    assert figures["unresolved"] == {"refusal": 2}
    assert teller.push(rows, "--confirm", code=65)["unresolved"] == {"refusal": 2}
    assert teller.desk.run("push", "--usage", "usage.csv", "--confirm", "--quiet").code == 65
    shown = teller.run("status", code=65)["open"]
    assert {one["why"].partition(":")[0] for one in shown} == {"units", "customer_id is missing"}
    assert {one["customer_id"] for one in shown} == {first["customer_id"], None}
    write_csv([first], "corrected.csv")
    assert teller.push("corrected.csv", "--confirm", code=65)["unresolved"] == {"refusal": 1}, "corrected and taken"
    (left,) = teller.run("status", code=65)["open"]
    teller.run("settle", left["id"], "--never", "--confirm", code=78)  # without a reason
    teller.run("settle", left["id"], "--never", "--reason", "a test row", "--confirm")
    assert teller.push(rows, "--confirm")["unresolved"] == {}
    teller.run("status")


def test_i5_a_file_that_was_replaced_by_later_usage_closes_no_refusal(small, teller):
    """As found: a file with a header alone closed the refusal of a row, which was never billed."""
    good, typed, bad = rows_of(small, back=(2,), most=3)
    teller.push([good, typed], "--confirm")
    write_csv([good, typed, {**typed, "units": "abc"}, {**bad, "usage_at": "yesterday"}])
    assert teller.push("usage.csv", "--confirm", code=65)["unresolved"] == {"refusal": 2}
    assert teller.push([], "--confirm", code=65)["unresolved"] == {"refusal": 2}
    later = rows_of(small, back=(1,), most=1)  # It had ended, too: the row without a time may have been of this hour.
    assert teller.push(later, "--confirm", code=65)["unresolved"] == {"refusal": 1}
    assert teller.push([good, typed, bad], "--confirm")["unresolved"] == {}


@pytest.mark.slow
def test_i5_the_status_of_syncs_is_65_too_while_a_line_is_unresolved(troubled, desk):
    """A person on call looks at one status, and must not read 0 while money is unresolved."""
    teller, _ = troubled
    assert desk.sync("customers").code == 0
    ran = desk.run("status", "--json")
    assert ran.code == 65
    (ledger,) = ran.json["ledgers"]
    assert ledger["unresolved"] == teller.run("status", code=65)["unresolved"]
    assert "automatum push status" in desk.run("status").says
    Path(teller.url.removeprefix("sqlite:///")).unlink()
    ran = desk.run("status", "--json")
    assert (ran.code, "there was a ledger" in ran.json["ledgers"][0]["error"]) == (65, True)


def test_i5_status_shows_the_open_money_by_currency_in_the_order_of_urgency(troubled, small):
    teller, _ = troubled
    figures = teller.run("status", code=65)
    assert list(figures["unresolved"]) == ["unknown", "unbilled"]
    for kind, amounts in figures["amounts"].items():
        assert amounts == {"unknown": sum(entry.line.charged for entry in teller.entries(kind))}
    shown = " ".join(teller.desk.run("push", "status").out.split())
    assert f"unknown {len(teller.entries('unknown'))}" in shown


def test_i5_a_status_of_a_ledger_that_was_lost_is_78(small, teller):
    teller.push(rows_of(small), "--confirm")
    path = Path(teller.url.removeprefix("sqlite:///"))
    path.unlink()
    assert "there was a ledger" in teller.desk.run("push", "status").says
    teller.run("status", code=78)
    path.with_name("metering-elsewhere.sqlite").write_bytes(b"")
    teller.desk.set(ledger_url=f"sqlite:///{path.parent}/other.sqlite")
    assert teller.desk.run("push", "status").code == 78


# export


def exported(desk, table, keys):
    """Rows of a table by their keys, of which each must be there once."""
    with duckdb.connect(str(desk.database), read_only=True) as connection:
        found = connection.execute(f"SELECT * FROM automatum.{table}")
        names = [one[0] for one in found.description]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    by_key = {tuple(row[key] for key in keys): row for row in rows}
    assert len(by_key) == len(rows), f"{table} holds a row twice"
    return by_key


@pytest.mark.slow
def test_the_export_holds_every_line_and_attempt_with_exact_money(troubled, small, desk):
    teller, rows = troubled
    rows[-1]["units"] = "12345.678901"
    teller.push(rows, "--confirm", code=65)
    figures = teller.run("export")
    lines = exported(desk, "metering_lines", ["line_id"])
    assert (figures["metering_lines"], len(lines)) == (len(rows), len(rows))
    for entry in teller.entries():
        row, line = lines[(entry.id,)], entry.line
        assert (row["asked_units"], row["price"], row["state"]) == (line.units, line.price, entry.state)
        assert (row["accepted_units"], row["open_units"]) == (entry.accepted_units, entry.open_units)
        assert row["starts_at"].timestamp() == line.starts_at.timestamp()
        assert row["currency"] == line.currency
    paid = sum((Fraction(row["accepted_amount"]) for row in lines.values() if row["accepted_amount"]), Fraction(0))
    entries = [one for one in teller.entries() if one.accepted_units is not None]
    assert paid == sum((Fraction(one.accepted_units) * Fraction(one.accepted_price) for one in entries), Fraction(0))
    attempts = exported(desk, "metering_attempts", ["attempt_id", "line_id"])
    assert figures["metering_attempts"] == len(attempts) == len(rows)
    assert {one["state"] for one in attempts.values()} == {"accepted", "unknown", "unbilled"}


def test_m18_the_export_has_currencies_refusals_and_decisions(small, desk, teller):
    assert desk.sync("customers", "entitlements").code == 0
    rows = rows_of(small)
    teller.push([*rows, {**rows[0], "customer_id": ""}], "--confirm", code=65)
    (item,) = teller.run("status", code=65)["open"]
    teller.run("settle", item["id"], "--never", "--reason", "a test row", "--confirm")
    teller.run("export")
    assert {row for (row,) in desk.query("SELECT DISTINCT currency FROM automatum.metering_lines")} <= {
        "USD",
        "EUR",
        "GBP",
    }
    journal = "SELECT kind, reason, closed_reason FROM automatum.metering_journal WHERE kind = 'refusal'"
    assert desk.query(journal) == [("refusal", "customer_id is missing", "a test row")]
    month = "SELECT sum(measured_units) FROM automatum.metering_statement"
    assert desk.query(month)[0][0] == sum(Decimal(row["units"]) for row in rows)


@pytest.mark.slow
def test_a_second_export_changes_nothing_and_a_later_one_is_up_to_date(troubled, small, desk):
    teller, rows = troubled

    def dump():
        tables = [
            exported(desk, "metering_lines", ["line_id"]),
            exported(desk, "metering_attempts", ["attempt_id", "line_id"]),
        ]
        return [
            {
                key: {name: value for name, value in row.items() if not name.startswith("_dlt")}
                for key, row in table.items()
            }
            for table in tables
        ]

    teller.run("export")
    before = dump()
    teller.run("export")
    assert dump() == before
    more = rows_of(small, back=(3,))
    for number, row in enumerate(more):
        row["units"] = f"{3000 + number}.25"
    write_csv(more, "more.csv")
    teller.run("settle", *ids_of(teller, "unbilled"), "--not-billed", "--send", "--unchecked", "--confirm")
    teller.push("more.csv", "--confirm", code=65)  # a line of an earlier push is still unknown
    teller.run("settle", *ids_of(teller, "unknown"), "--billed", "--confirm")
    teller.run("export")
    lines, attempts = dump()
    assert len(lines) == len(rows) + len(more)
    assert sum(Fraction(row["accepted_amount"]) for row in lines.values()) == cost([*rows, *more])
    assert len(attempts) == len(before[1]) + len(more) + sum(row["state"] == "unbilled" for row in before[0].values())


@pytest.mark.slow
def test_the_export_takes_every_amount_that_the_rules_admit(desk):
    at = hour_of(datetime.now(timezone.utc) - timedelta(minutes=6), 1).isoformat()
    one = {"customer_id": "c", "listing_id": "l", "vendor": "aws", "usage_at": at}
    amounts = [
        ("0.000001", "0.000000000001"),
        ("2147483646.999999", "9999999999.999999999999"),
        ("1.000001", "0.0000001"),
    ]
    rows = [
        {**one, "dimension": f"d{place}", "units": units, "price": price}
        for place, (units, price) in enumerate(amounts)
    ]
    teller = Teller(desk)
    with Api() as api:
        desk.set(base_url=api.url, client_id="app_1", client_secret="a-secret-for-the-test")
        counts(teller.push(rows, "--confirm"), accepted=3)
        teller.run("export")
    lines = exported(desk, "metering_lines", ["dimension"])
    for row in rows:
        assert Fraction(lines[(row["dimension"],)]["asked_amount"]) == cost([row])


@pytest.mark.slow
def test_the_export_of_a_ledger_in_postgres(small, desk, postgres):  # noqa: F811
    teller, rows = Teller(desk, postgres), rows_of(small)
    assert PASSWORD not in str(teller.push(rows, "--confirm"))
    figures = teller.run("export")
    assert {name: figures[name] for name in ("metering_lines", "metering_attempts")} == {
        "metering_lines": len(rows),
        "metering_attempts": len(rows),
    }
    lines = exported(desk, "metering_lines", ["line_id"]).values()
    assert sum(Fraction(row["asked_amount"]) for row in lines) == cost(rows)
    assert PASSWORD.encode() not in b"".join(one.read_bytes() for one in desk.folder.parent.rglob("*") if one.is_file())


# help, and wrong URLs


@pytest.mark.parametrize("name", [None, "status", "settle", "events", "statement", "export", "ledger"])
def test_help(name, desk):
    ran = desk.run("push", *([name] if name else []), "--help")
    assert ran.code == 0, ran
    if name is None:
        for word in ("--usage", "--grain", "--late-ok", "--confirm", "--map", "status", "settle", "events", "export"):
            assert word in ran.out


COMMANDS = [
    ("--usage", "usage.csv"),
    ("status",),
    ("settle", "x", "--billed"),
    ("statement", "--month", "2026-11"),
    ("export",),
]


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("mysql://user:hunter2-pass@host/db", 78),
        ("what is this", 78),
        ("postgresql://user:hunter2-pass@127.0.0.1:1/db", 69),
        ("sqlite:///no/such/folder/ledger.sqlite", 78),
        ("sqlite:////no/such/folder/ledger.sqlite", None),
        ("sqlite:///usage.csv", 78),
    ],
    ids=["mysql", "nonsense", "nobody listens", "relative", "no folder", "a file of something else"],
)
def test_a_wrong_url_is_said_without_its_password(command, url, code, small, desk):
    write_csv(rows_of(small))
    content = Path("usage.csv").read_bytes()
    desk.set(ledger_url=url)
    ran = desk.run("push", *command, "--json", "--debug")
    if code is None:  # A ledger that the user names must be there, except for a dry run.
        code = 0 if command[0] == "--usage" else 78
    assert ran.code == code, ran
    assert "hunter2" not in ran.says
    assert exact(ran.out)
    assert Path("usage.csv").read_bytes() == content
    assert small.requests.all() == []


def test_a_ledger_in_the_settings_is_the_one(small, desk, tmp_path):
    desk.set(ledger_url=f"sqlite:///{tmp_path}/mine.sqlite")
    teller, rows = Teller(desk), rows_of(small)
    figures = teller.push(rows, "--confirm")
    assert figures["ledger"].endswith("mine.sqlite")
    assert sorted(Path.home().rglob("metering*")) == []
    assert teller.run("status")["lines"]["accepted"] == len(rows)
