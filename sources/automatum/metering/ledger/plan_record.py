"""What a push has planned, and from which usage: its digest, its lines, and what each source said of them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from ..model import Line
from .batches import batches
from .holds import Hold, write_holds
from .tables import PLANS, SOURCES


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanRecord:
    """What the ledger keeps of a plan, besides its lines.

    Attributes:
        plan: Digest of the lines that are sent.
        sent: These lines.
        judged: Ids of the lines of the usage, whose holds were judged anew.
        opened: Holds that nobody has released.
        released: Holds that this push releases.
        by: Who releases them.
        source: Name of the usage; None if it has none.
        contributed: Lines of the usage that the source contributed.
    """

    plan: str
    sent: Sequence[Line] = ()
    judged: Collection[str] = ()
    opened: Sequence[Hold] = ()
    released: Sequence[Hold] = ()
    by: str = ""
    source: str | None = None
    contributed: Sequence[Line] = ()

    def write(self, connection: Connection, now: datetime) -> None:
        """Write it, in the transaction that plans the lines."""
        write_holds(connection, self.judged, self.opened, self.released, now, self.by)
        _write_plan(connection, self.plan, self.sent, now)
        if self.source is not None:
            _write_source(connection, self.source, self.contributed, now)


def fingerprint(line: Line) -> str:
    """SHA-256 of all that a line sends: its key, units, price and texts."""
    texts = (line.id, line.payload_hash, line.title or "", line.description or "", line.per or "")
    return hashlib.sha256("\x1f".join(texts).encode()).hexdigest()


def _write_plan(connection: Connection, plan: str, lines: Sequence[Line], now: datetime) -> None:
    known = set(connection.scalars(select(PLANS.c.line_id).where(PLANS.c.plan == plan)))
    rows = [
        {"plan": plan, "line_id": line.id, "fingerprint": fingerprint(line), "planned_at": now}
        for line in lines
        if line.id not in known
    ]
    for batch in batches(rows):
        connection.execute(insert(PLANS), batch)


def _write_source(connection: Connection, source: str, lines: Sequence[Line], now: datetime) -> None:
    for batch in batches(lines):
        ids = [line.id for line in batch]
        connection.execute(delete(SOURCES).where(SOURCES.c.source == source, SOURCES.c.line_id.in_(ids)))
        values = ({"line_id": line.id, "units": line.units, "price": line.price} for line in batch)
        connection.execute(insert(SOURCES), [{**row, "source": source, "seen_at": now} for row in values])
