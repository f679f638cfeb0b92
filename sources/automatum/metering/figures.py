"""Lines as figures, by the names of the columns of `metering_lines`: for `--json`, the statement and the export."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from .ledger.entries import Entry
from .model import Line, exact

_OF_KEY = (
    "vendor", "customer_id", "listing_id", "dimension", "entitlement_id", "grain", "starts_at", "price", "currency",
)  # fmt: skip
_OF_LINE = ("day", "carried_from", "carry_number", "title", "description", "per")
_OF_ENTRY = (
    "state", "accepted_units", "accepted_price", "carried_units", "carried_amount", "open_units", "source", "attempts",
    "attempt_id", "first_seen_at", "sent_at", "settled_at",
)  # fmt: skip


def line_figures(line: Line) -> dict[str, Any]:
    """A line that is asked for, with its money."""
    key = {name: getattr(line, name) for name in _OF_KEY}
    return {"line_id": line.id, **key, "asked_units": line.units, "asked_amount": line.charged}


def entry_figures(entry: Entry) -> dict[str, Any]:
    """A line of the ledger with what is asked, accepted, carried and open, in units and in money: a row of the export.

    Carried money counts at the price of the lines that bill it. The usage may have another price by now.
    """
    context, accepted = exact(), None
    if entry.accepted_units is not None and entry.accepted_price is not None:
        accepted = context.multiply(entry.accepted_units, entry.accepted_price)
    billed = context.add(accepted or Decimal(0), entry.carried_amount)
    return {
        **line_figures(entry.line),
        **{name: getattr(entry.line, name) for name in _OF_LINE},
        **{name: getattr(entry, name) for name in _OF_ENTRY},
        **{name: getattr(entry, name) or None for name in ("why", "error", "settled_by")},
        "accepted_amount": accepted,
        "open_amount": context.subtract(entry.line.charged, billed),
    }
