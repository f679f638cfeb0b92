"""Usage that was refused and is no line: which usage, why, and since when (I5).

A refusal is open until a later push takes its line, or a person dismisses it. As long as one is open, money may be
missing on an invoice.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, or_, select, update

from ...core.redaction import redact
from ..model import NAMESPACE, Refusal
from .batches import batches
from .decision_log import Author, DecisionLog
from .ledger import Ledger
from .selectors import find_ids
from .tables import LONGEST, REFUSALS

_FILTERS = ("vendor", "listing_id", "customer_id", "dimension")


@dataclass(frozen=True, slots=True)
class RefusalEntry:
    """Refused usage of one line, in the ledger.

    Attributes:
        refusal_id: Id of the line that the rows belong to; where their key cannot be read, a hash of what can be.
        line_id: Id of that line; None if its key cannot be read. `vendor` to `starts_at` are the parts of the key that
            can.
        units: Quantity of the first row, as the source had it. `price` likewise.
        reason: What is wrong, for people.
        rows: Number of rows at the last push.
        first_seen_at: Time of the first push that refused it.
        last_seen_at: Time of the last one.
        closed_at: Time at which a push took it, or a person dismissed it; None if it is open.
        closed_by: `push` or `hand`.
    """

    refusal_id: str
    line_id: str | None
    vendor: str | None
    listing_id: str | None
    customer_id: str | None
    dimension: str | None
    grain: str | None
    starts_at: datetime | None
    units: str | None
    price: str | None
    reason: str
    rows: int
    first_seen_at: datetime
    last_seen_at: datetime
    closed_at: datetime | None
    closed_by: str | None

    def as_row(self) -> dict[str, Any]:
        """Columns to values, timestamps as they are."""
        return asdict(self)


def record_refusals(ledger: Ledger, refused: Iterable[Refusal], taken: Collection[str]) -> None:
    """Record what a push has refused, and close what it took.

    Args:
        ledger: The ledger of the push.
        refused: Rows that belong to no line of the push.
        taken: Ids of the lines of the push. A line with a refused row does not count.

    Raises:
        ConfigurationError: There is no ledger.
    """
    with ledger.database.write() as connection:
        _write(connection, refused, taken, ledger.database.now())


def open_refusals(ledger: Ledger) -> list[RefusalEntry]:
    """The refusals that nobody has closed, the oldest first."""
    if not ledger.exists:
        return []
    query = select(REFUSALS).where(REFUSALS.c.closed_at.is_(None))
    with ledger.database.read() as connection:
        rows = connection.execute(query.order_by(REFUSALS.c.first_seen_at, REFUSALS.c.refusal_id)).mappings().all()
    return [RefusalEntry(**{field.name: row[field.name] for field in fields(RefusalEntry)}) for row in rows]


def find_refusals(ledger: Ledger, selectors: Collection[str]) -> list[str]:
    """Ids of the open refusals that a person names.

    Args:
        ledger: The ledger.
        selectors: Ids, or filters such as `customer_id=cust_1,dimension=api`, or `all`.

    Raises:
        ConfigurationError: A selector names no open refusal, or a filter is wrong.
    """
    rows = {entry.refusal_id: entry.as_row() for entry in open_refusals(ledger)}
    problem = f"names no open refusal in {ledger.location}."
    next_step = "`automatum push status` lists the open ones with their ids."
    return find_ids(selectors, rows, _FILTERS, "REFUSAL_ID", problem, next_step)


def dismiss(ledger: Ledger, refusal_ids: Collection[str], author: Author) -> list[str]:
    """Close refusals, because their usage need not be billed, or was billed under another key.

    Args:
        ledger: The ledger.
        refusal_ids: From `find_refusals`.
        author: Who decides, and why.

    Returns:
        Ids of those that were open.
    """
    dismissed = []
    with ledger.database.write() as connection:
        now = ledger.database.now()
        log = DecisionLog(connection, now, author)
        for refusal_id in refusal_ids:
            row = (REFUSALS.c.refusal_id == refusal_id, REFUSALS.c.closed_at.is_(None))
            if connection.execute(update(REFUSALS).where(*row).values(closed_at=now, closed_by="hand")).rowcount:
                log.record("refusal", refusal_id, "dismissed", "open", "dismissed")
                dismissed.append(refusal_id)
    return dismissed


def _write(connection: Connection, refused: Iterable[Refusal], taken: Collection[str], now: datetime) -> None:
    groups: dict[str, list[Refusal]] = defaultdict(list)
    for refusal in refused:
        groups[_id_of(refusal)].append(refusal)
    known = _fetch(connection, groups)
    fresh = [_values(refusal_id, rows, now) for refusal_id, rows in groups.items() if refusal_id not in known]
    for values in (_values(refusal_id, groups[refusal_id], now) for refusal_id in known):
        before = known[values["refusal_id"]]
        same = all(values[name] == before[name] for name in ("units", "price", "rows"))
        # The same usage again is still dismissed.
        kept = ("closed_at", "closed_by") if before["closed_by"] == "hand" and same else ()
        changed = {name: value for name, value in values.items() if name not in ("first_seen_at", *kept)}
        row = REFUSALS.c.refusal_id == before["refusal_id"]
        connection.execute(update(REFUSALS).where(row).values(changed))
    for batch in batches(fresh):
        connection.execute(insert(REFUSALS), list(batch))
    for ids in batches(sorted(set(taken) - set(groups))):
        # Also a dismissed one, whose dismissal must not be undone any more.
        of_push = or_(REFUSALS.c.closed_by.is_(None), REFUSALS.c.closed_by == "hand")
        closed = {"closed_at": now, "closed_by": "push"}
        of_lines = (REFUSALS.c.refusal_id.in_(ids), REFUSALS.c.line_id.is_not(None))  # A line's id is the key.
        connection.execute(update(REFUSALS).where(*of_lines, of_push).values(closed))


def _id_of(refusal: Refusal) -> str:
    usage = refusal.usage
    if usage.line_id:
        return usage.line_id
    key = (usage.vendor, usage.listing_id, usage.customer_id, usage.dimension, usage.units, usage.price)
    # Nothing can be read of a row with too many fields, but what is wrong with it.
    parts = (*key, usage.grain, str(usage.starts_at), str(usage.day), "" if any(key) else refusal.reason)
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(("refused", *parts))))


def _values(refusal_id: str, rows: Sequence[Refusal], now: datetime) -> dict[str, Any]:
    usage = rows[0].usage
    reasons = "; ".join(dict.fromkeys(row.reason for row in rows))
    return {
        "refusal_id": refusal_id,
        "line_id": usage.line_id,
        "vendor": usage.vendor or None,
        "listing_id": usage.listing_id or None,
        "customer_id": usage.customer_id or None,
        "dimension": usage.dimension or None,
        "grain": usage.grain,
        "starts_at": usage.starts_at,
        "units": usage.units or None,
        "price": usage.price or None,
        "reason": redact(reasons)[:LONGEST],
        "rows": len(rows),
        "first_seen_at": now,
        "last_seen_at": now,
        "closed_at": None,
        "closed_by": None,
    }


def _fetch(connection: Connection, ids: Iterable[str]) -> Mapping[str, RowMapping]:
    found: dict[str, RowMapping] = {}
    for batch in batches(sorted(ids)):
        for row in connection.execute(select(REFUSALS).where(REFUSALS.c.refusal_id.in_(batch))).mappings():
            found[row["refusal_id"]] = row
    return found
