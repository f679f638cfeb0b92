"""I5: the digest of a plan is the same for the same lines for ever, in whatever order they come."""

import hashlib
from datetime import datetime, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from automatum.metering.ledger.plan_record import fingerprint
from automatum.metering.plan import digest_of
from tests.support.examples import examples
from tests.support.metering_lines import make_line

NOON = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)


def test_a_digest_is_written_down():
    # An approved plan must not differ after an upgrade between the dry run and the push.
    lines = [make_line(), make_line(dimension="seats", units="2.50")]
    assert digest_of(NOON, lines) == "20261124T120000Z-2-c964ee15c5411bb2"


@given(st.lists(st.integers(0, 999), unique=True, max_size=20))
@settings(max_examples=examples(100))
def test_a_digest_is_the_hash_of_the_sorted_texts(numbers):
    lines = [make_line(dimension=f"dim_{number}") for number in numbers]
    text = "\n".join(sorted(map(fingerprint, lines)))
    assert digest_of(NOON, lines) == f"20261124T120000Z-{len(lines)}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
