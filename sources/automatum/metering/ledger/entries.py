"""The rows of the ledger as objects, and the result of a comparison with the lines of a push."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

from ..model import Grain, Line
from .states import State

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

SettledBy = Literal["api", "event", "hand"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A line in the ledger.

    Attributes:
        line_id: `Line.id`.
        day: UTC date of use.
        units: Quantity that was sent, or will be. `price`, `charged` and the texts belong to it.
        body_id: The last body that contained the line.
        attempt_id: The last attempt to send the line.
        attempts: Number of attempts.
        settled_by: Source of the line's final state.
        accepted_units: Quantity that the API accepted, with its price and hash; None if it accepted nothing.
        asked_units: Quantity that a later push asked for, with its price and hash, after another one was accepted.
        entitlement_id: The entitlement that the usage named, if any.
        carried_from: Id of the line whose late usage this line bills, if it is such a line, with `carry_number`.
        carried_units: Part of the asked quantity that later lines bill in place of this one; see `carry`.
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
    entitlement_id: str | None
    carried_from: str | None
    carry_number: int | None
    carried_units: Decimal | None

    @property
    def line(self) -> Line:
        """The line as it is sent. The positions of its rows are not stored."""
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
            entitlement_id=self.entitlement_id,
            carried_from=self.carried_from,
            carry_number=self.carry_number or 0,
        )

    def is_settled_for(self, payload_hash: str) -> bool:
        """`is_settled_for` of its columns."""
        return is_settled_for(payload_hash, self.accepted_hash, self.asked_hash, self.carried_units)

    def as_row(self) -> dict[str, Any]:
        """Columns to values, decimals and timestamps as they are."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class AttemptEntry:
    """One line in one call, in the ledger.

    Attributes:
        attempt_id: Id of the call; the ids sort by the time at which the calls started.
        state: `sending`, `accepted`, `rejected`, `unknown`, `conflict`, or `not_taken` (nothing was billed).
        reference: Id that the API gave to the call.
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
    """A line of a push, and the ledger's entry for it.

    Attributes:
        line: The line of the push.
        entry: The entry with its id; or an entry of the other grain, or with another use of entitlements, that blocks
            it.
    """

    line: Line
    entry: Entry


@dataclass(frozen=True, slots=True)
class Comparison:
    """Lines of a push by what the ledger says of them. Each line is in one group.

    Attributes:
        new: Not in the ledger.
        same: Accepted (or confirmed) with these units and this price; or with others, and a person has accepted the
            difference.
        changed: Accepted (or confirmed) with other units or another price.
        unsettled: In any other state.
        blocked: Lines of the other grain with the same key and date were sent, or are about to be; or
            the same hour or day with an entitlement where the line has none, or the other way round.
        accepted_once: Ids of those in `unsettled` that are rejected now, and that the API had accepted before.
    """

    new: tuple[Line, ...] = ()
    same: tuple[Line, ...] = ()
    changed: tuple[LedgerMatch, ...] = ()
    unsettled: tuple[LedgerMatch, ...] = ()
    blocked: tuple[LedgerMatch, ...] = ()
    accepted_once: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Planned:
    """Result of `Run.plan`.

    Attributes:
        planned: Will be sent with these units: new, or planned before.
        blocked: Not planned, because another entry blocks them.
        other_state: Not planned, because they are in another state.
    """

    planned: tuple[Line, ...] = ()
    blocked: tuple[LedgerMatch, ...] = ()
    other_state: tuple[LedgerMatch, ...] = ()


def is_settled_for(
    payload_hash: str, accepted_hash: str | None, asked_hash: str | None, carried_units: Decimal | None
) -> bool:
    """Whether a line was billed with this payload, or a person has accepted or carried the difference."""
    if carried_units is not None:
        return payload_hash == asked_hash  # The accepted units are only a part of what is billed.
    return payload_hash in (accepted_hash, asked_hash)


def to_entry(row: RowMapping) -> Entry:
    """A row of `metering_lines`."""
    return Entry(*_ENTRY(row))


def to_attempt(row: RowMapping) -> AttemptEntry:
    """A row of `metering_attempts`."""
    return AttemptEntry(*_ATTEMPT(row))


def lines_by_id(lines: Iterable[Line]) -> dict[str, Line]:
    """Lines by id.

    Raises:
        ValueError: Two lines have the same id.
    """
    found: dict[str, Line] = {}
    for line in lines:
        if found.setdefault(line.id, line) is not line:
            raise ValueError(f"two lines have the id {line.id}: they should have been summed")
    return found


_ENTRY = itemgetter(*(field.name for field in fields(Entry)))
_ATTEMPT = itemgetter(*(field.name for field in fields(AttemptEntry)))
