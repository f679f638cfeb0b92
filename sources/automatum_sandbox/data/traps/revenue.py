"""Daily revenue. Path, parameters and fields are assumed: the vendor documents only `GET /api/v1/analytics/*`."""

from __future__ import annotations

from datetime import date, timedelta

from ..generated_rows import Record
from ..randomness import seeded_random

VENDORS = ("aws", "azure")


class Revenue:
    """One record per day and marketplace.

    Args:
        seed: Seed of the amounts; a day's amounts depend on nothing else.
        first: First day that has records.
    """

    def __init__(self, seed: int, first: date) -> None:
        self._seed, self._first = seed, first
        self._restated: dict[tuple[str, str], Record] = {}

    def restate(self, day: str, vendor: str, fields: Record) -> None:
        """Change the record of a past day (`YYYY-MM-DD`), as marketplaces do."""
        self._restated[day, vendor] = {**self._restated.get((day, vendor), {}), **fields}

    def between(self, start: date, end: date, today: date) -> list[Record]:
        """Records from `start` to `end`, both included, and none after `today`."""
        day, last = max(start, self._first), min(end, today)
        records = []
        while day <= last:
            records += [self._record(day, vendor) for vendor in VENDORS]
            day += timedelta(days=1)
        return records

    def _record(self, day: date, vendor: str) -> Record:
        rng = seeded_random((abs(self._seed) << 40) + day.toordinal() * 4 + VENDORS.index(vendor))
        cents = rng.randrange(10_000, 9_000_000)
        fee = cents * 3 // 100
        as_text = day.toordinal() % 7 == 0
        record: Record = {
            "date": day.isoformat(),
            "vendor": vendor,
            "revenue": _amount(cents, as_text),
            "netRevenue": _amount(cents - fee, as_text),
            "marketplaceFee": _amount(fee, as_text),
            "currency": "USD",
            "count": rng.randrange(1, 400),
        }
        return {**record, **self._restated.get((record["date"], vendor), {})}


def _amount(cents: int, as_text: bool) -> float | str:
    return f"{cents // 100}.{cents % 100:02d}" if as_text else cents / 100
