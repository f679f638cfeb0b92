"""What was accepted before: the usual quantity of a line, and the usual amount of a customer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from ..model import Grain, Line, exact
from .batches import batches
from .ledger import Ledger
from .states import TAKEN
from .tables import LINES

WINDOW: dict[Grain, timedelta] = {"hour": timedelta(days=2), "day": timedelta(days=30)}
"""How far back usage is compared."""
FEWEST = 6
"""Hours or days with usage below which nothing counts as usual."""


@dataclass
class Past:
    """Accepted usage of the hours or days before the lines of a push.

    Attributes:
        units: Quantity of each key, by start.
        amounts: Money of each marketplace's customer, by start.
    """

    units: dict[tuple[str, ...], dict[datetime, Decimal]] = field(default_factory=lambda: defaultdict(dict))
    amounts: dict[tuple[str, ...], dict[datetime, Decimal]] = field(default_factory=lambda: defaultdict(dict))

    def usual_units(self, line: Line) -> Decimal | None:
        """Median quantity of a line before its start; None if there is too little to say."""
        return _median(self.units.get(_key(line), {}), line)

    def usual_amount(self, line: Line) -> Decimal | None:
        """Median amount of a line's customer before the line's start; None if there is too little to say."""
        return _median(self.amounts.get((line.vendor, line.customer_id), {}), line)

    def amount_at(self, line: Line) -> Decimal:
        """What was accepted of a line's customer for the same start."""
        return self.amounts.get((line.vendor, line.customer_id), {}).get(line.starts_at, Decimal(0))


def by_customers(lines: Sequence[Line]) -> Iterator[Sequence[Line]]:
    """The lines in batches of whole customers, because the past of all of them may not fit into memory."""
    customers: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        customers[line.customer_id].append(line)
    found = list(batches(list(customers.values())))
    if len(found) == 1:
        yield lines  # In their order.
        return
    for batch in found:
        yield [line for of_customer in batch for line in of_customer]


def read_past(ledger: Ledger, lines: Collection[Line]) -> Past:
    """Accepted usage that lines can be compared with: that of their customers.

    Args:
        ledger: The ledger.
        lines: Lines of one grain, of few enough customers for one query; see `by_customers`.
    """
    past = Past()
    if not lines or not ledger.exists:
        return past
    grain = next(iter(lines)).grain
    since = min(line.starts_at for line in lines) - WINDOW[grain]
    columns = (LINES.c.vendor, LINES.c.listing_id, LINES.c.customer_id, LINES.c.dimension, LINES.c.entitlement_id)
    accepted = (LINES.c.starts_at, LINES.c.accepted_units, LINES.c.accepted_price)
    query = select(*columns, *accepted).where(
        LINES.c.starts_at >= since,
        LINES.c.state.in_(TAKEN),
        LINES.c.grain == grain,
        LINES.c.customer_id.in_(sorted({line.customer_id for line in lines})),
    )
    with ledger.database.read() as connection:
        for row in connection.execute(query):
            _add(past, row)
    return past


def _add(past: Past, row: Any) -> None:
    vendor, listing_id, customer_id, dimension, entitlement_id, start, units, price = row
    if not units or price is None:
        return
    past.units[vendor, listing_id, customer_id, dimension, entitlement_id or ""][start] = units
    by_start = past.amounts[vendor, customer_id]
    context = exact()
    by_start[start] = context.add(by_start.get(start, Decimal(0)), context.multiply(units, price))


def _key(line: Line) -> tuple[str, ...]:
    return line.vendor, line.listing_id, line.customer_id, line.dimension, line.entitlement_id or ""


def _median(by_start: dict[datetime, Decimal], line: Line) -> Decimal | None:
    """The lower median."""
    found = sorted(value for start, value in by_start.items() if start < line.starts_at)
    return found[(len(found) - 1) // 2] if len(found) >= FEWEST else None
