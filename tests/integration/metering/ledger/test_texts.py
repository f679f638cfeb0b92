"""Texts from outside with control characters: every ledger takes them, and no terminal obeys them."""

from automatum.metering.ledger.reconcile import find_lines, resolve_by_events, resolve_by_hand

from tests.support.metering_lines import event, make_line, states

BAD = "no\x00 \x1b[2J\x9b"
SAFE = "no\\x00 \\x1b[2J\\x9b"


def test_i5_an_answer_with_control_characters_is_written_down(ledger):
    """On Postgres a NUL would end the push after the call, and leave the line without its outcome."""
    line = make_line()
    with ledger.run() as run:
        run.plan([line])
        attempt = run.claim(f"body {BAD}", [line])
        run.settle(attempt, "unknown", response=BAD, error=BAD, reference=BAD)
    (entry,) = ledger.reader.lines()
    (made,) = ledger.reader.attempts()
    assert (entry.response, entry.error, entry.body_id) == (SAFE, SAFE, f"body {SAFE}")
    assert (made.response, made.error, made.reference) == (SAFE, SAFE, SAFE)
    assert find_lines(ledger, [f"body {BAD}"], None, "--accepted") == [line.id]
    result = resolve_by_hand(ledger, not_sent=[line.id], reason=BAD, by=BAD)
    assert result.planned == [line.id]


def test_i5_an_event_with_control_characters_settles_its_line(ledger):
    line = make_line()
    with ledger.run() as run:
        run.plan([line])
        run.settle(run.claim("body", [line]), "unknown", reference="meter\x00")
    failed = {**event([line], "failed", call="meter\x00", reason=BAD), "id": "evt\x00"}
    for _ in range(2):
        resolve_by_events(ledger, [failed])
        assert states(ledger) == {line.id: "rejected"}
