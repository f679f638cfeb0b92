"""Texts from outside with control characters: every ledger takes them, and no terminal obeys them."""

from automatum.metering.ledger.entries import Outcome
from automatum.metering.ledger.events import apply_events
from tests.support.metering_lines import make_line

BAD = "no\x00 \x1b[2J\x9b"
SAFE = "no\\x00 \\x1b[2J\\x9b"


def test_i5_an_answer_with_control_characters_is_written_down(ledger):
    """On Postgres a NUL would end the push after the call, and leave the line without its outcome."""
    line = make_line()
    with ledger.run(BAD, [line], BAD) as run:
        attempt = run.claim(f"body {BAD}", [line])
        run.answer(attempt, {line.id: Outcome("unknown", BAD)}, response=BAD, reference=BAD)
        run.end(complete=False, reason=BAD)
    (entry,) = ledger.entries()
    (call,) = ledger.attempts()
    assert (entry.error, entry.source, call["body_id"]) == (SAFE, SAFE, f"body {SAFE}")
    assert (call["response"], call["error"], call["reference"]) == (SAFE, SAFE, SAFE)


def test_i5_a_key_with_control_characters_is_billed_once(ledger):
    """The ledger holds the key escaped, and the line under its own id."""
    hour = make_line(7, customer=BAD, dimension=BAD)
    with ledger.run("u", [hour], "ann") as run:
        run.answer(run.claim("body", [hour]), {hour.id: Outcome("accepted")})
        assert run.claim("body", [hour], again=[hour.id]) is None
        assert run.claim("body", [make_line(7, customer=BAD, dimension=BAD, grain="day")]) is None
        assert ledger.fetch([hour.id])[hour.id].line.customer_id == SAFE
        run.record(gone=[hour.id])
        assert ledger.fetch([hour.id])[hour.id].state == "conflict"
        run.end(complete=True)


def test_an_event_with_control_characters_is_kept(ledger):
    with ledger.run("u", [make_line()], "ann") as run:
        run.claim("body", [make_line()])
    event = {"event": "metering.failed", "data": {"id": BAD, "reason": BAD}}
    apply_events(ledger, [event])
    (item,) = ledger.items(kinds=["event"])
    assert f"the call {SAFE}," in item.reason
    assert apply_events(ledger, [event]).open == [item]
