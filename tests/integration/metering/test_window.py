"""The setting `metering_documented_window` widens the window of the marketplaces that it names (I5)."""

from datetime import timedelta

import pytest

from automatum import PushOptions, Target, run_push
from automatum.config.settings import resolve_settings
from tests.support.clocks import FakeClock
from tests.support.pushing import NOON


@pytest.mark.parametrize(
    ("window", "hours", "sent"), [(None, 7, 0), (["aws"], 7, 1), (["azure"], 7, 0), (["aws"], 25, 0)]
)
def test_late_usage_is_sent_by_the_window_of_the_settings(desk, window, hours, sent):
    row = {"customer_id": "cust_1", "listing_id": "lst_1", "vendor": "aws", "dimension": "api_calls", "units": "5"}
    rows = [{**row, "price": "1", "usage_at": NOON - timedelta(hours=hours)}]
    settings = resolve_settings({"metering_documented_window": window}, with_credentials=False)
    options = PushOptions(target=Target(database=desk.folder / "none.duckdb"))
    summary = run_push(rows, options, settings=settings, clock=FakeClock(epoch=NOON.timestamp()))
    assert (summary.lines["new"], summary.lines["expired"]) == (sent, 1 - sent)
