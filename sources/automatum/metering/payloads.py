"""Builds the bodies of `POST /api/v1/metering` from lines, as documented in `guide/api-integration`."""

from __future__ import annotations

import json
import re
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from ..endpoints import METERING_ENTITLEMENT, METERING_FIELDS, METERING_USAGE_FIELDS
from .model import NAMESPACE, Line, exact, format_decimal
from .rules import deadline, rules_of

_Json = str | Decimal | dict[str, "_Json"] | list["_Json"] | None

_CENTS = 2
_USAGE = re.compile(r"\busages(?:\[|[./])([0-9]{1,6})(?=[\]./]|$)")
_CHARGED = re.compile(r"\bcharged\b")


@dataclass(frozen=True)
class Body:
    """One request: one customer of one listing, one hour or day, a usage for each dimension.

    Attributes:
        lines: Its lines, in the order of `usages`; at least one, all of the same vendor, listing, customer,
            entitlement, grain and start.
        entitlement_at: Path of the entitlement in the body. Neither the id nor any amount depends on it (I5).
    """

    lines: tuple[Line, ...]
    entitlement_at: str = METERING_ENTITLEMENT

    @property
    def id(self) -> str:
        """Id of the body; the same for the same lines."""
        return str(uuid.uuid5(NAMESPACE, "\x1e".join(line.id for line in self.lines)))

    @property
    def charged(self) -> Decimal:
        """Sum of units times price, exact."""
        context, found = exact(), Decimal(0)
        for line in self.lines:
            found = context.add(found, line.charged)
        return found

    def payload(self) -> bytes:
        """The JSON to send: amounts are numbers with exactly their digits, and prices are text, as documented."""
        first = self.lines[0]
        values: dict[str, _Json] = {
            "vendor": first.vendor,
            "listing_id": first.listing_id,
            "customer_id": first.customer_id,
            "entitlement_id": first.entitlement_id,
            "reporting_date": first.day.isoformat(),
            "charged": self.charged,
            "usages": [self._usage(line) for line in self.lines],
        }
        return _dumps(_placed({**METERING_FIELDS, "entitlement_id": self.entitlement_at}, values)).encode()

    def _usage(self, line: Line) -> _Json:
        values: dict[str, _Json] = {
            "dimension": line.dimension,
            "units": line.units,
            "title": line.title or line.dimension,
            "description": line.description or None,
            "per": line.per or None,
            "price": price_text(line.price),
        }
        return _placed(METERING_USAGE_FIELDS, values)

    def usages_at_fault(self, errors: Sequence[tuple[str, str]]) -> dict[int, str] | None:
        """The lines that a refusal names.

        Args:
            errors: Pairs of field, such as `details.usages[3].apiKey`, and message.

        Returns:
            Position in `lines` to the error message. None if the body as a whole is refused: a field names no usage, or
            there are no fields. An error about `charged` is ignored beside one about a usage, which causes it.
        """
        found: dict[int, list[str]] = defaultdict(list)
        for field, message in errors:
            match = _USAGE.search(field)
            if match and int(match[1]) < len(self.lines):
                found[int(match[1])].append(f"{field}: {message}")
            elif not _CHARGED.search(field):
                return None
        return {position: "; ".join(found[position]) for position in sorted(found)} or None


def bodies(lines: Iterable[Line], now: datetime | None = None) -> list[Body]:
    """Group lines to bodies.

    Args:
        lines: Lines to send.
        now: The current time, aware. If given, lines past their deadline come last, so that they do not delay others.

    Returns:
        Bodies, the earliest deadline first, then by start, vendor, listing and customer; in each, the usages are in the
        order of their dimensions, and no more than the marketplace's `batch_size`.
    """
    groups: dict[tuple[object, ...], list[Line]] = defaultdict(list)
    for line in lines:
        due = deadline(line)
        key = (now is not None and now >= due, due, line.starts_at, line.vendor, line.listing_id, line.customer_id)
        # A call names a dimension once, so each entitlement, and each line that carries late usage, has its own.
        own = (line.grain, line.entitlement_id or "", line.carried_from or "", line.carry_number)
        groups[key + own].append(line)
    made = []
    for _, group in sorted(groups.items(), key=lambda found: found[0]):
        size, ordered = rules_of(group[0].vendor).batch_size, sorted(group, key=lambda line: line.dimension)
        made += [Body(tuple(ordered[start : start + size])) for start in range(0, len(ordered), size)]
    return made


def price_text(price: Decimal) -> str:
    """A price without the zeros that a wide decimal column adds: `0.010000000` is `0.01`."""
    whole, _, decimals = format(price, "f").partition(".")
    kept = decimals[:_CENTS] + decimals[_CENTS:].rstrip("0")
    return f"{whole}.{kept}" if kept else whole


def _placed(places: Mapping[str, str], values: Mapping[str, _Json]) -> _Json:
    """The values that are there in nested objects, each at its dotted path, in the order of the places."""
    placed: dict[str, _Json] = {}
    for name, place in places.items():
        if values[name] is not None:
            inside = placed
            *above, last = place.split(".")
            for step in above:
                inside = inside.setdefault(step, {})  # type: ignore[assignment]
            inside[last] = values[name]
    return placed


def _dumps(value: _Json) -> str:
    """JSON with exact decimal numbers, which the json module cannot write."""
    if isinstance(value, Decimal):
        return format_decimal(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{_dumps(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_dumps, value)) + "]"
    return json.dumps(value)
