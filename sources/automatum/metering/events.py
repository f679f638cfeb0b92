"""Reads the vendor's `metering.*` webhook events, and applies them to the calls that the ledger holds (I5).

Their names are documented (`guide/notifications`); their bodies are not. An event is applied only by the id that the
API gave to a call, under the names of a short list. Every other event about metering becomes an open journal item.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal, get_args

from ..core.errors import EXIT_COMPLETE, EXIT_INCOMPLETE, ConfigurationError
from ..core.text import letters_and_digits
from .ledger.entries import Item
from .ledger.events import Usages, apply_event
from .ledger.ledger import Ledger
from .model import format_decimal

Kind = Literal["submitted", "confirmed", "failed"]
_KINDS: tuple[Kind, ...] = get_args(Kind)
_STATUSES: Mapping[Kind, frozenset[str]] = {
    "submitted": frozenset({"accepted", "pending", "queued", "submitted"}),
    "confirmed": frozenset({"confirmed", "success"}),
    "failed": frozenset({"failed", "error", "rejected"}),
}
"""Values of `data.status` that say the same as the name of the event."""
_REASONS = ("reason", "error", "message", "failureReason", "failure_reason")


@dataclass
class EventsResult:
    """What events have changed.

    Attributes:
        placed: Number of events that were applied.
        lines: Ids of the lines that they are about.
        known: Number of events that were applied before.
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


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """Events from a file of JSON lines, or one JSON array.

    Raises:
        ConfigurationError: There is no such file, or a line is not a JSON object.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigurationError("events", f"{path} cannot be read: {problem}.", "Name a file of JSON lines.") from None
    if content.lstrip().startswith("["):
        numbered = list(enumerate(_parse(content, str(path)), 1))
    else:
        lines = enumerate(content.split("\n"), 1)
        numbered = [(number, _parse(line, f"{path}, line {number}")) for number, line in lines if line.strip()]
    for number, event in numbered:
        if not isinstance(event, dict):
            raise ConfigurationError("events", f"{path}, event {number} is no JSON object.", "Write one event a line.")
        yield event


def _parse(content: str, where: str) -> Any:
    try:
        return json.loads(content, parse_float=Decimal)
    except ValueError as problem:
        raise ConfigurationError("events", f"{where} is not JSON: {problem}.", "Write one event a line.") from None


def apply_events(ledger: Ledger, events: Iterable[Mapping[str, Any]]) -> EventsResult:
    """Apply events to the lines of the calls that they name.

    Args:
        ledger: The ledger, open for writing.
        events: Events as the vendor sends them, in any order, also repeatedly.

    Raises:
        DestinationError: The ledger's database cannot be reached.
    """
    result = EventsResult()
    for raw in events:
        name = raw.get("event") or raw.get("type")
        # Without a name it may be about metering.
        if isinstance(name, str) and not letters_and_digits(name).startswith("meter"):
            result.ignored += 1
            continue
        found: tuple[Kind | None, str, Usages, str]
        try:
            found = _read(name, raw)
        except ValueError as problem:
            found = None, "", {}, f"the event {problem}"
        kind, call_id, usages, reason = found
        key = _key(kind, call_id, usages, raw)
        applied = apply_event(ledger, key, kind, call_id, reason, raw, usages=usages)
        if applied.item is not None:
            result.open.append(applied.item)
        elif applied.known:
            result.known += 1
        else:
            result.placed += 1
            result.lines += applied.lines
    return result


def _read(name: Any, raw: Mapping[str, Any]) -> tuple[Kind, str, Usages, str]:
    kind = next((known for known in _KINDS if isinstance(name, str) and name.lower() == f"metering.{known}"), None)
    if kind is None:
        raise ValueError(f"has the unknown name {str(name)[:60]!r}")
    data = raw.get("data")
    if isinstance(data, str):
        data = json.loads(data, parse_float=Decimal)  # a column of a table that keeps events
    if not isinstance(data, Mapping):
        raise ValueError("has no data")
    details = data.get("details")
    both: dict[str, Any] = {**(details if isinstance(details, Mapping) else {}), **data}
    # Beside the id of the call, `id` may be that of the event.
    found = [both[key] for key in ("meteringId", "metering_id", "id") if both.get(key)]
    if not found or isinstance(found[0], bool) or not isinstance(found[0], (str, int)):
        raise ValueError("names no call (`id` or `meteringId` in its data)")
    status = both.get("status")
    if status is not None and letters_and_digits(str(status)) not in _STATUSES[kind]:
        raise ValueError(f"is named {kind}, and has the status {str(status)[:60]!r}")
    return kind, str(found[0]), _usages(both), _reason(both)


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
    if not number.is_finite():
        raise ValueError(f"has {str(value)[:60]!r} in place of a number")
    return format_decimal(number)


def _reason(data: Mapping[str, Any]) -> str:
    for name in _REASONS:
        value = data.get(name)
        if isinstance(value, Mapping):
            value = value.get("message")
        if isinstance(value, str) and value:
            return value
    return ""


def _key(kind: Kind | None, call_id: str, usages: Usages, raw: Mapping[str, Any]) -> str:
    """The same for each delivery of an event. Its `id` alone may be that of something else, and the same for others."""
    event_id = raw.get("id") or raw.get("eventId")
    said: Any = [kind, call_id, sorted(usages), str(event_id)] if kind and event_id else raw
    text = json.dumps(said, sort_keys=True, default=_canonical, separators=(",", ":"))
    return f"{kind or 'unplaced'}:{hashlib.sha256(text.encode()).hexdigest()}"


def _canonical(value: Any) -> str:
    return format_decimal(value) if isinstance(value, Decimal) else str(value)
