"""Ledger entries without a ledger, for the tests of what only reads one."""

from collections import Counter
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from automatum.metering.ledger.entries import Entry, Item
from automatum.metering.model import Line

START = datetime(2026, 11, 20, tzinfo=timezone.utc)


def make_line(hour=0, units="5", price="0.01", *, dimension="api_calls", grain="hour", customer="cust_1", **more):
    """A line of an hour counted from START, or of the day in which that hour lies."""
    starts_at = START + timedelta(hours=hour)
    if grain == "day":
        starts_at = starts_at.replace(hour=0)
    return Line(
        vendor=more.pop("vendor", "aws"),
        listing_id=more.pop("listing", "lst_1"),
        customer_id=customer,
        dimension=dimension,
        grain=grain,
        starts_at=starts_at,
        units=Decimal(units),
        price=Decimal(price),
        currency=more.pop("currency", "USD"),
        **more,
    )


def make_entry(line=None, state="accepted", accepted=None, *, carried="0", price=None, why="", error="", **more):
    """An entry; a taken one has accepted all of its line by default."""
    line = line or make_line()
    taken = line.units if accepted is None and state in ("accepted", "confirmed") else accepted
    units = None if taken is None else Decimal(taken)
    fields = {
        "source": "usage.csv",
        "attempts": 1,
        "attempt_id": "attempt_1",
        "settled_by": "api",
        "first_seen_at": line.ends_at,
        "sent_at": line.ends_at,
        "settled_at": line.ends_at,
        "carried_amount": Decimal(carried) * (Decimal(price) if price else line.price),
        **more,
    }
    price = None if units is None else Decimal(price) if price else line.price
    return Entry(line, state, why, error, units, price, Decimal(carried), **fields)


def make_item(kind, subject="usage.csv", closed=False, **more):
    """A journal item."""
    at = START + timedelta(hours=2)
    closing = {"closed_at": at, "closed_by": "push", "closed_reason": "pushed"} if closed else {}
    fields = {"source": "usage.csv", "reason": "units: 'x' is not a number", "by": "ada", "at": at, **closing, **more}
    return Item(id=more.pop("id", f"{kind}_1"), kind=kind, subject=subject, **fields)


class Shelf:
    """What reads a ledger can read this: entries, calls and items that a test has put there."""

    location, exists = "/ledger.sqlite", True

    def __init__(self, *found):
        self.found = list(found)

    def entries(self, ids=None, states=None, starts_in=None, source=None):
        for entry in sorted((one for one in self.found if isinstance(one, Entry)), key=lambda one: one.id):
            in_time = starts_in is None or starts_in[0] <= entry.line.starts_at < starts_in[1]
            if in_time and (states is None or entry.state in states) and (ids is None or entry.id in ids):
                yield entry

    def items(self, kinds=None, open_only=False, subjects=None):
        for item in self.found:
            wanted = isinstance(item, Item) and (kinds is None or item.kind in kinds)
            if wanted and not (open_only and item.closed_at):
                yield item

    def fetch(self, ids):
        return {entry.id: entry for entry in self.entries(ids=set(ids))}

    def has_call(self, attempt_id):
        return True

    def attempts(self):
        return (one for one in self.found if isinstance(one, dict))

    def counts(self):
        return Counter(entry.state for entry in self.entries())
