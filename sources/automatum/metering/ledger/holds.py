"""Planned lines that are not sent until a person decides (I5): why, since when, and who released them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, tuple_

from ..model import Line
from .batches import batches
from .entries import Entry
from .tables import HOLDS, LINES

HoldKind = Literal["refused_rows", "not_in_usage", "not_eligible", "other_source", "unusual", "price", "limit"]
"""Why a line is on hold: rows that may belong to it were refused; the usage does not contain it any more; the synced
tables contradict it; another source has the same line; it is far above its usual quantity or amount; its price is zero
or not that of the entitlement; the push is larger than its limits."""
BY_DECISION: tuple[HoldKind, ...] = ("not_in_usage",)
"""What a person releases who plans a line again: the usage of the next push need not contain it."""
KINDS: tuple[HoldKind, ...] = get_args(HoldKind)


@dataclass(frozen=True, slots=True)
class Hold:
    """A reason for which a line is not sent until a person decides.

    Attributes:
        line: The line as it would be sent.
        kind: The kind of the reason.
        reason: The reason, for people.
    """

    line: Line
    kind: HoldKind
    reason: str

    def as_json(self) -> dict[str, Any]:
        """For `automatum push --json`."""
        line = self.line
        return {
            "line_id": line.id,
            "kind": self.kind,
            "reason": self.reason,
            "customer_id": line.customer_id,
            "listing_id": line.listing_id,
            "dimension": line.dimension,
            "starts_at": line.starts_at.isoformat(),
            "units": line.units,
            "price": line.price,
            "charged": line.charged,
        }


def count_on_hold(connection: Connection) -> int:
    """Number of planned lines that are on hold."""
    query = select(func.count(HOLDS.c.line_id.distinct())).join(LINES, HOLDS.c.line_id == LINES.c.line_id)
    return connection.scalar(query.where(LINES.c.state == "planned", HOLDS.c.released_at.is_(None))) or 0


def open_ids(connection: Connection, ids: Collection[str]) -> set[str]:
    """Those of the lines that have an open hold."""
    found: set[str] = set()
    for batch in batches(sorted(ids)):
        query = select(HOLDS.c.line_id).where(HOLDS.c.line_id.in_(batch), HOLDS.c.released_at.is_(None))
        found |= set(connection.scalars(query))
    return found


def write_holds(
    connection: Connection,
    judged: Collection[str],
    opened: Iterable[Hold],
    released: Iterable[Hold],
    now: datetime,
    by: str,
) -> None:
    """Write what a push has found.

    Args:
        connection: A write transaction.
        judged: Ids of lines that the push has judged anew. Their other open holds are removed.
        opened: Holds that nobody has released.
        released: Holds that this push releases.
        now: The time.
        by: Who releases.
    """
    found = [(hold, False) for hold in opened] + [(hold, True) for hold in released]
    wanted = {(hold.line.id, hold.kind): (hold, allowed) for hold, allowed in found}
    stored = fetch_holds(connection, {*judged, *(line_id for line_id, _ in wanted)})
    judged = set(judged)
    stale = [
        key for key, row in stored.items() if key[0] in judged and key not in wanted and row["released_at"] is None
    ]
    rows = []
    for key, (hold, allowed) in wanted.items():
        row = stored.get(key)
        since = now if row is None or row["released_at"] is not None else row["since_at"]
        rows.append(
            {
                "line_id": key[0],
                "kind": key[1],
                "payload_hash": hold.line.payload_hash,
                "reason": hold.reason,
                "since_at": since,
                "released_at": now if allowed else None,
                "released_by": by if allowed else None,
            }
        )
    _delete(connection, [*stale, *(key for key in wanted if key in stored)])
    for batch in batches(rows):
        connection.execute(insert(HOLDS), batch)


def release(
    connection: Connection, entries: Iterable[Entry], now: datetime, by: str, kinds: Collection[HoldKind] = KINDS
) -> None:
    """Release holds of lines, also a later one because the usage does not contain the line.

    Args:
        connection: A write transaction.
        entries: The lines, as they are planned.
        now: The time.
        by: Who releases.
        kinds: The holds to release.
    """
    lines = [entry.line for entry in entries]
    stored = fetch_holds(connection, [line.id for line in lines])
    reasons = {key: row["reason"] for key, row in stored.items()}
    holds = [
        Hold(line, kind, reasons.get((line.id, kind), "A person has decided to send it."))
        for line in lines
        for kind in kinds
        if kind == "not_in_usage" or (line.id, kind) in stored
    ]
    write_holds(connection, (), (), holds, now, by)


def fetch_holds(connection: Connection, ids: Iterable[str]) -> Mapping[tuple[str, str], RowMapping]:
    """Rows of `metering_holds`, by line id and kind."""
    found: dict[tuple[str, str], RowMapping] = {}
    for batch in batches(sorted(set(ids))):
        for row in connection.execute(select(HOLDS).where(HOLDS.c.line_id.in_(batch))).mappings():
            found[row["line_id"], row["kind"]] = row
    return found


def _delete(connection: Connection, keys: Sequence[tuple[str, str]]) -> None:
    for batch in batches(keys, 100):
        connection.execute(delete(HOLDS).where(tuple_(HOLDS.c.line_id, HOLDS.c.kind).in_(batch)))
