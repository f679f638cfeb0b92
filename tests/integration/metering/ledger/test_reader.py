"""Reading the ledger: page by page, in order, and nothing of a ledger that is not there."""

from automatum.metering.ledger.states import STATES

from tests.support.metering_lines import ids, make_line

LINES = [make_line(hour, dimension=dimension) for hour in range(3) for dimension in ("api_calls", "storage")]


def test_every_line_is_read_page_by_page(ledger, monkeypatch):
    monkeypatch.setattr("automatum.metering.ledger.reader._PAGE", 4)
    lines = [make_line(hour) for hour in range(11)]
    with ledger.run() as run:
        run.plan(lines)
        run.claim("a", lines[:6])
        run.claim("b", lines[6:])
        assert [entry.line_id for entry in ledger.reader.lines()] == sorted(ids(lines))
        assert len(list(ledger.reader.attempts())) == 11
        assert {row.line_id for row in ledger.reader.attempts()} == ids(lines)
    assert ledger.reader.counts() == {**dict.fromkeys(STATES, 0), "unknown": 11}
    assert {entry.line_id for entry in ledger.reader.lines(["unknown"])} == ids(lines)
    assert list(ledger.reader.lines(["accepted"])) == []


def test_attempts_come_in_the_order_of_the_calls(ledger):
    with ledger.run() as run:
        run.plan(LINES)
        made = [run.claim("body", [line]).id for line in LINES]
    assert [row.attempt_id for row in ledger.reader.attempts()] == made
