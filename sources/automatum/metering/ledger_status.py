"""The state of the ledger as a person on call needs it: money at risk first, then each body and how old it is (I5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..core.defaults import EXPIRING_FROM
from ..core.errors import EXIT_COMPLETE, EXIT_INCOMPLETE, AutomatumError
from ..core.result_line import result_line
from .eligibility import UNCHECKED, Eligibility
from .ledger.states import STATES
from .rules import deadline, documented_deadline

if TYPE_CHECKING:
    from .ledger.entries import Entry
    from .ledger.holds import Hold
    from .ledger.ledger import Ledger
    from .ledger.refusals import RefusalEntry
    from .ledger.silence import SilentKey

_RISKS = ("unknown", "on_hold", "conflict", "overdue", "expiring", "rejected", "expired")
"""What money is at risk of, the most urgent first. `on_hold`: planned, but not sent until a person decides; `overdue`:
planned, and past the strictest known deadline."""
_WAITING = frozenset(_RISKS) - {"expiring"}
_ENDS = {"on_hold": deadline, "expiring": deadline, "overdue": documented_deadline, "rejected": documented_deadline}
"""Moment after which a line cannot be sent any more."""


@dataclass(frozen=True, slots=True)
class Risk:
    """Lines of one kind whose money is at risk.

    Attributes:
        kind: One of `unknown`, `on_hold`, `conflict`, `overdue`, `expiring`, `rejected`, `expired`.
        lines: Number of lines.
        amounts: Sum of their amounts by currency; `unknown` where no synced entitlement names one.
        since: Time since which the oldest of them waits.
        until: The first moment at which one of them cannot be sent any more; None if that is past, or means nothing.
    """

    kind: str
    lines: int
    amounts: dict[str, Decimal]
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class OpenBody:
    """Lines of one body, or of none, that are at risk of the same.

    Attributes:
        body_id: The last body that contained the lines; None if they were never sent.
        kind: As in `Risk`.
        entries: The lines.
        since: Time since which they wait.
    """

    body_id: str | None
    kind: str
    entries: tuple[Entry, ...]
    since: datetime


@dataclass
class LedgerStatus:
    """What a ledger holds, and what waits for a person.

    Attributes:
        ledger: Its location.
        exists: Whether it is there.
        now: Time of the report.
        lines: Number of lines by state.
        bodies: Lines at risk, in the order of the risks, then by age.
        holds: Why planned lines are on hold.
        sending: Lines that a push is sending.
        refusals: Refused usage that no push has taken since.
        silent: Customers and dimensions that were metered before and are not any more.
        eligibility: The synced tables, which name the currencies.
        notes: What could not be found out.
    """

    ledger: str
    exists: bool
    now: datetime
    lines: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))
    bodies: list[OpenBody] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    sending: list[Entry] = field(default_factory=list)
    refusals: list[RefusalEntry] = field(default_factory=list)
    silent: list[SilentKey] = field(default_factory=list)
    eligibility: Eligibility = field(default=UNCHECKED, repr=False)
    notes: list[str] = field(default_factory=list)

    @property
    def risks(self) -> list[Risk]:
        """Money at risk, the most urgent first."""
        found = []
        for kind in _RISKS:
            bodies = [body for body in self.bodies if body.kind == kind]
            if not bodies:
                continue
            entries = [entry for body in bodies for entry in body.entries]
            ends = [_ENDS[kind](entry.line) for entry in entries] if kind in _ENDS else []
            since = min(body.since for body in bodies)
            found.append(
                Risk(kind, len(entries), self.amounts(entries), since, min(filter(self.now.__lt__, ends), default=None))
            )
        return found

    @property
    def unresolved(self) -> dict[str, int]:
        """Number of lines, refusals and silent keys that wait for a person."""
        found = {risk.kind: risk.lines for risk in self.risks if risk.kind in _WAITING}
        found |= {"refused": len(self.refusals), "silent": len(self.silent)}
        return {name: number for name, number in found.items() if number}

    @property
    def exit_code(self) -> int:
        """65 as long as anything is unresolved, whichever push left it; else 0."""
        return EXIT_INCOMPLETE if self.unresolved else EXIT_COMPLETE

    @property
    def changed(self) -> bool:
        """Whether it changed anything: never."""
        return False

    @property
    def named_errors(self) -> Sequence[tuple[str, AutomatumError]]:
        """Errors: none."""
        return ()

    def line(self, brief: bool = False) -> str:
        """The status in one line, such as `automatum push status: incomplete (exit 65); unknown 2, refused 1`."""
        verdict = "incomplete" if self.unresolved else "complete"
        counted = [f"{name} {number}" for name, number in self.unresolved.items()]
        counted += [f"expiring {risk.lines}" for risk in self.risks if risk.kind == "expiring"]
        return result_line("push status", verdict, self.exit_code, changes=counted, brief=brief)

    def amounts(self, entries: Iterable[Entry]) -> dict[str, Decimal]:
        """Sum of the amounts of lines, by currency, exact."""
        return self.eligibility.charged_by_currency(entry.line for entry in entries)

    def as_json(self) -> dict[str, Any]:
        """The status as one JSON object; amounts are numbers with exactly their digits."""
        return {
            "ledger": self.ledger,
            "ledger_exists": self.exists,
            "verdict": "incomplete" if self.unresolved else "complete",
            "lines": self.lines,
            "unresolved": self.unresolved,
            "at_risk": [
                {"kind": risk.kind, "lines": risk.lines, "amounts": risk.amounts, "since": risk.since}
                | {"until": risk.until}
                for risk in self.risks
            ],
            "unsettled": [row for body in self.bodies for row in self._rows(body)]
            + [entry.as_row() | {"risk": None} for entry in self.sending],
            "on_hold": [hold.as_json() for hold in self.holds],
            "refusals": [refusal.as_row() for refusal in self.refusals],
            "silent": [key.as_row() for key in self.silent],
            "notes": self.notes,
        }

    def _rows(self, body: OpenBody) -> Iterator[dict[str, Any]]:
        for entry in body.entries:
            age = round((self.now - body.since).total_seconds())
            currency = self.eligibility.currency(entry.line)
            yield entry.as_row() | {"risk": body.kind, "currency": currency, "age_seconds": age}


def read_status(
    ledger: Ledger,
    now: datetime,
    *,
    eligibility: Eligibility = UNCHECKED,
    expiring: timedelta = EXPIRING_FROM,
    silence: timedelta | None = None,
) -> LedgerStatus:
    """Read the status of a ledger. Nothing is written, and no request is sent.

    Args:
        ledger: An open ledger.
        now: The current time, aware.
        eligibility: The synced tables, which name the currencies.
        expiring: Planned lines count as expiring so long before their deadline.
        silence: A customer and dimension are silent so long after their last line; None to look for none.
    """
    from .ledger.plan_reader import lines_on_hold
    from .ledger.refusals import open_refusals
    from .ledger.silence import silent_keys

    status = LedgerStatus(ledger.location, ledger.exists, now, eligibility=eligibility)
    status.lines = {str(state): number for state, number in ledger.reader.counts().items()}
    status.refusals, status.silent = open_refusals(ledger), silent_keys(ledger, now, silence)
    status.holds = [hold for _, holds in lines_on_hold(ledger) for hold in holds]
    on_hold = {hold.line.id for hold in status.holds}
    groups: dict[tuple[str, str | None], list[Entry]] = defaultdict(list)
    for entry in ledger.reader.lines([state for state in STATES if state in (*_WAITING, "planned", "sending")]):
        kind = "on_hold" if entry.line_id in on_hold else _kind(entry, now, expiring)
        if entry.state == "sending":
            status.sending.append(entry)
        elif kind:
            groups[kind, entry.body_id].append(entry)
    bodies = [
        OpenBody(body_id, kind, tuple(entries), min(map(_since, entries)))
        for (kind, body_id), entries in groups.items()
    ]
    status.bodies = sorted(bodies, key=lambda body: (_RISKS.index(body.kind), body.since, body.body_id or ""))
    return status


def _kind(entry: Entry, now: datetime, expiring: timedelta) -> str | None:
    """What the money of a line is at risk of; None if it is not."""
    if entry.state != "planned":
        return entry.state
    end = deadline(entry.line)
    if now >= end:
        return "overdue"
    return "expiring" if now >= end - expiring else None


def _since(entry: Entry) -> datetime:
    if entry.state == "planned":
        return entry.planned_at or entry.first_seen_at
    return entry.settled_at or entry.sending_at or entry.first_seen_at
