"""Usage as sources write it, for the tests of what happens before the ledger."""

from datetime import datetime, timezone
from decimal import Decimal

import pyarrow.parquet as pq

from automatum.metering.usage.usage import read_usage
from tests.support.clocks import FakeClock

UTC = timezone.utc
NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
MOMENT = datetime(2026, 11, 24, 10, 15, tzinfo=UTC)
ROW = {
    "customer_id": "cust_1",
    "listing_id": "lst_1",
    "vendor": "aws",
    "dimension": "api_calls",
    "units": Decimal("12345678.000001"),
    "price": Decimal("0.01"),
    "usage_at": MOMENT,
}
"""A good row with typed values."""


def usage(**changes):
    """A good row as text, by our column names; without the columns that are set to `...`."""
    row = {
        "customer_id": "cust_1",
        "listing_id": "lst_1",
        "vendor": "aws",
        "dimension": "api_calls",
        "units": "5",
        "price": "0.01",
        "usage_at": "2026-11-24T10:15:00Z",
    }
    row.update(changes)
    return {name: value for name, value in row.items() if value is not ...}


def read(source, grain="hour", now=NOW, named=None, **options):
    """Read a source as a push does at a moment, without a destination unless one is given."""
    given = {"pipeline": None, "until": now, "clock": FakeClock(now.timestamp()), "source": named, **options}
    return read_usage(source, grain=grain, now=now, **given)


def refused(found):
    """The refused rows, each with the reason."""
    return {row: refusal.reason for refusal in found.refusals for row in refusal.rows}


def as_parquet(table):
    """Write a table to `usage.parquet`."""
    pq.write_table(table, "usage.parquet")
    return "usage.parquet"
