"""What the ledger holds, as it is shown to others; and how it compares with what is asked for."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import RowMapping

from ..model import NAMESPACE, Grain, Line
from .states import State

SettledBy = Literal["api", "event", "hand"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A line as the ledger holds it.

    Attributes:
        line_id: `Line.id`.
        day: UTC date of use.
        units: What is, or is to be, sent; the next ones too.
        body_id: The body that it went out in last.
        attempt_id: The attempt that it went out in last.
        attempts: How often it went out.
        settled_by: Who said what became of it.
        accepted_units: What the API took, with its price and hash; None if it took nothing.
        asked_units: What was asked for, with its price and hash, after another quantity had been accepted.
    """

    line_id: str
    vendor: str
    listing_id: str
    customer_id: str
    dimension: str
    grain: Grain
    starts_at: datetime
    day: date
    units: Decimal
    price: Decimal
    charged: Decimal
    title: str | None
    description: str | None
    per: str | None
    payload_hash: str
    state: State
    body_id: str | None
    attempt_id: str | None
    attempts: int
    first_seen_at: datetime
    planned_at: datetime | None
    sending_at: datetime | None
    settled_at: datetime | None
    settled_by: SettledBy | None
    response: str | None
    error: str | None
    accepted_units: Decimal | None
    accepted_price: Decimal | None
    accepted_hash: str | None
    asked_units: Decimal | None
    asked_price: Decimal | None
    asked_hash: str | None

    @property
    def line(self) -> Line:
        """What is sent for it; the source's rows are not remembered."""
        return Line(
            vendor=self.vendor,
            listing_id=self.listing_id,
            customer_id=self.customer_id,
            dimension=self.dimension,
            grain=self.grain,
            starts_at=self.starts_at,
            units=self.units,
            price=self.price,
            title=self.title,
            description=self.description,
            per=self.per,
        )

    def as_row(self) -> dict[str, Any]:
        """Columns to values, decimals and timestamps as they are."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class AttemptEntry:
    """One line in one call, as the ledger holds it.

    Attributes:
        attempt_id: The call; calls sort by the time of their start.
        state: `sending`, `accepted`, `rejected`, `unknown`, `conflict`, or `not_taken`: nothing was billed by it.
        reference: The id that the API gave to the call.
    """

    attempt_id: str
    line_id: str
    body_id: str
    run_id: str
    started_at: datetime
    ended_at: datetime | None
    state: str
    status_code: int | None
    reference: str | None
    response: str | None
    error: str | None
    units: Decimal
    price: Decimal
    charged: Decimal

    def as_row(self) -> dict[str, Any]:
        """Columns to values, decimals and timestamps as they are."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LedgerMatch:
    """A line that is asked for, and what the ledger holds against it.

    Attributes:
        line: As asked for.
        entry: As held; of the other grain if that is what stands in the way.
    """

    line: Line
    entry: Entry


@dataclass(frozen=True, slots=True)
class Comparison:
    """Lines that are asked for, by what the ledger knows of them; each line is in one group.

    Attributes:
        new: Never seen.
        same: Accepted with these units and this price; or accepted with others, and a human has settled the difference.
        changed: Accepted with other units or another price.
        unsettled: Held in any other state.
        other_grain: Key and date have gone out, or are about to, in the other grain: must not be sent.
    """

    new: tuple[Line, ...] = ()
    same: tuple[LedgerMatch, ...] = ()
    changed: tuple[LedgerMatch, ...] = ()
    unsettled: tuple[LedgerMatch, ...] = ()
    other_grain: tuple[LedgerMatch, ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """What became of lines that were to be planned.

    Attributes:
        planned: Will be sent with these units: new, or planned before.
        other_grain: Not planned, because of what is held in the other grain.
        held: Not planned, because they are in another state.
    """

    planned: tuple[Line, ...] = ()
    other_grain: tuple[LedgerMatch, ...] = ()
    held: tuple[LedgerMatch, ...] = ()


def to_entry(row: RowMapping) -> Entry:
    """A row of `metering_lines`."""
    return Entry(**{name: row[name] for name in _ENTRY})


def to_attempt(row: RowMapping) -> AttemptEntry:
    """A row of `metering_attempts`."""
    return AttemptEntry(**{name: row[name] for name in _ATTEMPT})


def date_key(vendor: str, listing_id: str, customer_id: str, dimension: str, day: date) -> str:
    """Of key and date without the grain: the same for a day and its hours."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join((vendor, listing_id, customer_id, dimension, day.isoformat()))))


def date_key_of(line: Line) -> str:
    """`date_key` of a line."""
    return date_key(line.vendor, line.listing_id, line.customer_id, line.dimension, line.day)


def knows(entry: Entry, payload_hash: str) -> bool:
    """Whether what an accepted line was billed for is this, or a human has accepted that it is not."""
    return payload_hash in (entry.accepted_hash, entry.asked_hash)


def by_line(lines: Iterable[Line]) -> dict[str, Line]:
    """Lines by id.

    Raises:
        ValueError: Two lines are one and the same.
    """
    found: dict[str, Line] = {}
    for line in lines:
        if found.setdefault(line.id, line) is not line:
            raise ValueError(f"two lines have the id {line.id}: they should have been summed")
    return found


_ENTRY = tuple(one.name for one in fields(Entry))
_ATTEMPT = tuple(one.name for one in fields(AttemptEntry))
