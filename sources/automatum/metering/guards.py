"""Guards: what looks like a mistake is not sent until a person allows it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from ..core.text import plural
from .checks import Checks
from .eligibility import Eligibility
from .ledger.holds import Hold
from .ledger.past import Past
from .ledger.plan_reader import Contributions
from .model import Line, exact, format_decimal, format_money, total
from .refused_rows import RefusedRows

MOST_ROWS = 5
"""Longest list of rows in a reason."""


def refused_row_holds(lines: Sequence[Line], refused: RefusedRows) -> Iterator[Hold]:
    """Lines that may lack a refused row. An accepted sum cannot be raised later."""
    for line in lines:
        if rows := refused.of(line):
            named = ", ".join(str(row) for row in rows[:MOST_ROWS]) + (" ..." if len(rows) > MOST_ROWS else "")
            reason = f"refused in the usage, and possibly a part of it: row {named}; correct the rows first"
            yield Hold(line, "refused_rows", reason)


def price_holds(lines: Sequence[Line], eligibility: Eligibility) -> Iterator[Hold]:
    """Lines whose price is not that of the entitlement, or zero."""
    for line in lines:
        known = eligibility.prices(line)
        if not line.units or line.price in known:
            continue
        if known:
            wanted = " or ".join(sorted(format_decimal(price) for price in known))
            yield Hold(line, "price", f"the price is {format_decimal(line.price)}, that of the entitlement {wanted}")
        elif not line.price:
            yield Hold(line, "price", "the price is zero")


def unusual_holds(lines: Sequence[Line], past: Past, factor: Decimal) -> Iterator[Hold]:
    """Lines, and all lines of customers, that are more than so many times their trailing median."""
    if not past.units:
        return
    context, times = exact(), format_decimal(factor)
    customers: dict[tuple[str, str, datetime], list[Line]] = defaultdict(list)
    for line in lines:
        customers[line.vendor, line.customer_id, line.starts_at].append(line)
        usual = past.usual_units(line)
        if usual is not None and line.units > context.multiply(usual, factor):
            units, median = format_decimal(line.units), format_decimal(usual)
            yield Hold(line, "unusual", f"{units} units are more than {times} times the usual {median}")
    for of_customer in customers.values():
        usual = past.usual_amount(of_customer[0])
        amount = context.add(total(of_customer), past.amount_at(of_customer[0]))
        if usual is not None and amount > context.multiply(usual, factor):
            words = f"{format_decimal(amount)} in all are more than {times} times the customer's usual"
            for line in of_customer:
                yield Hold(line, "unusual", f"{words} {format_decimal(usual)}")


def source_holds(
    lines: Sequence[Line], planned: Collection[str], known: Contributions, source: str | None
) -> Iterator[Hold]:
    """Lines that another source has planned, and that were not sent: a repetition, or a part of a larger quantity?"""
    for line in lines:
        if source is None or line.id not in planned:
            continue
        others = {name: said for name, said in known.get(line.id, {}).items() if name != source}
        for name, (units, price) in sorted(others.items()):
            if (units, price) == (line.units, line.price):
                reason = f"looks like a repetition: {name} has exactly these units, too"
            else:
                reason = f"{name} says {format_decimal(units)} units, {source} says {format_decimal(line.units)}"
            yield Hold(line, "other_source", f"{reason}; two sources are not summed, so put both into one usage")
            break


def limit_holds(lines: Sequence[Line], checks: Checks) -> Iterator[Hold]:
    """All lines, if they are more, or cost more in a currency, than the push may send."""
    reasons = []
    if checks.max_lines is not None and len(lines) > checks.max_lines:
        reasons.append(f"{plural(len(lines), 'line')}, more than the {checks.max_lines:,} of max_lines")
    if checks.max_amount is not None:
        for currency, charged in checks.eligibility.charged_by_currency(lines).items():
            if charged > checks.max_amount:
                limit = f"the {format_decimal(checks.max_amount)} of max_amount"
                reasons.append(f"{format_money(charged, currency)}, more than {limit}")
    if reasons:
        for line in lines:
            yield Hold(line, "limit", f"the push would send {' and '.join(reasons)}")
