"""I5: the digest of a usage is a function of its lines, the same for ever, in whatever order they come."""

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from automatum.metering.usage.usage import Usage
from tests.support.examples import examples
from tests.support.metering_lines import START, make_line


def usage(lines, **changes):
    counts = {"open_rows": 0, "rows": 0, "zeros": (), "unknown_vendors": (), "missing": (), "source": "usage.csv"}
    return Usage(tuple(lines), **{"refusals": (), **counts, **changes})


def test_a_digest_is_written_down():
    # An approved plan must not differ after an upgrade between the dry run and the push.
    lines = [make_line(), make_line(hour=3, dimension="seats", units="2.50")]
    assert usage(lines).digest == "20261120T04Z-2-e8c67dce6ec4c8db"
    assert usage([]).digest == "20000101T00Z-0-e3b0c44298fc1c14"


@given(st.lists(st.integers(0, 999), unique=True, min_size=1, max_size=20), st.randoms(use_true_random=False))
@settings(max_examples=examples(100))
def test_a_digest_is_a_function_of_the_lines_alone(hours, chance):
    lines = [make_line(hour=hour, dimension=f"dim_{hour}", units="1.50") for hour in hours]
    text = "\n".join(sorted(f"{line.id} 1.5 0.01" for line in lines))
    end = f"{START + timedelta(hours=max(hours) + 1):%Y%m%dT%HZ}"
    digest = f"{end}-{len(lines)}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    assert usage(lines).digest == digest
    other = [replace(line, units=Decimal("1.500"), title="x", rows=9, currency="EUR") for line in lines]
    chance.shuffle(other)
    assert usage(other, source="other", open_rows=5, missing=("customers",)).digest == digest
    for change in ({"units": Decimal(2)}, {"price": Decimal(1)}, {"dimension": "other"}):
        assert usage([replace(lines[0], **change), *lines[1:]]).digest != digest


def test_what_closed_since_is_left_out():
    lines = [make_line(hour=hour, rows=2) for hour in range(5)]
    before, now = usage(lines[:3]), usage(lines, open_rows=1)
    until = datetime(2026, 11, 20, 3, tzinfo=timezone.utc)
    found = now.until(until)
    assert found.digest == before.digest != now.digest
    assert (found.lines, found.open_rows) == (tuple(lines[:3]), 5)
