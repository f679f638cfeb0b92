"""I5: what is left of a push is shown, sent again, settled or exported by commands, each line visibly in one state."""

import json
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
    assert set(teller.states()) == {"accepted", "unknown", "rejected"}
    return teller, rows


# status


def test_status_counts_lines_and_names_the_unsettled(troubled, small):
    teller, _ = troubled
    asked = len(small.requests.all())
    figures = teller.run("status", code=65)
    assert {state: number for state, number in figures["lines"].items() if number} == teller.states()
    shown = {one["line_id"]: one for one in figures["unsettled"]}
    entries = {entry.line_id: entry for entry in teller.entries("unknown", "rejected")}
    assert {key: one["state"] for key, one in shown.items()} == {key: one.state for key, one in entries.items()}
    for key, one in shown.items():
        assert (one["units"], one["price"]) == (entries[key].units, entries[key].price)
        assert one["error"]
    said = teller.desk.run("push", "status").says
    assert all(key in said for key in shown)
    assert "Not for sale" in said
    assert len(small.requests.all()) == asked, "status asks nobody"


def test_status_is_0_when_all_is_settled(small, teller):
    teller.push(rows_of(small), "--confirm")
    figures = teller.run("status")
    assert (figures["lines"]["accepted"], figures["unsettled"]) == (len(rows_of(small)), [])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["status", "retry", "export"])
def test_without_a_ledger_there_is_nothing_to_tell(name, small, teller):
    figures = teller.run(name)
    assert not any(figures.get("lines", {}).values() if name == "status" else figures.get("lines", []))
    assert small.requests.all() == []
    assert sorted(Path.home().rglob("metering*")) == [], "asking made a ledger"


def test_nothing_can_be_settled_without_a_ledger(small, desk):
    Path("events.jsonl").write_text("")
    for arguments in (["--events", "events.jsonl"], ["--accepted", "x"], ["--not-sent", "x"]):
        ran = desk.run("push", "resolve", "--json", *arguments)
        assert ran.code == 78
        assert "there is no ledger" in ran.says
    assert sorted(Path.home().rglob("metering*")) == []


@pytest.mark.slow
@pytest.mark.parametrize("output", ["text", "json"])
def test_a_vendor_that_is_markup_or_control_characters_is_refused_and_the_others_are_billed(output, small, desk):
    """I5. After the calls the result is printed, also if a vendor breaks rich's markup or a terminal."""
    good = rows_of(small, most=4)
    hostile = [{**good[0], "vendor": vendor} for vendor in ("[/gcp]", "\x1b[31maws", "[bold]\u202eaws", "\x9b2Jaws")]
    options = ["--send-partial", "--confirm", "--new-ledger", *(["--json"] if output == "json" else [])]
    ran = desk.run("push", "--usage", write_csv([*hostile, *good], "usage.csv"), *options)
    assert ran.code == 65, ran.says
    assert sent_to(small)
    assert keys_of_bodies(taken_by(small)) == keys_of(good)
    assert "[/gcp]" in ran.says and "\\x1b[31maws" in ran.says
    assert not set(ran.says) & set("\x1b\x9b\u202e") and "Traceback" not in ran.says
    again = desk.run("push", "--usage", "usage.csv", "--send-partial", "--confirm")
    assert again.code == 65 and keys_of_bodies(taken_by(small)) == keys_of(good), "each of them is billed once"
    assert desk.run("push", "status").code == 65


# retry


def test_a_dry_retry_shows_what_it_would_send(troubled, small):
    teller, _ = troubled
    before, asked = teller.states(), len(small.requests.all())
    figures = teller.run("retry")
    assert figures["verdict"] == "dry_run"
    assert {one["line_id"] for one in figures["lines"]} == {entry.line_id for entry in teller.entries("rejected")}
    assert teller.states() == before
    assert len(small.requests.all()) == asked
    assert "would be sent again" in teller.desk.run("push", "retry").says


def test_retry_sends_the_rejected_and_never_the_unknown(troubled, small):
    teller, rows = troubled
    rejected, unknown = teller.entries("rejected"), teller.entries("unknown")
    figures = teller.run("retry", "--confirm", code=65)
    assert figures["lines"]["accepted"] == len(rejected)
    assert figures["unresolved"] == {"unknown": len(unknown)}, "65 as long as a line is unresolved"
    assert Fraction(figures["charged"]) == sum(Fraction(one.units) * Fraction(one.price) for one in rejected)
    assert figures["requests"] == 1
    assert teller.states() == {"accepted": len(rows) - len(unknown), "unknown": len(unknown)}
    assert keys_of_bodies(taken_by(small)) == keys_of(rows), "the lost body was taken, too"
    assert teller.run("retry", "--confirm", code=65)["requests"] == 0


def test_retry_of_one_line_leaves_the_others(small, teller):
    rows = rows_of(small)
    small.faults.add("status", METERING, status=400, count=None)
    teller.push(rows, "--confirm", code=65)
    small.faults.clear()
    chosen, *others = teller.entries("rejected")
    assert [one["line_id"] for one in teller.run("retry", chosen.line_id)["lines"]] == [chosen.line_id]
    assert teller.run("retry", chosen.line_id, "--confirm", code=65)["lines"]["accepted"] == 1
    assert teller.states() == {"accepted": 1, "rejected": len(others)}


@pytest.mark.slow
def test_retry_sends_no_more_than_its_dry_run_has_shown(small, desk, teller):
    rows = rows_of(small)
    small.faults.add("status", METERING, status=400)
    small.faults.add("status", METERING, status=401, count=2)  # the rest stays planned
    teller.push(rows, "--confirm", code=77)
    chosen, planned = teller.entries("rejected")[0], len(teller.entries("planned"))
    shown = teller.run("retry", chosen.line_id)["lines"]
    assert [one["line_id"] for one in shown] == [chosen.line_id]
    assert teller.run("retry", chosen.line_id, "--confirm", code=65)["lines"]["accepted"] == 1
    assert teller.states()["planned"] == planned


@pytest.mark.sample(1)
@pytest.mark.parametrize("state", ["accepted", "unknown"])
def test_retry_never_sends_what_is_accepted_or_unknown_though_it_is_named(state, troubled, small):
    teller, _ = troubled
    one, sent = teller.entries(state)[0], len(sent_to(small))
    figures = teller.run("retry", one.line_id, code=65)
    assert (figures["lines"], [left["reason"] for left in figures["left"]]) == ([], [f"it is {state}"])
    teller.run("retry", one.line_id, "--confirm", code=65)
    assert len(sent_to(small)) == sent
    assert one.line_id in {entry.line_id for entry in teller.entries(state)}


@pytest.mark.slow
def test_what_was_too_late_goes_out_only_if_that_is_asked_for(small, teller):
    rows = rows_of(small, back=(8,))
    aws = [row for row in rows if row["vendor"] == "aws"]
    teller.push(aws, "--confirm", code=65)
    assert teller.states() == {"expired": len(aws)}
    assert teller.run("retry")["lines"] == []
    assert teller.run("retry", "--confirm", code=65)["requests"] == 0
    assert len(teller.run("retry", "--expired")["lines"]) == len(aws)
    assert sent_to(small) == []
    assert teller.run("retry", "--expired", "--confirm")["lines"]["accepted"] == len(aws)
    assert keys_of_bodies(taken_by(small)) == keys_of(aws)


# resolve


def test_a_line_that_the_ledger_does_not_have_ends_with_78(small, teller):
    teller.push(rows_of(small)[:1], "--confirm")
    teller.run("retry", "no-such-line", code=78)
    teller.run("retry", "no-such-line", "--confirm", code=78)
    for option in ("--accepted", "--not-sent", "--rejected"):
        teller.run("resolve", option, "no-such-line", code=78)
    teller.run("resolve", "--accepted", "colour=red", code=78)
    teller.run("resolve", "--accepted", "state=unknown", code=78)
    assert teller.states() == {"accepted": 1}


@pytest.mark.slow
def test_i5_a_line_is_written_off_with_a_reason_and_comes_back(small, teller):
    rows = rows_of(small)
    small.faults.add("status", METERING, status=400, count=1)
    teller.push(rows, "--confirm", code=65)
    refused = teller.entries("rejected")
    customer = f"customer_id={refused[0].customer_id},state=rejected"
    teller.run("resolve", "--written-off", customer, code=78)  # without a reason
    figures = teller.run("resolve", "--written-off", customer, "--reason", "credited, see ticket 17")
    assert sorted(figures["written_off"]) == sorted(one.line_id for one in refused)
    assert all("credited, see ticket 17" in one.error and " by " in one.error for one in teller.entries("writeoff"))
    again = teller.push(rows, "--confirm")
    assert (again["written_off"], again["requests"], again["unresolved"]) == (len(refused), 0, {})
    assert teller.run("retry")["lines"] == []
    assert teller.run("resolve", "--rejected", refused[0].body_id, "--reason", "not credited", code=65)["rejected"]
    assert teller.run("retry", "--confirm")["lines"]["accepted"] == len(refused)


@pytest.mark.slow
def test_events_settle_what_nobody_knew_and_nothing_else(troubled, small):
    teller, rows = troubled
    unknown = {entry.line_id for entry in teller.entries("unknown")}
    figures = teller.run("resolve", "--events", write_events(small), code=65)  # the rejected ones are unsettled still
    assert unknown <= set(figures["confirmed"])
    assert (figures["rejected"], figures["conflict"], figures["left"], figures["refused"]) == ([], [], [], [])
    assert {entry.settled_by for entry in teller.entries("confirmed")} == {"event"}
    again = teller.run("resolve", "--events", "events.jsonl", code=65)
    assert (again["accepted"], again["confirmed"], again["ignored"]) == ([], [], len(small.metering.events))
    assert teller.run("retry", "--confirm")["lines"]["accepted"] > 0
    assert teller.push(rows, "--confirm")["already_accepted"] == len(rows)
    assert keys_of_bodies(taken_by(small)) == keys_of(rows)


@pytest.mark.slow
def test_events_of_a_table_settle_too(troubled, small):
    teller, _ = troubled
    unknown = {entry.line_id for entry in teller.entries("unknown")}
    with duckdb.connect(str(teller.desk.database)) as connection:
        connection.execute(
            "CREATE SCHEMA automatum; USE automatum; CREATE TABLE hooks (id VARCHAR, type VARCHAR, data JSON)"
        )
        for event in small.metering.events:
            data = json.dumps(event["data"], default=str)
            connection.execute("INSERT INTO hooks VALUES (?, ?, ?)", [event["id"], event["event"], data])
    figures = teller.run("resolve", "--events", "sql:SELECT * FROM hooks WHERE type = 'metering.confirmed'", code=65)
    assert unknown <= set(figures["confirmed"])
    assert teller.run("resolve", "--events", "hooks", code=65)["confirmed"] == []


def test_a_marketplace_that_refuses_later_makes_accepted_lines_rejected(small, teller):
    small.configure(metering_outcome="manual")
    rows = rows_of(small)
    teller.push(rows, "--confirm")
    call = small.metering.accepted[0]
    small.metering.settle(call.id, "failed")
    figures = teller.run("resolve", "--events", write_events(small), code=65)
    assert len(figures["rejected"]) == len(call.body["details"]["usages"])
    assert teller.states() == {"accepted": len(rows) - len(figures["rejected"]), "rejected": len(figures["rejected"])}


@pytest.mark.slow
def test_a_line_settled_by_hand_as_billed_is_not_sent_again(troubled, small):
    teller, rows = troubled
    unknown = [entry.line_id for entry in teller.entries("unknown")]
    sent = len(sent_to(small))
    given = [part for one in unknown for part in ("--accepted", one)]
    assert set(teller.run("resolve", *given, code=65)["accepted"]) == set(unknown)
    teller.push(rows, "--confirm", code=65)
    assert len(sent_to(small)) == sent
    assert {entry.settled_by for entry in teller.entries("accepted") if entry.line_id in unknown} == {"hand"}


@pytest.mark.slow
def test_a_line_settled_by_hand_as_not_sent_goes_out_with_the_next_push(small, teller):
    rows = rows_of(small)
    small.faults.add("reset", METERING)  # nothing is taken
    teller.push(rows, "--confirm", code=65)
    unknown = [entry.line_id for entry in teller.entries("unknown")]
    figures = teller.run("resolve", *[part for one in unknown for part in ("--not-sent", one)])
    assert set(figures["planned"]) == set(unknown)
    counts(teller.push(rows, "--confirm"), accepted=len(unknown))
    assert keys_of_bodies(taken_by(small)) == keys_of(rows)


@pytest.mark.slow
def test_a_conflict_is_settled_by_what_was_accepted(small, teller):
    rows = rows_of(small)
    teller.push(rows, "--confirm")
    rows[0]["units"] = "4321"
    teller.push(rows, "--confirm", code=65)
    (entry,) = teller.entries("conflict")
    assert teller.run("resolve", "--not-sent", entry.line_id, code=65)["refused"]
    assert teller.run("resolve", "--accepted", entry.line_id)["accepted"] == [entry.line_id]
    # What was asked for is answered, too, and not asked again.
    assert teller.push(rows, "--confirm")["requests"] == 0
    assert teller.states() == {"accepted": len(rows)}


@pytest.mark.sample(1)
@pytest.mark.parametrize("option", ["--accepted", "--not-sent"])
def test_what_cannot_be_settled_so_is_refused_with_the_reason(option, troubled):
    teller, _ = troubled
    before = teller.states()
    accepted = teller.entries("accepted")[0].line_id
    figures = teller.run("resolve", option, accepted, code=65)
    reasons = {one["line_id"]: one["reason"] for one in figures["refused"]}
    assert "it is accepted" in reasons[accepted]
    assert teller.states() == before


def test_a_line_with_two_decisions_stays_unknown(troubled):
    teller, _ = troubled
    one = teller.entries("unknown")[0].line_id
    figures = teller.run("resolve", "--accepted", one, "--not-sent", one, code=65)
    assert [entry["line_id"] for entry in figures["refused"]] == [one]
    assert one in {entry.line_id for entry in teller.entries("unknown")}


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to resolve lines by"),
        (["--events", "none.jsonl"], "none.jsonl cannot be read"),
        (["--events", "broken.jsonl"], "line 2 is not JSON"),
        (["--events", "no_table"], "no file"),
    ],
)
def test_events_that_cannot_be_read_are_said_with_78(arguments, words, troubled):
    teller, _ = troubled
    Path("broken.jsonl").write_text('{"event": "else"}\n{"event": \n')
    before = teller.states()
    ran = teller.desk.run("push", "resolve", "--json", *arguments)
    assert (ran.code, words in ran.says) == (78, True), ran
    assert teller.states() == before


# decisions, refusals and silence


@pytest.mark.slow
def test_i5_a_decision_is_undone_and_both_are_shown(troubled, small):
    teller, _ = troubled
    unknown = teller.entries("unknown")
    body = unknown[0].body_id
    teller.run("resolve", "--accepted", body, "--reason", "seen in the portal", code=65)
    figures = teller.run("undo", "--last", "--reason", "the wrong body", code=65)
    assert {one["subject_id"] for one in figures["undone"]} == {entry.line_id for entry in unknown}
    assert teller.entries("unknown") == unknown
    decisions = teller.run("decisions", unknown[0].line_id)["decisions"]
    assert [(one["decision"], one["reason"], bool(one["undone_at"])) for one in decisions] == [
        ("accepted", "seen in the portal", True),
        ("undo", "the wrong body", False),
    ]
    said = teller.desk.run("push", "decisions").says
    assert "seen in the" in said and "accepted (undone)" in said
    teller.run("undo", code=78)
    teller.run("undo", "no-such-line", code=78)
    assert teller.run("undo", unknown[0].line_id, code=65)["refused"], "nothing is left to undo"


@pytest.mark.slow
def test_i5_refused_usage_is_65_until_it_is_pushed_or_dismissed(small, teller):
    """Whichever push refused it: later pushes of other usage, and both kinds of status, say so, too."""
    first, second, *rows = rows_of(small)
    figures = teller.push([{**first, "units": "abc"}, {**second, "customer_id": ""}], "--confirm", code=65)
    assert figures["unresolved"] == {"refused": 2}
    assert teller.push(rows, "--confirm", code=65)["unresolved"] == {"refused": 2}
    ran = teller.desk.run("push", "--usage", "usage.csv", "--confirm", "--quiet")
    assert ran.code == 65, ran
    shown = teller.run("status", code=65)["refusals"]
    assert {one["reason"] for one in shown} == {"units: 'abc' is not a number", "customer_id is missing"}
    said = teller.desk.run("push", "status").says
    assert all(one["refusal_id"] in said for one in shown) and first["customer_id"] in said
    assert teller.push([first], "--confirm", code=65)["unresolved"] == {"refused": 1}, "corrected and taken"
    (left,) = teller.run("status", code=65)["refusals"]
    teller.run("dismiss", left["refusal_id"], code=78)  # without a reason
    teller.run("dismiss", "no-such-id", "--reason", "x", code=78)
    teller.run("dismiss", left["refusal_id"], "--reason", "a test row")
    assert teller.push(rows, "--confirm")["unresolved"] == {}
    teller.run("status")
    teller.run("undo", "--last", code=65)
    assert teller.run("status", code=65)["unresolved"] == {"refused": 1}


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


@pytest.mark.slow
def test_i5_status_shows_the_money_at_risk_first(troubled, small):
    teller, _ = troubled
    figures = teller.run("status", code=65)
    assert [risk["kind"] for risk in figures["at_risk"]] == ["unknown", "rejected"]
    for risk in figures["at_risk"]:
        entries = teller.entries(risk["kind"])
        assert risk["lines"] == len(entries)
        assert risk["amounts"] == {"unknown": sum(entry.charged for entry in entries)}
    assert [one["risk"] for one in figures["unsettled"]] == sorted(
        (one["risk"] for one in figures["unsettled"]), reverse=True
    )
    ran = teller.desk.run("push", "status", "--quiet")
    assert (ran.code, ran.out) == (65, "")
    assert f"unknown {len(teller.entries('unknown'))}" in ran.err


def test_a_quiet_status_says_nothing_when_all_is_settled(small, teller):
    teller.push(rows_of(small), "--confirm")
    ran = teller.desk.run("push", "status", "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_i5_a_status_of_a_ledger_that_was_lost_is_78(small, teller):
    teller.push(rows_of(small), "--confirm")
    path = Path(teller.url.removeprefix("sqlite:///"))
    path.unlink()
    assert "there was a ledger" in teller.desk.run("push", "status").says
    teller.run("status", code=78)
    path.with_name("metering-elsewhere.sqlite").write_bytes(b"")
    teller.desk.set(ledger_url=f"sqlite:///{path.parent}/other.sqlite")
    assert teller.desk.run("push", "status").code == 78


@pytest.mark.slow
def test_i5_a_customer_without_usage_is_an_alarm_where_that_is_set(small, desk, teller):
    """An outage of metering looks like no usage."""
    rows = rows_of(small, back=(4,))
    teller.push(rows, "--confirm", "--late-ok")
    teller.run("status")
    desk.set(metering_silence_hours="2")
    figures = teller.run("status", code=65)
    assert len(figures["silent"]) == len({(row["customer_id"], row["listing_id"], row["dimension"]) for row in rows})
    assert "last usage" in desk.run("push", "status").says
    one = rows_of(small)[:1]
    assert teller.push(one, "--confirm", code=65)["unresolved"] == {"silent": len(figures["silent"]) - 1}
    teller.run("dismiss", "--silent", "all", "--reason", "a holiday")
    assert teller.push(one, "--confirm")["unresolved"] == {}


@pytest.mark.slow
def test_i5_a_retry_passes_the_checks_of_a_push(small, desk, teller):
    """A customer that is not synced, or a deadline that has passed, stops a retry as it stops a push."""
    rows = rows_of(small, back=(8,))
    aws = [row for row in rows if row["vendor"] == "aws"]
    small.faults.add("status", METERING, status=400, count=None)
    teller.push(aws, "--confirm", "--late-ok", code=65)
    small.faults.clear()
    figures = teller.run("retry", code=65)
    assert (figures["lines"], len(figures["left"])) == ([], len(aws))
    assert all("--late-ok" in one["reason"] for one in figures["left"])
    assert len(teller.run("retry", "--late-ok")["lines"]) == len(aws)
    with duckdb.connect(str(desk.database)) as connection:
        connection.execute(
            "CREATE SCHEMA automatum; USE automatum; CREATE TABLE customers AS SELECT 'cust_other' AS id, "
            "NULL::VARCHAR AS vendor, NULL::TIMESTAMP AS _deleted_at"
        )
    figures = teller.run("retry", "--late-ok", code=65)
    assert figures["lines"] == [] and all(
        "is not among the synced customers" in one["reason"] for one in figures["left"]
    )
    assert teller.run("retry", "--late-ok", "--unchecked", "--confirm")["lines"]["accepted"] == len(aws)


@pytest.mark.slow
def test_i5_what_the_marketplace_refused_is_sent_again_only_by_its_id(small, teller):
    small.configure(metering_outcome="manual")
    rows = rows_of(small)
    teller.push(rows, "--confirm")
    call = small.metering.accepted[0]
    small.metering.settle(call.id, "failed")
    failed = teller.run("resolve", "--events", write_events(small), code=65)["rejected"]
    sent = len(sent_to(small))
    for row in rows:
        row["units"] = "77"
    teller.push(rows, "--confirm", code=65)
    figures = teller.run("retry", "--confirm", code=65)
    assert {one["line_id"] for one in figures["left"]} == set(failed)
    assert len(sent_to(small)) == sent
    assert teller.run("retry", *failed, "--confirm", code=65)["lines"]["accepted"] == len(failed)


# export

MONEY = ("units", "price", "charged", "accepted_units", "accepted_price", "asked_units", "asked_price")


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
        row = lines[(entry.line_id,)]
        for name, value in entry.as_row().items():
            if name in MONEY:
                assert row[name] == value, name
                assert isinstance(row[name], (Decimal, type(None))), name
            elif not hasattr(value, "hour"):
                assert row[name] == value, name
            else:
                assert row[name].timestamp() == value.timestamp(), name
    paid = sum((Fraction(row["charged"]) for row in lines.values() if row["state"] == "accepted"), Fraction(0))
    assert paid == sum((Fraction(one.charged) for one in teller.entries("accepted")), Fraction(0))
    attempts = exported(desk, "metering_attempts", ["attempt_id", "line_id"])
    assert figures["metering_attempts"] == len(attempts) == len(rows)
    assert {one["state"] for one in attempts.values()} == {"accepted", "unknown", "rejected"}
    types = dict(
        desk.query("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'metering_lines'")
    )
    assert all(types[name].startswith("DECIMAL(38,") for name in MONEY)
    assert "TIMESTAMP" in types["starts_at"] and types["day"] == "DATE"


@pytest.mark.slow
def test_a_second_export_changes_nothing_and_a_later_one_is_up_to_date(troubled, small, desk):
    teller, rows = troubled

    def dump():
        return [
            exported(desk, "metering_lines", ["line_id"]),
            exported(desk, "metering_attempts", ["attempt_id", "line_id"]),
        ]

    def without_loads(tables):
        return [
            {
                key: {name: value for name, value in row.items() if not name.startswith("_dlt")}
                for key, row in table.items()
            }
            for table in tables
        ]

    teller.run("export")
    before = without_loads(dump())
    teller.run("export")
    assert without_loads(dump()) == before
    more = rows_of(small, back=(3,))
    for number, row in enumerate(more):
        row["units"] = f"{3000 + number}.25"
    teller.run("retry", "--confirm", code=65)
    teller.push(more, "--confirm", code=65)  # a line of an earlier push is still unknown
    teller.run("resolve", "--events", write_events(small))
    teller.run("export")
    lines, attempts = without_loads(dump())
    assert len(lines) == len(rows) + len(more)
    assert {row["state"] for row in lines.values()} == {"confirmed"}
    assert sum(Fraction(row["accepted_units"]) * Fraction(row["accepted_price"]) for row in lines.values()) == cost(
        [*rows, *more]
    )
    assert len(attempts) == len(before[1]) + len(more) + sum(row["state"] == "rejected" for row in before[0].values())


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
        assert Fraction(lines[(row["dimension"],)]["charged"]) == cost([row])


@pytest.mark.slow
def test_the_export_of_a_ledger_in_postgres(small, desk, postgres):  # noqa: F811
    teller, rows = Teller(desk, postgres), rows_of(small)
    assert PASSWORD not in str(teller.push(rows, "--confirm"))
    figures = teller.run("export")
    assert figures == {"metering_lines": len(rows), "metering_attempts": len(rows), "metering_events": 0}
    lines = exported(desk, "metering_lines", ["line_id"]).values()
    assert sum(Fraction(row["charged"]) for row in lines) == cost(rows)
    assert PASSWORD.encode() not in b"".join(one.read_bytes() for one in desk.folder.parent.rglob("*") if one.is_file())


# help, and wrong URLs


@pytest.mark.parametrize("name", [None, "status", "retry", "resolve", "export"])
def test_help(name, desk):
    ran = desk.run("push", *([name] if name else []), "--help")
    assert ran.code == 0, ran
    assert "--ledger-url" in ran.out
    assert "--json" in ran.out
    if name is None:
        for word in ("--usage", "--grain", "--late-ok", "--confirm", "--map", "status", "retry", "resolve", "export"):
            assert word in ran.out


COMMANDS = [("--usage", "usage.csv"), ("status",), ("retry",), ("resolve", "--accepted", "x"), ("export",)]


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
    ran = desk.run("push", *command, "--ledger-url", url, "--json", "--debug")
    if code is None:  # nothing is there, which is no error for who only looks
        # A ledger that the user names must be there.
        code = 78 if command[0] in ("resolve", "status") else 0
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


def test_events_need_a_signature_where_the_secret_is_set(desk, tmp_path):
    """I5: a forged event makes usage count as billed. The vendor's own variable holds the secret, too."""
    desk.set(base_url="http://127.0.0.1:9", client_id="app_1", client_secret="secret_canary_1")
    ledger = f"sqlite:///{tmp_path}/ledger.sqlite"
    with Ledger.open(ledger, FakeClock(), create=True):
        pass
    Path("events.jsonl").write_text('{"event": "metering.confirmed"}\n')
    assert desk.run("push", "resolve", "--events", "events.jsonl", "--ledger-url", ledger).code in (0, 65)
    desk.set(webhook_secret="whs_canary_1234567890")
    made = desk.run("push", "resolve", "--events", "events.jsonl", "--ledger-url", ledger)
    assert made.code == 78
    assert "event 1 has no headers and no body" in made.says
    assert "canary" not in made.says
