"""Reads what pushes have planned: the lines on hold, the lines of a plan, and what each source of usage said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from sqlalchemy import select

from .batches import batches
from .entries import Entry, to_entry
from .holds import Hold, HoldKind, fetch_holds
from .ledger import Ledger
from .tables import HOLDS, LINES, PLANS, SOURCES

Contributions = Mapping[str, Mapping[str, tuple[Decimal, Decimal]]]
"""Line id to source to the units and the price that the source said last."""


@dataclass(frozen=True, slots=True)
class StoredHolds:
    """The holds in the ledger.

    Attributes:
        open: Line id to kind to reason of the holds that nobody has released.
        released: Line id, kind and payload hash of each release.
    """

    open: Mapping[str, Mapping[HoldKind, str]] = field(default_factory=dict)
    released: frozenset[tuple[str, str, str]] = frozenset()


def stored_holds(ledger: Ledger, ids: Collection[str]) -> StoredHolds:
    """The holds of some lines."""
    if not ledger.exists:
        return StoredHolds()
    with ledger.database.read() as connection:
        rows = fetch_holds(connection, ids).values()
    opened: dict[str, dict[HoldKind, str]] = defaultdict(dict)
    for row in rows:
        if row["released_at"] is None:
            opened[row["line_id"]][row["kind"]] = row["reason"]
    releases = (row for row in rows if row["released_at"] is not None)
    return StoredHolds(opened, frozenset((row["line_id"], row["kind"], row["payload_hash"]) for row in releases))


def lines_on_hold(ledger: Ledger) -> list[tuple[Entry, list[Hold]]]:
    """The planned lines that are on hold, with their reasons, in the order of their ids."""
    if not ledger.exists:
        return []
    query = (
        select(LINES, HOLDS.c.kind, HOLDS.c.reason)
        .join(HOLDS, HOLDS.c.line_id == LINES.c.line_id)
        .where(LINES.c.state == "planned", HOLDS.c.released_at.is_(None))
        .order_by(LINES.c.line_id, HOLDS.c.kind)
    )
    entries: dict[str, Entry] = {}
    holds: dict[str, list[Hold]] = defaultdict(list)
    with ledger.database.read() as connection:
        for row in connection.execute(query).mappings():
            entry = entries.setdefault(row["line_id"], to_entry(row))
            holds[entry.line_id].append(Hold(entry.line, row["kind"], row["reason"]))
    return [(entry, holds[line_id]) for line_id, entry in entries.items()]


def planned_fingerprints(ledger: Ledger, plan: str) -> dict[str, str]:
    """Line id to fingerprint of the lines of a plan; empty if the ledger does not have the plan."""
    if not ledger.exists:
        return {}
    with ledger.database.read() as connection:
        query = select(PLANS.c.line_id, PLANS.c.fingerprint).where(PLANS.c.plan == plan)
        return {row.line_id: row.fingerprint for row in connection.execute(query)}


def contributions(ledger: Ledger, ids: Sequence[str], source: str) -> Contributions:
    """What the sources of usage have said of the lines of which another source than this has said something."""
    found: dict[str, dict[str, tuple[Decimal, Decimal]]] = defaultdict(dict)
    if ledger.exists:
        with ledger.database.read() as connection:
            for batch in batches(ids):
                query = select(SOURCES.c.line_id).where(SOURCES.c.line_id.in_(batch), SOURCES.c.source != source)
                others = sorted(set(connection.scalars(query)))
                if others:
                    for row in connection.execute(select(SOURCES).where(SOURCES.c.line_id.in_(others))):
                        found[row.line_id][row.source] = (row.units, row.price)
    return found
