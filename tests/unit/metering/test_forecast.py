"""The forecast of a dry run: how long the rate limits make it take, and what becomes too late meanwhile."""

from datetime import timedelta

import pytest

from automatum.metering.forecast import SECONDS_EACH, forecast
from automatum.metering.payloads import bodies
from tests.support.metering_lines import START, make_line

LINES = [make_line(customer=f"cust_{number:03}") for number in range(100)]


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [
        ((), 101),
        (((1000, 60),), 101),
        # 10 with the token, then 10 in each minute after an answer.
        (((10, 3600),), 10 * 3600 + 11),
    ],
)
def test_the_time_that_the_rate_limits_take(limits, seconds):
    found = forecast(bodies(LINES), limits, START + timedelta(hours=1), late_ok=False)
    assert abs(found.seconds - seconds * SECONDS_EACH) <= 10


def test_i5_what_becomes_too_late_is_named_before():
    """At ten requests an hour, 59 of 100 bodies can be sent in the five hours that are left."""
    found = forecast(bodies(LINES), ((10, 3600),), START + timedelta(hours=1), late_ok=False)
    assert [line.customer_id for line in found.too_late] == [f"cust_{number:03}" for number in range(49, 100)]
    assert forecast(bodies(LINES), ((10, 3600),), START + timedelta(hours=1), late_ok=True).too_late == []
    assert forecast([], ((10, 3600),), START, late_ok=False).too_late == []
