"""Parses the vendor's `metering.*` webhook events.

Their names are documented (`guide/notifications`); their bodies are not. The parser assumes the name under `event` or
`type`, and `data` with what was sent, flat or nested as in the body of the call, and with the id of the call.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal

from ...core.errors import ConfigurationError
from ..model import format_decimal

Kind = Literal["submitted", "confirmed", "failed"]
KINDS: tuple[Kind, ...] = ("submitted", "confirmed", "failed")
_PREFIX = "metering."
_UNDERSCORE = re.compile(r"(?<=[a-z0-9])_([a-z0-9])")


@dataclass(frozen=True, slots=True)
class Usage:
    """An entry of `usages`.

    Attributes:
        price: None if the event does not contain it.
    """

    dimension: str
    units: Decimal
    price: Decimal | None


@dataclass(frozen=True, slots=True)
class Event:
    """A metering event.

    Attributes:
        position: Position among the events, from 1.
        key: Its kind, and its id or hash: the same for each delivery of the event.
        call: Id that the API gave to the call, or None.
        usages: The usages of the call.
        reason: Why the call failed, if the event contains it.
    """

    position: int
    key: str
    kind: Kind
    call: str | None
    vendor: str
    listing_id: str
    customer_id: str
    day: date
    usages: tuple[Usage, ...]
    reason: str | None

    @property
    def call_key(self) -> str:
        """Key of the call: the API's id, or this event's key if it contains no id."""
        return f"call:{self.call}" if self.call else f"event:{self.key}"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A metering event that does not identify its lines.

    Attributes:
        position: Position among the events, from 1.
        reason: What is wrong with it.
    """

    position: int
    reason: str


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
        found = _parse(content, str(path))
        numbered = list(enumerate(found, 1))
    else:
        lines = enumerate(content.split("\n"), 1)
        numbered = [(number, _parse(line, f"{path}, line {number}")) for number, line in lines if line.strip()]
    for number, event in numbered:
        if not isinstance(event, dict):
            raise ConfigurationError(
                "events", f"{path}, event {number} is not a JSON object.", "Write one event a line."
            )
        yield event


def _parse(content: str, where: str) -> Any:
    try:
        return json.loads(content, parse_float=Decimal)
    except ValueError as problem:
        raise ConfigurationError("events", f"{where} is not JSON: {problem}.", "Write one event a line.") from None


def parse(events: Iterable[Mapping[str, Any]]) -> Iterator[Event | Unreadable | None]:
    """Parse events; None for an event that is not about metering."""
    for position, raw in enumerate(events, 1):
        name = str(raw.get("event") or raw.get("type") or "").lower()
        kind = next((known for known in KINDS if name == _PREFIX + known), None)
        if kind is None:
            yield None
            continue
        try:
            yield _event(position, kind, raw)
        except (ValueError, InvalidOperation) as problem:
            yield Unreadable(
                position, str(problem) if isinstance(problem, ValueError) else "a quantity is not a number"
            )


def _event(position: int, kind: Kind, raw: Mapping[str, Any]) -> Event:
    data = raw.get("data")
    if isinstance(data, str):
        data = json.loads(data, parse_float=Decimal)  # a column of a table that keeps events
    if not isinstance(data, Mapping):
        raise ValueError("it has no data")
    data = _documented_names(data)
    details = data.get("details")
    both: dict[str, Any] = {**(_documented_names(details) if isinstance(details, Mapping) else {}), **data}
    customer = both.get("customer")
    customer_id = both.get("customerId") or (customer.get("id") if isinstance(customer, Mapping) else None)
    usages = both.get("usages")
    if not isinstance(usages, (list, tuple)) or not usages:
        raise ValueError("it has no usages")
    call = both.get("id") or both.get("meteringId")
    found = tuple(map(_usage, usages))
    if len({usage.dimension for usage in found}) < len(found):
        raise ValueError("it names a dimension twice, which no call of ours does")
    return Event(
        position=position,
        key=f"{kind}:{_key(raw)}",  # the kind keeps the keys apart if the id is that of the call
        kind=kind,
        call=str(call) if call else None,
        vendor=_required(both.get("vendor"), "vendor").lower(),
        listing_id=_required(both.get("listingId"), "listingId"),
        customer_id=_required(customer_id, "customerId"),
        day=_day(both.get("reportingDate")),
        usages=found,
        reason=_reason(both),
    )


def _usage(usage: Any) -> Usage:
    if not isinstance(usage, Mapping):
        raise ValueError("a usage is not an object")
    usage = _documented_names(usage)
    price = usage.get("price")
    return Usage(
        _required(usage.get("apiKey"), "apiKey"),
        _number(usage.get("units"), "units"),
        None if price is None else _number(price, "price"),
    )


def _documented_names(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with names such as `listingId`, also of an API that writes `listing_id` (the setting `naming`)."""
    return {_UNDERSCORE.sub(lambda found: found[1].upper(), name): value for name, value in fields.items()}


def _required(value: Any, name: str) -> str:
    if value is None or isinstance(value, (dict, list, bool)) or not str(value).strip():
        raise ValueError(f"it has no {name}")
    return str(value).strip()


def _number(value: Any, name: str) -> Decimal:
    # A float has lost the text that was sent; its repr is the shortest text for the same number.
    number = Decimal(float.__repr__(value) if isinstance(value, float) else _required(value, name))
    if not number.is_finite():
        raise ValueError(f"{name} is not a number")
    return number


def _day(value: Any) -> date:
    if isinstance(value, date):
        return date(value.year, value.month, value.day)
    text = _required(value, "reportingDate")
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise ValueError("reportingDate is not a date") from None


def _reason(data: Mapping[str, Any]) -> str | None:
    for name in ("reason", "error", "message", "failureReason"):
        value = data.get(name)
        if isinstance(value, Mapping):
            value = value.get("message")
        if isinstance(value, str) and value:
            return value
    return None


def _key(raw: Mapping[str, Any]) -> str:
    event_id = raw.get("id") or raw.get("eventId")
    if event_id and len(str(event_id)) <= 100 and str(event_id).isprintable():
        return f"id:{event_id}"
    text = json.dumps(raw, sort_keys=True, default=_canonical, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> str:
    return format_decimal(value) if isinstance(value, Decimal) else str(value)
