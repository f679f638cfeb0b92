"""Applies the vendor's events to lines, by the call id that the ledger holds, and by nothing else (I5).

The order of events, and their repetition, do not matter. What an event says against something else that is known is a
conflict: only a person can decide, and until then nothing is sent.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection, RowMapping, select, update

from ..model import format_decimal
from . import rows
from .entries import Entry, Item
from .tables import ATTEMPTS, JOURNAL, shorten

if TYPE_CHECKING:
    from .database import LedgerDatabase

Kind = Literal["submitted", "confirmed", "failed"]
EVENT: Literal["event"] = "event"
Usages = Mapping[str, Mapping[str, str]]
"""Dimension to the units and the price that an event names, as text. Each may be missing."""
_APPLIED = "It was applied."
_ALL: Usages = {}


@dataclass(frozen=True, slots=True)
class Applied:
    """What an event has changed.

    Attributes:
        lines: Ids of the lines that it is about.
        item: The open journal item of an event that cannot be applied; None if it was applied.
        known: Whether it was applied, or closed by a person, before.
    """

    lines: tuple[str, ...] = ()
    item: Item | None = None
    known: bool = False


def apply_event(
    database: LedgerDatabase,
    key: str,
    kind: Kind | None,
    call_id: str,
    reason: str,
    raw: Mapping[str, Any],
    *,
    usages: Usages = _ALL,
) -> Applied:
    """Apply an event to the lines of its call, or keep it as an open journal item.

    Args:
        database: The ledger, open for writing.
        key: The same for each delivery of the event.
        kind: What happened; None if the event cannot be applied.
        call_id: Id that the API gave to the call.
        reason: Why the call failed; or why the event cannot be applied.
        raw: The event; it is redacted and shortened.
        usages: What it says of the call's lines, by their dimensions; nothing if it is about all of them.

    Raises:
        ConfigurationError: There is no ledger.
        DestinationError: The ledger's database cannot be reached.
    """
    now = database.now()
    with database.write() as connection:
        query = select(JOURNAL).where(JOURNAL.c.kind == EVENT, JOURNAL.c.subject == key)
        row = connection.execute(query).first()
        known = rows.to_item(row) if row else None
        if known and known.closed_at:
            return Applied(known=True)
        lines, problem = _place(connection, kind, call_id, usages, reason, now) if kind else ((), reason)
        if problem and known:
            return Applied(item=known)
        if known:
            rows.close(connection, [known.id], now, EVENT, _APPLIED)
            return Applied(lines=lines)
        said = {dimension: dict(numbers) for dimension, numbers in sorted(usages.items())}
        data = {"event": kind, "call": call_id, "usages": said, "why": reason}
        data["raw"] = shorten(json.dumps(raw, default=str))
        text = problem or f"{kind}: {len(lines)} line{'' if len(lines) == 1 else 's'}"
        new = rows.new_item(EVENT, key, now, text, data, by="api", closed_by="" if problem else EVENT)
        item = rows.add_item(connection, new)
        return Applied(item=item) if problem else Applied(lines=lines)


def place_waiting(connection: Connection, call_id: str, now: datetime) -> None:
    """Apply the open events of a call whose id has become known: the vendor may be faster than the ledger."""
    query = select(JOURNAL).where(JOURNAL.c.kind == EVENT, JOURNAL.c.closed_at.is_(None))
    for item in [rows.to_item(row) for row in connection.execute(query)]:
        data = item.data
        if data.get("call") == call_id and data.get("event") and "usages" in data:
            _, problem = _place(connection, data["event"], call_id, data["usages"], data["why"], now)
            if not problem:
                rows.close(connection, [item.id], now, EVENT, _APPLIED)


def answer_late(connection: Connection, attempt_id: str, line_ids: Collection[str], now: datetime) -> None:
    """Note that the API took lines of a call, about which a person has decided before the answer came."""
    entries = rows.fetch(connection, line_ids)
    query = select(ATTEMPTS).where(ATTEMPTS.c.attempt_id == attempt_id)
    for call in connection.execute(query).mappings().all():
        if entry := entries.get(call["line_id"]):
            _apply(connection, "submitted", call, entry, "", now)


def _place(
    connection: Connection, kind: Kind, call_id: str, usages: Usages, reason: str, now: datetime
) -> tuple[tuple[str, ...], str]:
    """Apply an event; ids of its lines, or why it cannot be applied."""
    calls = list(connection.execute(select(ATTEMPTS).where(ATTEMPTS.c.reference == call_id)).mappings())
    entries = rows.fetch(connection, [call["line_id"] for call in calls])
    if not calls:
        return (), f"the event names the call {call_id}, which is not in the ledger"
    if len({call["attempt_id"] for call in calls}) > 1:
        return (), f"the event names {call_id}, and the API gave this id to several calls"
    if any(call["line_id"] not in entries for call in calls):
        return (), f"the event names the call {call_id}, which the API had refused"
    if unknown := set(usages) - {entry.line.dimension for entry in entries.values()}:
        return (), f"the event names {', '.join(sorted(unknown))}, which the call {call_id} did not contain"
    if usages:
        calls = [call for call in calls if entries[call["line_id"]].line.dimension in usages]
    for call in calls:
        dimension = entries[call["line_id"]].line.dimension
        for name, number in usages.get(dimension, {}).items():
            if Decimal(number) != call[name]:
                sent = format_decimal(call[name])
                return (), f"the event has {number} as {name} of {dimension}, and the call {call_id} had {sent}"
    for call in calls:
        _apply(connection, kind, call, entries[call["line_id"]], reason, now)
    return tuple(call["line_id"] for call in calls), ""


def _apply(connection: Connection, kind: Kind, call: RowMapping, entry: Entry, reason: str, now: datetime) -> None:
    """Write what an event says to a line of a call, and to the call."""
    confirmed = call["confirmed_at"] or (now if kind == "confirmed" else None)
    failed = call["failed_at"] or (now if kind == "failed" else None)
    values: dict[str, Any] = {"confirmed_at": confirmed, "failed_at": failed}
    if call["state"] in ("unknown", "accepted", "sending"):
        values["state"] = "unbilled" if failed and not confirmed else "accepted"
        values["ended_at"] = call["ended_at"] or now
    row = (ATTEMPTS.c.attempt_id == call["attempt_id"], ATTEMPTS.c.line_id == entry.id)
    connection.execute(update(ATTEMPTS).where(*row).values(values))
    if kind == "submitted" and (confirmed or failed):
        return  # It came late, and says less.
    if call["attempt_id"] != entry.attempt_id:
        after = _of_earlier_call(kind, call, entry)
    elif confirmed and failed:
        after = _disagree(entry, call, "The vendor's events say both confirmed and failed of its call.")
    elif kind == "failed":
        after = _failed(entry, call, reason)
    else:
        after = _taken(entry, call, confirmed=bool(confirmed))
    if after != entry:
        rows.save(connection, [replace(after, settled_by="event", settled_at=now)])


def _taken(entry: Entry, call: RowMapping, confirmed: bool) -> Entry:
    if entry.state in ("sending", "unknown"):
        units, price = call["units"], call["price"]
        return replace(entry, state="accepted", accepted_units=units, accepted_price=price).judged(confirmed)
    if entry.accepted_units is None:
        # Its usage may have been sent again, carried or given up since.
        return _disagree(entry, call, "It became known that it was taken, after it was held not to be billed.")
    if entry.state in ("accepted", "confirmed"):
        return entry.judged(confirmed)
    if entry.why == "billed" and confirmed:
        return replace(entry, why="").judged(confirmed)
    return entry  # What a person gave up, or what differs, is the rest of it.


def _failed(entry: Entry, call: RowMapping, reason: str) -> Entry:
    if entry.why == "billed":
        return _disagree(entry, call, "An event says that its call failed, after a person said that it was billed.")
    given_up = entry.why == "never" and entry.accepted_units is None  # Else a person gave up the rest of it alone.
    if entry.state == "unbilled" or given_up or entry.why in ("refused by the marketplace", "events disagree"):
        return entry
    text = f"An event says that its call failed{f': {reason}' if reason else ''}."
    without = replace(entry, accepted_units=None, accepted_price=None)
    if without.carried_units and without.agrees:
        return without.judged()
    return replace(without, state="unbilled", why="rejected", error=shorten(text) or "")


def _of_earlier_call(kind: Kind, call: RowMapping, entry: Entry) -> Entry:
    """The line was sent again after this call: by a person's word, or because the API had refused it."""
    if kind == "failed" or call["state"] == "accepted":
        return entry
    units = format_decimal(Decimal(call["units"]))
    text = f"It became known that an earlier call of it with {units} units was taken, and it was sent again since."
    return replace(entry, state="conflict", why="events disagree", error=text)


def _disagree(entry: Entry, call: RowMapping, text: str) -> Entry:
    units, price = entry.accepted_units, entry.accepted_price
    if units is None:
        units, price = call["units"], call["price"]
    return replace(
        entry, state="conflict", why="events disagree", error=text, accepted_units=units, accepted_price=price
    )
