"""The journal: what pushes had to send, what they refused, events, and decisions of people. Open items need someone."""

from __future__ import annotations

import base64
import itertools
import json
import secrets
import uuid
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select, update

from ..model import Line, Refusal, format_decimal, format_money
from . import lines as line_rows
from .entries import Entry, Item, Kind
from .tables import ATTEMPTS, JOURNAL, LONGEST, batches, shorten

PUSH = "push"
_NUMBERS = itertools.count()


def new_id(now: datetime) -> str:
    """An id that sorts by time, and within this process by number."""
    return f"{int(now.timestamp() * 1e6):014x}{next(_NUMBERS):06x}{secrets.token_hex(8)}"


def to_item(row: Row[Any]) -> Item:
    """A row of `metering_journal`."""
    about = (row.item_id, row.kind, row.subject, row.source, row.reason, json.loads(row.data))
    return Item(*about, row.recorded_by, row.recorded_at, row.closed_at, row.closed_by, row.closed_reason)


def to_row(
    kind: Kind,
    subject: str,
    now: datetime,
    reason: str,
    data: Mapping[str, Any],
    *,
    source: str = "",
    line_ids: Sequence[str] = (),
    by: str = "",
    closed_by: str = "",
) -> dict[str, Any]:
    """A new item as a row of `metering_journal`; it is open unless someone closes it at once."""
    return {
        "item_id": new_id(now),
        "kind": kind,
        "subject": subject,
        "source": source,
        "reason": shorten(reason) or "",
        "data": json.dumps(data),
        "line_ids": pack(line_ids) if line_ids else None,
        "recorded_by": by,
        "recorded_at": now,
        "closed_at": now if closed_by else None,
        "closed_by": closed_by,
        "closed_reason": "",
    }


def add(
    connection: Connection, kind: Kind, subject: str, now: datetime, reason: str, data: Mapping[str, Any], **more: Any
) -> Item:
    """Write an item; see `to_row`."""
    row = to_row(kind, subject, now, reason, data, **more)
    connection.execute(insert(JOURNAL).values(row))
    return to_item(connection.execute(select(JOURNAL).where(JOURNAL.c.item_id == row["item_id"])).one())


def close(connection: Connection, ids: Collection[str], now: datetime, by: str, reason: str) -> list[str]:
    """Close open items; returns the ids of those that were open, sorted."""
    closed: list[str] = []
    values = {"closed_at": now, "closed_by": by, "closed_reason": (shorten(reason) or "")[:LONGEST]}
    for batch in batches(sorted(set(ids))):
        open_ = (JOURNAL.c.item_id.in_(batch), JOURNAL.c.closed_at.is_(None))
        closed += connection.scalars(select(JOURNAL.c.item_id).where(*open_).order_by(JOURNAL.c.item_id))
        connection.execute(update(JOURNAL).where(*open_).values(values))
    return closed


def close_refusals(connection: Connection, line_ids: Collection[str], now: datetime) -> None:
    """Close the refusals of lines that are sent now."""
    for batch in batches(sorted(line_ids)):
        of_lines = (JOURNAL.c.kind == "refusal", JOURNAL.c.subject.in_(batch), JOURNAL.c.closed_at.is_(None))
        values = {"closed_at": now, "closed_by": PUSH, "closed_reason": "The line was sent."}
        connection.execute(update(JOURNAL).where(*of_lines).values(values))


def end_refusals(connection: Connection, source: str, now: datetime) -> None:
    """Close the refusals of a file that was read whole without any, but those of lines that are not in the ledger."""
    query = select(JOURNAL).where(JOURNAL.c.kind == "refusal", JOURNAL.c.closed_at.is_(None))
    items = [to_item(row) for row in connection.execute(query.where(JOURNAL.c.source == source))]
    of_lines = {item.data["line_id"] for item in items if item.data.get("line_id")}
    there = line_rows.in_ledger(connection, of_lines)
    done = [item.id for item in items if item.data.get("line_id") in {None, *there}]
    close(connection, done, now, PUSH, "The file was pushed whole.")


def note_refusals(connection: Connection, refusals: Iterable[Refusal], source: str, now: datetime, by: str) -> None:
    """Write refused rows, or that the same were refused again. What a person has closed stays closed if it is equal."""
    for refusal in refusals:
        data = {"rows": list(refusal.rows), "count": refusal.count, "line_id": refusal.line_id}
        data |= {"about": dict(refusal.about)}
        _note(connection, "refusal", refusal.subject, source, refusal.reason, data, now, by)


def note_source(connection: Connection, line: Line, entry: Entry, source: str, now: datetime, by: str) -> None:
    """Write that a second source has usage of a line."""
    ours, theirs = (format_decimal(one.units) for one in (line, entry.line))
    reason = (
        f"{source or 'This usage'} has {ours} units ({format_money(line.charged, line.currency)}) of a line that "
        f"{entry.source or 'another usage'} asked for with {theirs} ({format_money(entry.line.charged, line.currency)})"
        ". They were not sent."
    )
    data = {"units": ours, "price": format_decimal(line.price), "currency": line.currency, "other_source": entry.source}
    data |= {"other_units": theirs, "other_price": format_decimal(entry.line.price)}
    _note(connection, "source", line.id, source, reason, data, now, by)


def _note(
    connection: Connection,
    kind: Kind,
    subject: str,
    source: str,
    reason: str,
    data: dict[str, Any],
    now: datetime,
    by: str,
) -> None:
    of_subject = (JOURNAL.c.kind == kind, JOURNAL.c.subject == subject, JOURNAL.c.source == source)
    query = select(JOURNAL).where(*of_subject).order_by(JOURNAL.c.item_id.desc()).limit(1)
    row = connection.execute(query).first()
    known = to_item(row) if row else None
    later = {**data, "later_at": now.isoformat()}
    text = shorten(reason) or ""
    if known and known.closed_at and known.closed_by != PUSH:
        before = {name: value for name, value in known.data.items() if name not in ("later_at", "rows")}
        if before == {name: value for name, value in data.items() if name != "rows"} and known.reason == text:
            return
    if known and known.closed_at is None:
        values = {"reason": text, "data": json.dumps(later)}
        connection.execute(update(JOURNAL).where(JOURNAL.c.item_id == known.id).values(values))
    else:
        add(connection, kind, subject, now, reason, data, source=source, by=by)


def close_runs(connection: Connection, now: datetime) -> None:
    """Close the items of runs of which each line is in the ledger, or has an item of its own."""
    # The item of a run that has died is all that shows its calls until the next push finds out about them.
    calling = set(connection.scalars(select(ATTEMPTS.c.run_id).where(ATTEMPTS.c.state == "sending")))
    query = select(JOURNAL.c.item_id, JOURNAL.c.subject, JOURNAL.c.line_ids, JOURNAL.c.data)
    # A run that was restored from an export has no ids: only a person closes it.
    known = JOURNAL.c.line_ids.is_not(None)
    query = query.where(JOURNAL.c.kind == "run", JOURNAL.c.closed_at.is_(None), known)
    for row in connection.execute(query).all():
        if row.subject in calling:
            continue
        missing = missing_of(connection, unpack(row.line_ids))
        if not missing:
            close(connection, [row.item_id], now, PUSH, "Each line is in the ledger.")
            continue
        data = json.dumps({**json.loads(row.data), "missing": len(missing)})
        connection.execute(update(JOURNAL).where(JOURNAL.c.item_id == row.item_id).values(data=data))


def missing_of(connection: Connection, line_ids: Collection[str]) -> list[str]:
    """Those of the ids of a run that are neither in the ledger nor subject of a refusal or of a second source."""
    missing = sorted(set(line_ids) - line_rows.in_ledger(connection, line_ids))
    noted: set[str] = set()
    for batch in batches(missing):
        of_lines = or_(JOURNAL.c.kind == "refusal", JOURNAL.c.kind == "source")
        noted |= set(connection.scalars(select(JOURNAL.c.subject).where(of_lines, JOURNAL.c.subject.in_(batch))))
    return [line_id for line_id in missing if line_id not in noted]


def pack(line_ids: Sequence[str]) -> str:
    """Ids of lines as a short text: 22 characters each."""
    return base64.b64encode(zlib.compress(b"".join(uuid.UUID(line_id).bytes for line_id in line_ids))).decode()


def unpack(text: str | None) -> list[str]:
    """The ids of lines in a text of `pack`."""
    content = zlib.decompress(base64.b64decode(text)) if text else b""
    return [str(uuid.UUID(bytes=content[at : at + 16])) for at in range(0, len(content), 16)]
