"""Sums rows to lines: one per vendor, listing, customer, dimension, and closed hour or day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timezone
from decimal import Context, Decimal
from sys import intern, maxsize

from ..model import LENGTHS, Grain, Line, Refusal, RefusedUsage, UsageRow, bucket_start, exact, format_decimal
from ..rules import rules_of

_Key = tuple[datetime, str, str, str, str, str]
"""Start, vendor, listing, customer, dimension, and the entitlement, which is empty where the usage names none."""


@dataclass(frozen=True)
class Aggregation:
    """The lines of a source.

    Attributes:
        lines: Sums of closed hours or days, in order of time, then vendor, listing, customer, dimension, entitlement.
            Sums of zero are included: the marketplace's rules decide about them.
        open_rows: Number of rows of the current hour or day; a later push takes them.
        refusals: Rows that cannot be summed, in order of their position.
    """

    lines: tuple[Line, ...]
    open_rows: int
    refusals: tuple[Refusal, ...]


@dataclass(slots=True)
class _Sum:
    """The rows of a key, by price, and the price and texts of the first row that has them.

    There may be as many sums as rows, so one with a single row, the usual case, has no container.

    Attributes:
        units: Sum.
        price: The first price that was read, as the first of its rows writes it.
        first: Position of that row.
        more: Positions of the other rows with this price.
        others: Positions of the rows with other prices, by price.
        title: Title of the first row that has one; `title_row` is the position of that row.
        description: Like the title.
        per: Like the title.
    """

    units: Decimal
    price: Decimal
    first: int
    more: list[int] | None = None
    others: dict[Decimal, list[int]] | None = None
    title: str | None = None
    title_row: int = maxsize
    description: str | None = None
    description_row: int = maxsize
    per: str | None = None
    per_row: int = maxsize

    @property
    def rows(self) -> list[int]:
        """Positions of the rows with the first price."""
        return [self.first, *(self.more or ())]

    @property
    def positions(self) -> dict[Decimal, list[int]]:
        """Positions by price."""
        return {self.price: self.rows, **(self.others or {})}

    def add(self, row: UsageRow, context: Context) -> None:
        """Add a further row."""
        self.units = context.add(self.units, row.units)
        # Equal decimals are one price: 0.1 and 0.10.
        if row.price == self.price:
            later = row.row
            if later < self.first:
                self.first, self.price, later = later, row.price, self.first
            self.more = self.more or []
            self.more.append(later)
        else:
            self.others = self.others or {}
            self.others.setdefault(row.price, []).append(row.row)
        self.note_texts(row)

    def note_texts(self, row: UsageRow) -> None:
        """Note the texts of a row, unless an earlier one has them."""
        number = row.row
        if row.title and number < self.title_row:
            self.title, self.title_row = intern(row.title), number
        if row.description and number < self.description_row:
            self.description, self.description_row = intern(row.description), number
        if row.per and number < self.per_row:
            self.per, self.per_row = intern(row.per), number


def aggregate(rows: Iterable[UsageRow], grain: Grain, until: datetime) -> Aggregation:
    """Sum the units of each key, exactly. The result does not depend on the order of the rows.

    Args:
        rows: Valid rows.
        grain: Whether lines stand for hours or for days.
        until: Moment up to which the usage is complete, aware; an hour or day that ends after it is open.

    Raises:
        ArithmeticError: A sum would be rounded. This does not happen with rows that passed `validate`.
    """
    sums: dict[_Key, _Sum] = {}
    refusals: list[Refusal] = []
    open_rows = 0
    context, last = exact(), until - LENGTHS[grain]
    for row in rows:
        start = _start(row, grain)
        if start is None:
            refusals.append(Refusal(row.row, "has a date only; use --grain day", _refused(row, grain)))
        elif start > last:
            open_rows += 1
        else:
            vendor, listing, customer = intern(row.vendor), intern(row.listing_id), intern(row.customer_id)
            key = (start, vendor, listing, customer, intern(row.dimension), intern(row.entitlement_id or ""))
            sum_ = sums.get(key)
            if sum_ is None:
                sum_ = sums[key] = _Sum(row.units, row.price, row.row)
                sum_.note_texts(row)
            else:
                sum_.add(row, context)
    lines: list[Line] = []
    named = {key[:-1]: key for key in sums if key[-1]}
    keys = sorted(sums, reverse=True)
    while keys:
        # Neither the key nor the sum takes memory beside the line.
        key = keys.pop()
        if not key[-1] and key[:-1] in named:
            refusals += _without_entitlement(key, sums[key], grain, sums[named[key[:-1]]])
            continue
        line, refused = _finish(key, sums.pop(key), grain)
        refusals += refused
        if line is not None:
            lines.append(line)
    return Aggregation(tuple(lines), open_rows, tuple(sorted(refusals, key=lambda refusal: refusal.row)))


def _start(row: UsageRow, grain: Grain) -> datetime | None:
    if row.used_at is not None:
        return bucket_start(row.used_at, grain)
    return datetime.combine(row.day, time(0), timezone.utc) if grain == "day" else None


def _refused(row: UsageRow, grain: Grain) -> RefusedUsage:
    key = (row.vendor, row.listing_id, row.customer_id, row.dimension, grain)
    units, price = format_decimal(row.units), format_decimal(row.price)
    return RefusedUsage(*key, None, units, price, row.day, row.entitlement_id)


def _finish(key: _Key, summed: _Sum, grain: Grain) -> tuple[Line | None, list[Refusal]]:
    """The line of a key, or the refusals of all its rows."""
    start, vendor, listing_id, customer_id, dimension, entitlement = key
    problem = rules_of(vendor).units_problem(summed.units)
    if problem or summed.others:
        return None, _refusals(key, summed, grain, problem)
    ids = (vendor, listing_id, customer_id, dimension, grain, start)
    rows, texts = tuple(sorted(summed.rows)), (summed.title, summed.description, summed.per)
    return Line(*ids, summed.units, summed.price, *texts, rows, entitlement or None), []


def _refusals(key: _Key, summed: _Sum, grain: Grain, problem: str | None) -> list[Refusal]:
    """Refuse all rows of a key: they have several prices, or their sum is a problem."""
    start, vendor, listing_id, customer_id, dimension, entitlement = key
    when = f"{start:%Y-%m-%d}" if grain == "day" else f"{start:%Y-%m-%d %H:%M} UTC"
    what = f"{dimension} of {customer_id}{f' under {entitlement}' if entitlement else ''} on {when}"
    ids = (vendor, listing_id, customer_id, dimension, grain, start)
    usage = RefusedUsage(*ids, format_decimal(summed.units), entitlement_id=entitlement or None)
    if summed.others:
        return _two_prices(summed, what, usage)
    reason = f"units: the sum of {len(summed.rows)} rows for {what}: {problem}"
    return [Refusal(row, reason, usage) for row in sorted(summed.rows)]


def _without_entitlement(key: _Key, summed: _Sum, grain: Grain, other: _Sum) -> list[Refusal]:
    """Refuse rows without an entitlement beside rows with one: which entitlement they belong to is not known."""
    start, vendor, listing_id, customer_id, dimension, _ = key
    usage = RefusedUsage(vendor, listing_id, customer_id, dimension, grain, start, format_decimal(summed.units))
    first = min(position for rows in other.positions.values() for position in rows)
    reason = f"entitlement_id: is missing here, and given in row {first}, for the same dimension and {grain}"
    return [Refusal(row, reason, usage) for rows in summed.positions.values() for row in rows]


def _two_prices(summed: _Sum, what: str, usage: RefusedUsage) -> list[Refusal]:
    firsts = sorted((min(rows), price) for price, rows in summed.positions.items())
    refusals = []
    for price, rows in summed.positions.items():
        other_row, other = next(first for first in firsts if first[1] != price)
        reason = f"price: {format_decimal(price)} here and {format_decimal(other)} in row {other_row}, both for {what}"
        refusals += [Refusal(row, reason, usage) for row in rows]
    return refusals
