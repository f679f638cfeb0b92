"""What a push checks before it sends, besides the rules of the marketplaces, and the warning of unusual amounts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from .ledger.entries import TAKEN
from .ledger.ledger import Ledger
from .model import LENGTHS, Line, amounts, exact, format_decimal, format_money

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

UNUSUAL = 10
"""A line, or a customer's hour or day, of more than so many times its median is named in a warning."""
_WINDOW = 30
_FEWEST = 6
"""Hours or days before which nothing is usual."""
_OF_CUSTOMER = 2
"""Parts of a customer's key; that of a dimension has more."""
_Amounts = dict[tuple[str, ...], dict[datetime, Decimal]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Checks:
    """The checks of one push, or of one decision that sends.

    Attributes:
        plan: Digest of an approved dry run, whose lines alone are sent; None to send all.
        late_ok: Also send what is past the strictest known deadline. The documented one holds all the same.
        max_amount: Most money, in each currency; None for no limit.
        limits: Rate limits, for the forecast of a dry run: requests and seconds.
        by: User who pushes or decides.
        pipeline: Destination of the synced tables that `push settle` checks lines against; None if there is none.
        organization_id: Organization of the rows of those tables; None if they contain only one.
        unchecked: Whether the caller asked not to check against them.
    """

    plan: str | None = None
    late_ok: bool = False
    max_amount: Decimal | None = None
    limits: tuple[tuple[int, float], ...] = ()
    by: str = ""
    pipeline: SupportsPipeline | None = field(default=None, repr=False)
    organization_id: str | None = None
    unchecked: bool = False


NO_CHECKS = Checks()
"""Only the rules of the marketplaces are checked."""


def above_limit(lines: Iterable[Line], max_amount: Decimal | None) -> str:
    """Why lines must not be sent together: they cost more, in a currency, than the limit; "" if they do not."""
    if max_amount is None:
        return ""
    above = [format_money(sum_, currency) for currency, sum_ in amounts(lines).items() if sum_ > max_amount]
    return (
        f"{' and '.join(above)} would be sent, more than the {format_decimal(max_amount)} of max_amount"
        if above
        else ""
    )


def unusual(ledger: Ledger, lines: Sequence[Line]) -> list[str]:
    """Name lines, and customers, of more than `UNUSUAL` times the median of their latest hours or days.

    It is a warning: usage that is right and waits for a person becomes too late, and is not billed.

    Args:
        ledger: The ledger, whose accepted lines are what is usual.
        lines: The lines that will be sent, of one grain.
    """
    if not lines:
        return []
    grain, last = lines[0].grain, max(line.ends_at for line in lines)
    since = min(line.starts_at for line in lines) - _WINDOW * LENGTHS[grain]
    past: _Amounts = defaultdict(lambda: defaultdict(Decimal))
    for entry in ledger.entries(states=TAKEN, starts_in=(since, last)):
        line, units, price = entry.line, entry.accepted_units, entry.accepted_price
        if line.grain == grain and line.carried_from is None and units and price is not None:
            _add(past, line, units, exact().multiply(units, price))
    sent: _Amounts = defaultdict(lambda: defaultdict(Decimal))
    for line in lines:
        _add(sent, line, line.units, line.charged)
    found = []
    for key, amounts_ in sent.items():
        for start, amount in amounts_.items():
            before = past.get(key, {})
            amount = exact().add(amount, before.get(start, Decimal(0)))
            usual = _median([one for moment, one in before.items() if moment < start])
            if usual and amount > usual * UNUSUAL:
                what = f"{format_decimal(amount)} {'units' if len(key) > _OF_CUSTOMER else 'in all'}"
                found.append(
                    f"{' '.join(key[1:])} at {start:%Y-%m-%d %H:%M}: {what}, usual are {format_decimal(usual)}"
                )
    return found


def _add(found: _Amounts, line: Line, units: Decimal, amount: Decimal) -> None:
    """Add the units of a line, and its money to that of its customer."""
    customer = (line.vendor, line.customer_id)
    dimension = (*customer, line.listing_id, line.dimension, line.entitlement_id or "")
    for key, number in ((dimension, units), (customer, amount)):
        found[key][line.starts_at] = exact().add(found[key][line.starts_at], number)


def _median(numbers: list[Decimal]) -> Decimal | None:
    """The lower median of the latest hours or days."""
    return sorted(numbers)[(len(numbers) - 1) // 2] if len(numbers) >= _FEWEST else None
