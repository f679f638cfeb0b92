"""Usage as sources write it, for the tests of what happens before the ledger."""

from datetime import datetime, timezone
from decimal import Decimal

import pyarrow.parquet as pq

from automatum.metering.model import UsageRow
from automatum.metering.usage.usage import read_usage
from automatum.metering.usage.validation import validate

UTC = timezone.utc
NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


def usage(**changes):
    """A good row, by our column names."""
    row = {
        "customer_id": "cust_1a2b3c4d",
        "listing_id": "lst_1",
        "vendor": "aws",
        "dimension": "api_calls",
        "units": "5",
        "price": "0.01",
        "usage_at": "2026-11-24T10:15:00Z",
    }
    row.update(changes)
    return {name: value for name, value in row.items() if value is not ...}


def used(row=1, at=datetime(2026, 11, 24, 10, 15, tzinfo=UTC), units="5", price="0.01", **changes):
    """A valid row."""
    fields = {
        "vendor": "aws",
        "listing_id": "lst_1",
        "customer_id": "cust_1",
        "dimension": "api_calls",
        "used_at": at,
        "day": at.date(),
        **changes,
    }
    return UsageRow(row=row, units=Decimal(units), price=Decimal(price), **fields)


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


def judge(source, **options):
    """Read and validate a source, by the hour."""
    return list(validate(read_usage(source, **options), "hour", lambda: NOW))


def as_parquet(table):
    """Write a table to `usage.parquet`."""
    pq.write_table(table, "usage.parquet")
    return "usage.parquet"
