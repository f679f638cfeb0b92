"""Reads the vendor's `metering.*` webhook events, and applies them to the calls that the ledger holds (I5).

Their names are documented (`guide/notifications`); their bodies are not. An event is applied only by the id that the
API gave to a call, under the names of a short list. Every other event about metering becomes an open journal item. The
order of events, and their repetition, do not matter. What an event says against something else that is known is a
conflict: only a person can decide, and until then nothing is sent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from sqlalchemy import Connection, RowMapping, select, update

from ...core.errors import EXIT_COMPLETE, EXIT_INCOMPLETE, ConfigurationError
from ...core.text import letters_and_digits, plural
from ..model import format_decimal
from . import rows
from .entries import Entry, Item
from .tables import ATTEMPTS, JOURNAL, shorten

if TYPE_CHECKING:
    from .database import LedgerDatabase

Kind = Literal["submitted", "confirmed", "failed"]
Usages = Mapping[str, Mapping[str, str]]
"""Dimension to the units and the price that an event names, as text. Each may be missing."""
_STATUSES: Mapping[Kind, frozenset[str]] = {
    "submitted": frozenset({"accepted", "pending", "queued", "submitted"}),
    "confirmed": frozenset({"confirmed", "success"}),
    "failed": frozenset({"failed", "error", "rejected"}),
}
"""Values of `data.status` that say the same as the name of the event."""
_REASONS = ("reason", "error", "message", "failureReason", "failure_reason")
_MOST_DIGITS = 60
_EVENT: Literal["event"] = "event"
_APPLIED = "It was applied."


@dataclass(frozen=True, slots=True)
class _Event:
    """What an event says: of a call, or of those of its lines whose dimensions it names."""

    kind: Kind
    call_id: str
    usages: Usages
    reason: str


@dataclass
class EventsResult:
    """What events have changed.

    Attributes:
        placed: Number of events that were applied.
        lines: Ids of the lines that they are about.
        known: Number of events that were applied, or closed by a person, before.
        ignored: Number of events that are not about metering.
        open: Journal items of events that could not be applied. They keep exit code 65 until a person closes them.
    """

    placed: int = 0
    lines: list[str] = field(default_factory=list)
    known: int = 0
    ignored: int = 0
    open: list[Item] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """65 if an event could not be applied; else 0."""
        return EXIT_INCOMPLETE if self.open else EXIT_COMPLETE

    def to_json(self) -> dict[str, Any]:
        """The result as one JSON object."""
        items = [{"item_id": item.id, "subject": item.subject, "reason": item.reason} for item in self.open]
        counts = {"placed": self.placed, "known": self.known, "ignored": self.ignored}
        return {**counts, "lines": self.lines, "open": items}


# Reading


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """Events from a file of JSON lines, or one JSON array.

    Raises:
        ConfigurationError: There is no such file, or a line is not a JSON object.
    """
    step = "Name a file of JSON lines, with one event a line."
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigurationError("events", f"{path} cannot be read: {problem}.", step) from None
    for number, text in enumerate([content] if content.lstrip().startswith("[") else content.split("\n"), 1):
        try:
            found = _loads(text) if text.strip() else []
        except ValueError as problem:
            raise ConfigurationError("events", f"{path}, line {number} is not JSON: {problem}.", step) from None
        for event in found if isinstance(found, list) else [found]:
            if not isinstance(event, dict):
                raise ConfigurationError("events", f"{path}, line {number}: an event is no JSON object.", step)
            yield event


def _loads(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal)
    except RecursionError:
        raise ValueError("has JSON that is nested too deeply") from None


def _read(name: Any, raw: Mapping[str, Any]) -> _Event:
    kind = next((known for known in get_args(Kind) if str(name).lower() == f"metering.{known}"), None)
    if kind is None:
        raise ValueError(f"has the unknown name {str(name)[:60]!r}")
    data = raw.get("data")
    if isinstance(data, str):
        data = _loads(data)  # a column of a table that keeps events
    if not isinstance(data, Mapping):
        raise ValueError("has no data")
    details = data.get("details")
    both: dict[str, Any] = {**(details if isinstance(details, Mapping) else {}), **data}
    # Beside the id of the call, `id` may be that of the event.
    call_id = next((both[key] for key in ("meteringId", "metering_id", "id") if both.get(key)), None)
    if isinstance(call_id, bool) or not isinstance(call_id, (str, int)):
        raise ValueError("names no call (`id` or `meteringId` in its data)")
    status = both.get("status")
    if status is not None and letters_and_digits(str(status)) not in _STATUSES[kind]:
        raise ValueError(f"is named {kind}, and has the status {str(status)[:60]!r}")
    said = (both.get(key) for key in _REASONS)
    texts = (one.get("message") if isinstance(one, Mapping) else one for one in said)
    return _Event(kind, str(call_id), _usages(both), next((one for one in texts if one and isinstance(one, str)), ""))


def _usages(data: Mapping[str, Any]) -> Usages:
    usages = data.get("usages") or []
    found: dict[str, Mapping[str, str]] = {}
    for usage in usages if isinstance(usages, (list, tuple)) else [None]:
        said = usage if isinstance(usage, Mapping) else {}
        key = said.get("apiKey", said.get("api_key"))
        if not isinstance(key, str):
            raise ValueError("has usages without an `apiKey`")
        found[key] = {name: _number(said[name]) for name in ("units", "price") if said.get(name) is not None}
    return found


def _number(value: Any) -> str:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite() or _has_many_digits(number):
        raise ValueError(f"has {str(value)[:60]!r} in place of a number")
    return format_decimal(number)


def _key(event: _Event | None, raw: Mapping[str, Any]) -> str:
    """The same for each delivery of an event. Its `id` alone may be that of something else, and the same for others."""
    event_id = raw.get("id") or raw.get("eventId")
    said: Any = [event.kind, event.call_id, sorted(event.usages), str(event_id)] if event and event_id else raw
    text = json.dumps(said, sort_keys=True, default=_canonical, separators=(",", ":"))
    return f"{event.kind if event else 'unplaced'}:{hashlib.sha256(text.encode()).hexdigest()}"


def _canonical(value: Any) -> str:
    return format_decimal(value) if isinstance(value, Decimal) and not _has_many_digits(value) else str(value)


def _has_many_digits(number: Decimal) -> bool:
    """Whether it would fill the memory, and the ledger, without an exponent: `1e99999999` is 100 MB."""
    return abs(number.adjusted()) > _MOST_DIGITS


# Applying


def apply_events(database: LedgerDatabase, events: Iterable[Mapping[str, Any]]) -> EventsResult:
    """Apply events to the lines of the calls that they name, each in a transaction of its own.

    Args:
        database: The ledger, open for writing.
        events: Events as the vendor sends them, in any order, also repeatedly.

    Raises:
        ConfigurationError: There is no ledger.
        DestinationError: The ledger's database cannot be reached.
    """
    result = EventsResult()
    for raw in events:
        name = raw.get("event") or raw.get("type")
        # Without a name it may be about metering.
        if isinstance(name, str) and not letters_and_digits(name).startswith("meter"):
            result.ignored += 1
            continue
        with database.write() as connection:
            lines, item = _take(connection, name, raw, database.now())
        if item is None:
            result.placed += 1
            result.lines += lines
        elif item.closed_at is None:
            result.open.append(item)
        else:
            result.known += 1
    return result


def _take(connection: Connection, name: Any, raw: Mapping[str, Any], now: datetime) -> tuple[list[str], Item | None]:
    """Apply an event, or keep it as an open journal item.

    Returns:
        The ids of its lines, and None. If it was not applied now: its item, which is closed if it was applied before.
    """
    event, problem = None, ""
    try:
        event = _read(name, raw)
    except ValueError as error:
        problem = f"the event {error}"
    key = _key(event, raw)
    row = connection.execute(select(JOURNAL).where(JOURNAL.c.kind == _EVENT, JOURNAL.c.subject == key)).first()
    known = rows.to_item(row) if row else None
    if known and known.closed_at:
        return [], known
    lines: list[str] = []
    if event:
        lines, problem = _place(connection, event, now)
    if known and not problem:
        rows.close(connection, [known.id], now, _EVENT, _APPLIED)
    elif not known:
        data: dict[str, Any] = {"raw": shorten(json.dumps(raw, default=str))}
        if event:
            data |= {"event": event.kind, "call": event.call_id, "usages": event.usages, "why": event.reason}
        text = problem or f"{event and event.kind}: {plural(len(lines), 'line')}"
        by = {"by": "api", "closed_by": "" if problem else _EVENT}
        known = rows.add_item(connection, rows.new_item(_EVENT, key, now, text, data, **by))
    return lines, known if problem else None


def place_waiting(connection: Connection, call_id: str, now: datetime) -> None:
    """Apply the open events of a call whose id has become known: the vendor may be faster than the ledger."""
    query = select(JOURNAL).where(JOURNAL.c.kind == _EVENT, JOURNAL.c.closed_at.is_(None))
    for item in [rows.to_item(row) for row in connection.execute(query)]:
        if item.data.get("call") == call_id:
            event = _Event(item.data["event"], call_id, item.data["usages"], item.data["why"])
            if not _place(connection, event, now)[1]:
                rows.close(connection, [item.id], now, _EVENT, _APPLIED)


def answer_late(connection: Connection, attempt_id: str, line_ids: Collection[str], now: datetime) -> None:
    """Note that the API took lines of a call, about which a person has decided before the answer came."""
    entries = rows.fetch(connection, line_ids)
    query = select(ATTEMPTS).where(ATTEMPTS.c.attempt_id == attempt_id)
    for call in connection.execute(query).mappings().all():
        if entry := entries.get(call["line_id"]):
            _apply(connection, "submitted", call, entry, "", now)


def _place(connection: Connection, event: _Event, now: datetime) -> tuple[list[str], str]:
    """Apply an event; ids of its lines, or why it cannot be applied."""
    call_id, usages = event.call_id, event.usages
    calls = list(connection.execute(select(ATTEMPTS).where(ATTEMPTS.c.reference == call_id)).mappings())
    entries = rows.fetch(connection, [call["line_id"] for call in calls])
    if not calls:
        return [], f"the event names the call {call_id}, which is not in the ledger"
    if len({call["attempt_id"] for call in calls}) > 1:
        return [], f"the event names {call_id}, and the API gave this id to several calls"
    if any(call["line_id"] not in entries for call in calls):
        return [], f"the event names the call {call_id}, which the API had refused"
    if unknown := set(usages) - {entry.line.dimension for entry in entries.values()}:
        return [], f"the event names {', '.join(sorted(unknown))}, which the call {call_id} did not contain"
    if usages:
        calls = [call for call in calls if entries[call["line_id"]].line.dimension in usages]
    for call in calls:
        dimension = entries[call["line_id"]].line.dimension
        for name, number in usages.get(dimension, {}).items():
            if Decimal(number) != call[name]:
                sent = format_decimal(call[name])
                return [], f"the event has {number} as {name} of {dimension}, and the call {call_id} had {sent}"
    for call in calls:
        _apply(connection, event.kind, call, entries[call["line_id"]], event.reason, now)
    return [call["line_id"] for call in calls], ""


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
    accepted = entry.accepted_units, entry.accepted_price
    # A line says "billed" until its usage changes. After that its call still shows that the API has not said it.
    by_hand = call["state"] == "unknown" or accepted != (call["units"], call["price"])
    if entry.why == "billed" or (entry.accepted_units is not None and by_hand):
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
