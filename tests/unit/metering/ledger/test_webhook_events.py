"""Webhook events are read from files of JSON lines, or of one JSON array, with all their digits."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from automatum.api.metering_overrides import to_snake_case
from automatum.core.errors import ConfigurationError
from automatum.metering.ledger.webhook_events import Event, parse, read_events
from tests.support.metering_lines import event, make_line

BODY = [make_line(1, dimension="api", units="5"), make_line(1, dimension="gb", units="2.5", price="0.20")]


def test_events_come_from_a_file(tmp_path):
    one, two = event(BODY, number=1), event(BODY, number=2)
    exact = json.dumps(one, default=str).replace('"2.5"', "2.50000000000000000001")
    lines = tmp_path / "events.jsonl"
    lines.write_text("\ufeff" + exact + "\n\n" + json.dumps(two, default=str), encoding="utf-8")
    first, second = parse(read_events(lines))
    assert isinstance(first, Event) and isinstance(second, Event)
    assert first.usages[1].units == Decimal("2.50000000000000000001"), "no digit is lost"
    array = tmp_path / "events.json"
    array.write_text(json.dumps([one, two], default=str))
    assert len(list(read_events(array))) == 2


@pytest.mark.parametrize(
    "content, says", [("{}\nnonsense", "line 2"), ("3", "not a JSON object"), (None, "cannot be read")]
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path, content, says):
    path = tmp_path / "events.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=says):
        list(read_events(path))


def test_an_event_in_snake_case_is_the_same_event():
    """I8: of an API that writes all names so (the setting `naming`)."""

    def snake(value):
        if isinstance(value, dict):
            return {to_snake_case(name): snake(one) for name, one in value.items()}
        return [snake(one) for one in value] if isinstance(value, list) else value

    documented = event(BODY, number=1)
    (one,), (two,) = parse([documented]), parse([snake(documented)])
    assert isinstance(two, Event)
    assert snake(documented) != documented
    assert replace(two, key=one.key) == one
