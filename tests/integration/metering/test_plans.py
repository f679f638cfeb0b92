"""I5: what a push plans is bound to the usage that it was planned from, and a person can keep or cancel it."""

from datetime import datetime, timedelta

import pytest

from automatum.config.settings import resolve_settings
from automatum.metering.options import PushOptions
from automatum.metering.run import run_push
from tests.support.clocks import FakeClock
from tests.support.pushing import NOON, UTC, Api, Books, hour_of

AT = hour_of(NOON, 1) + timedelta(minutes=10)


def row(customer=1, dimension="calls", units="5", at=AT, **changes):
    """A row of usage."""
    fields = {
        "customer_id": f"cust_{customer}",
        "listing_id": "list_1",
        "vendor": "aws",
        "dimension": dimension,
        "units": units,
        "price": "0.5",
        "usage_at": at.isoformat(),
    }
    return {**fields, **changes}


@pytest.fixture
def api():
    with Api() as found:
        yield found


@pytest.fixture
def books(api, tmp_path):
    return Books(api.url, tmp_path)


def dry(books, usage, **settings):
    """A dry run by the public function, with the settings."""
    resolved = resolve_settings({**books.settings, **settings}, with_credentials=False)
    return run_push(usage, PushOptions(ledger_url=books.url), settings=resolved, clock=books.clock)


# The hour's end


def test_i5_usage_that_arrives_while_it_is_read_does_not_close_its_hour(books):
    """The last rows of the hour may have been written after the first ones were read."""
    end = datetime(2026, 11, 24, 13, tzinfo=UTC)
    books.clock.advance((end - NOON).total_seconds() - 1)

    def read():
        yield row(at=end - timedelta(minutes=10))
        books.clock.advance(3600)
        yield row(units="7", at=end + timedelta(minutes=5))

    summary = dry(books, read(), metering_grace_minutes=0)
    assert (summary.lines["new"], summary.lines["invalid"], summary.classification.open_rows) == (0, 0, 2)


@pytest.mark.parametrize("minutes", [None, 0, 90])
def test_i5_an_hour_is_closed_after_the_grace_period(minutes, books):
    settings = {} if minutes is None else {"metering_grace_minutes": minutes}
    minutes = 5 if minutes is None else minutes
    end = hour_of(NOON, 0)
    for seconds, closed in ((-1, 0), (0, 1)):
        books.clock = FakeClock(epoch=(end + timedelta(minutes=minutes, seconds=seconds)).timestamp())
        summary = dry(books, [row()], **settings)
        assert (summary.lines["new"], summary.classification.open_rows) == (closed, 1 - closed)
