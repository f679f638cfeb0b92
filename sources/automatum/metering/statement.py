"""The statement of a month: what was measured, and what became of it, by customer, listing and dimension.

Each unit of each line is in one column, so the columns add up to the ledger to the last digit:

    measured + carried_in = accepted + confirmed + unknown + rejected + expired + written_off + canceled + open
                            + carried_out + difference

`measured` is what the latest push has read. `difference` is what it has read beyond what is billed or carried; it is
negative where more is billed. `sent` counts the units of all calls that were made, and is no part of the sum.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

from ..core.errors import ConfigurationError
from .eligibility import UNCHECKED, Eligibility
from .ledger.entries import Entry
from .ledger.ledger import Ledger
from .ledger.states import State
from .model import UNKNOWN_CURRENCY, exact, format_decimal

KEY_COLUMNS = ("vendor", "customer_id", "listing_id", "dimension", "entitlement_id", "currency")
_OF_STATE: Mapping[State, str] = {
    "accepted": "difference",
    "confirmed": "difference",
    "carried": "difference",
    "conflict": "difference",
    "rejected": "rejected",
    "expired": "expired",
    "writeoff": "written_off",
    "canceled": "canceled",
    "unknown": "unknown",
    "sending": "unknown",
    "planned": "open",
}
"""Column of what a line in a state has measured, and has neither billed nor carried."""
COLUMNS = (
    "measured",
    "carried_in",
    "sent",
    "accepted",
    "confirmed",
    "unknown",
    "rejected",
    "expired",
    "written_off",
    "canceled",
    "open",
    "carried_out",
    "difference",
)
SUMMED = COLUMNS[3:]
"""Columns that add up to `measured` and `carried_in`."""
_NOT_TAKEN: tuple[State, ...] = ("planned", "sending", "unknown", "rejected")
"""States in which an earlier acceptance of a line, and an earlier question about it, no longer count."""
_MONTH = re.compile(r"([0-9]{4})-([0-9]{2})")


@dataclass(slots=True)
class Sum:
    """Units and amount, exact."""

    units: Decimal = Decimal(0)
    amount: Decimal = Decimal(0)

    def add(self, units: Decimal, amount: Decimal) -> None:
        """Add units and money."""
        context = exact()
        self.units, self.amount = context.add(self.units, units), context.add(self.amount, amount)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the statement.

    Attributes:
        key: Values of `KEY_COLUMNS`. The currency is `unknown` if the synced entitlements do not name one.
        lines: Number of lines of the ledger in it.
        sums: Column of `COLUMNS` to units and amount.
    """

    key: tuple[str, ...]
    lines: list[str] = field(default_factory=list)
    sums: dict[str, Sum] = field(default_factory=lambda: {name: Sum() for name in COLUMNS})

    @property
    def named(self) -> dict[str, str]:
        """The key by its names."""
        return dict(zip(KEY_COLUMNS, self.key, strict=True))

    @property
    def billed(self) -> Sum:
        """What the API took: accepted and confirmed."""
        total = Sum()
        for name in ("accepted", "confirmed"):
            total.add(self.sums[name].units, self.sums[name].amount)
        return total

    def as_json(self) -> dict[str, Any]:
        """For `automatum push statement --json`; amounts are numbers with exactly their digits."""
        return {
            **self.named,
            "lines": len(self.lines),
            "units": {name: cell.units for name, cell in self.sums.items()},
            "amounts": {name: cell.amount for name, cell in self.sums.items()},
        }


@dataclass(frozen=True)
class Statement:
    """The statement of a month.

    Attributes:
        month: Such as `2026-11`: the UTC month of the hours and days of use. A line that carries late usage counts in
            the month of the hour in which it is billed.
        rows: Sorted by key.
    """

    month: str
    rows: tuple[Row, ...]

    @property
    def totals(self) -> dict[str, dict[str, Sum]]:
        """Currency to column to the sum of all rows."""
        found: dict[str, dict[str, Sum]] = {}
        for row in self.rows:
            into = found.setdefault(row.named["currency"], {name: Sum() for name in COLUMNS})
            for name, cell in row.sums.items():
                into[name].add(cell.units, cell.amount)
        return found

    def as_json(self) -> dict[str, Any]:
        """For `automatum push statement --json`."""
        totals = {
            currency: {name: {"units": cell.units, "amount": cell.amount} for name, cell in sums.items()}
            for currency, sums in self.totals.items()
        }
        return {"month": self.month, "rows": [row.as_json() for row in self.rows], "totals": totals}

    def as_csv(self) -> str:
        """One line for each row, with units and amount of each column, exact. Texts do not begin a formula."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        pairs = [f"{name}_{what}" for name in COLUMNS for what in ("units", "amount")]
        writer.writerow(["month", *KEY_COLUMNS, "lines", *pairs])
        for row in self.rows:
            numbers = [
                format_decimal(number) for name in COLUMNS for number in (row.sums[name].units, row.sums[name].amount)
            ]
            writer.writerow([self.month, *map(_no_formula, row.key), len(row.lines), *numbers])
        return text.getvalue()


def read_statement(ledger: Ledger, month: str, eligibility: Eligibility = UNCHECKED) -> Statement:
    """Make the statement of a month from the ledger.

    Args:
        ledger: The ledger.
        month: Such as `2026-11`.
        eligibility: The synced tables, which name the currencies.

    Raises:
        ConfigurationError: `month` is no month.
        DestinationError: The ledger cannot be read.
    """
    start, end = month_bounds(month)
    rows: dict[tuple[str, ...], Row] = {}
    for entry in ledger.reader.lines(starts_in=(start, end)):
        currency = eligibility.currency(entry.line) or UNKNOWN_CURRENCY
        values = (entry.vendor, entry.customer_id, entry.listing_id, entry.dimension, entry.entitlement_id or "")
        key = (*values, currency)
        row = rows.get(key)
        if row is None:
            row = rows[key] = Row(key)
        row.lines.append(entry.line_id)
        for column, units, amount in split(entry):
            row.sums[column].add(units, amount)
    return Statement(month, tuple(rows[key] for key in sorted(rows)))


def split(entry: Entry) -> Iterator[tuple[str, Decimal, Decimal]]:
    """Column, units and amount of each part of a line. The parts of `SUMMED` add up to what was measured or carried in.

    Args:
        entry: A line in the ledger.
    """
    context, zero = exact(), Decimal(0)
    units, price = context.add(entry.units, entry.carried_units or zero), entry.price
    if entry.asked_units is not None and entry.asked_price is not None and entry.state not in _NOT_TAKEN:
        units, price = entry.asked_units, entry.asked_price
    amount = context.multiply(units, price)
    yield "carried_in" if entry.carried_from else "measured", units, amount
    if entry.attempts:
        yield "sent", entry.units, entry.charged
    left_units, left_amount = units, amount
    if entry.accepted_units is not None and entry.state not in _NOT_TAKEN:
        accepted = context.multiply(entry.accepted_units, entry.accepted_price or zero)
        yield "confirmed" if entry.state == "confirmed" else "accepted", entry.accepted_units, accepted
        left_units = context.subtract(left_units, entry.accepted_units)
        left_amount = context.subtract(left_amount, accepted)
    if entry.carried_units is not None:
        carried = context.multiply(entry.carried_units, entry.accepted_price or entry.price)
        yield "carried_out", entry.carried_units, carried
        left_units = context.subtract(left_units, entry.carried_units)
        left_amount = context.subtract(left_amount, carried)
    if left_units or left_amount:
        yield _OF_STATE[entry.state], left_units, left_amount


def month_bounds(month: str) -> tuple[datetime, datetime]:
    """Start and end of a month, in UTC.

    Raises:
        ConfigurationError: It is no month.
    """
    match = _MONTH.fullmatch(month)
    if match is None or not 1 <= int(match[2]) <= 12 or int(match[1]) < 1:
        raise ConfigurationError("--month", f"{month!r} is not a month.", "Write it as YYYY-MM, such as 2026-11.")
    first = date(int(match[1]), int(match[2]), 1)
    following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return _midnight(first), _midnight(following)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=timezone.utc)


def _no_formula(text: str) -> str:
    """A text that a spreadsheet does not compute."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
