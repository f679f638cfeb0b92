"""The result of resolving lines by events or by hand."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class UnusedEvent:
    """An event that settles no line.

    Attributes:
        position: Position among the events, from 1.
        reason: Why, for people.
    """

    position: int
    reason: str


@dataclass
class Reconciled:
    """Lines that events, or a person, have settled, by id.

    Attributes:
        accepted: Taken by the API.
        confirmed: Billed by the marketplace.
        rejected: Refused by the marketplace; they can be retried.
        planned: Not sent; the next push sends them.
        written_off: Not billed, and not to be billed any more.
        conflict: Events say both confirmed and failed.
        unused: Events that should settle a line but do not.
        refused: Lines that cannot be settled by hand, with the reason.
        ignored: Number of events that are about something else, or were processed before.
    """

    accepted: list[str] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    planned: list[str] = field(default_factory=list)
    written_off: list[str] = field(default_factory=list)
    conflict: list[str] = field(default_factory=list)
    unused: list[UnusedEvent] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    ignored: int = 0

    def add(self, other: Reconciled) -> None:
        """Add the lines and events of another result."""
        self.accepted += other.accepted
        self.confirmed += other.confirmed
        self.rejected += other.rejected
        self.planned += other.planned
        self.written_off += other.written_off
        self.conflict += other.conflict
        self.unused += other.unused
        self.refused += other.refused
        self.ignored += other.ignored
