"""What waits for a person in the ledger, each item with its money and the command that closes it (I5)."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..core.clock import Clock, utc
from ..core.errors import EXIT_COMPLETE, EXIT_INCOMPLETE
from .ledger.entries import OPEN, STATES, Entry, Item, entry_figures, line_figures
from .ledger.location import find_ledger, ledger_owner, missing_file, problem_of_missing, refuse_network
from .model import exact
from .rules import deadline

if TYPE_CHECKING:
    from ..config.settings import AutomatumSettings
    from .ledger.ledger import Ledger

CONFIRM_WITHIN = timedelta(hours=48)
"""Time after which an accepted line without a confirming event is an alarm, once events are used."""

_ORDER = ("unknown", "conflict", "unbilled", "unconfirmed", "run", "source", "refusal", "event", "sending")
_OF_ITEM = {
    "run": ("its usage need not be pushed", "or push its usage again, whole"),
    "refusal": ("need not be billed", "or push the corrected usage"),
    "source": ("repeats the other source", "or push both sources as one usage, with one --source"),
    "event": ("seen in the marketplace", "after you have looked it up in the marketplace"),
}
"""Kind of a journal item to the reason with which a person closes it, and a hint."""
_OF_ROWS = ("vendor", "customer_id", "listing_id", "dimension", "starts_at", "units", "price")
_SETTLE = "automatum push settle"
_SENDING = "in a call of a push that runs, or was left by one that died: the next push finds out"
_LATE = f"accepted, and not confirmed by an event within {CONFIRM_WITHIN.total_seconds() / 3600:g} hours"


@dataclass(frozen=True, slots=True)
class OpenItem:
    """A line, or another item of the ledger, that waits for a person.

    Attributes:
        kind: A state of lines, or a kind of journal items. `unconfirmed`: accepted long ago, without an event.
            `sending`: in a call of a push that runs or has died; it waits for nobody.
        id: Id of the line or of the journal item: what `push settle` takes.
        why: The reason, for people.
        command: What closes it, ready to be pasted; "" if nothing is to be done.
        hint: What to look at before, and the command for the other case; "" if there is none.
        since: Time since which it waits.
        entry: The line; None for another item.
        about: What is known of rows that are no line, as text.
    """

    kind: str
    id: str
    why: str
    command: str
    hint: str
    since: datetime | None
    entry: Entry | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For `automatum push status --json`; units and amounts are numbers with exactly their digits."""
        found = entry_figures(self.entry) if self.entry else {name: self.about.get(name) for name in _OF_ROWS}
        own = {"why": self.why, "since": self.since, "command": self.command, "hint": self.hint}
        return {"kind": self.kind, "id": self.id, **found, **own}


@dataclass
class LedgerStatus:
    """What a ledger holds, and what waits for a person.

    Attributes:
        ledger: Its location.
        exists: Whether it is there.
        now: Time of the report.
        lines: Number of lines by state.
        items: What is open, the most urgent first.
    """

    ledger: str
    exists: bool
    now: datetime
    lines: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))
    items: list[OpenItem] = field(default_factory=list)

    @property
    def unresolved(self) -> dict[str, int]:
        """Number of items that wait for a person, by kind."""
        kinds = Counter(item.kind for item in self.items)
        return {kind: kinds[kind] for kind in _ORDER if kind != "sending" and kinds[kind]}

    @property
    def amounts(self) -> dict[str, dict[str, Decimal]]:
        """Kind to currency to the open money of its lines; of accepted lines that are not confirmed, their amount."""
        return self._sums(1)

    @property
    def over_billed(self) -> dict[str, dict[str, Decimal]]:
        """The same of what is billed beyond the usage. It is for a credit, and closes no line that lacks money."""
        return self._sums(-1)

    def _sums(self, sign: int) -> dict[str, dict[str, Decimal]]:
        found: dict[str, dict[str, Decimal]] = {}
        for item in self.items:
            if item.entry is None:
                continue
            figures, currency = entry_figures(item.entry), item.entry.line.currency
            amount = sign * figures["asked_amount" if item.kind == "unconfirmed" else "open_amount"]
            if amount > 0:
                sums = found.setdefault(item.kind, {})
                sums[currency] = exact().add(sums.get(currency, Decimal(0)), amount)
        return found

    @property
    def exit_code(self) -> int:
        """65 as long as anything is unresolved, whichever push left it; else 0."""
        return EXIT_INCOMPLETE if self.unresolved else EXIT_COMPLETE

    def to_json(self) -> dict[str, Any]:
        """The status as one JSON object."""
        return {
            "ledger": self.ledger,
            "ledger_exists": self.exists,
            "verdict": "incomplete" if self.unresolved else "complete",
            "lines": self.lines,
            "unresolved": self.unresolved,
            "amounts": self.amounts,
            "over_billed": self.over_billed,
            "open": [item.to_json() for item in self.items],
        }


def status_of(settings: AutomatumSettings, clock: Clock, *, named: bool | None = None) -> LedgerStatus:
    """Read the status of the ledger of the settings; an empty one if nothing was ever pushed from here.

    Args:
        settings: Resolved settings.
        clock: Time.
        named: Whether it is an error that there is none; None if the URL or the settings name it.

    Raises:
        ConfigurationError: There should be a ledger, and there is none; or it must not be used.
        DestinationError: The ledger cannot be read.
    """
    place, owner = find_ledger(settings), ledger_owner(settings)
    refuse_network(place)
    now, named = utc(clock.time()), bool(settings.ledger_url) if named is None else named
    path = missing_file(place)
    if path is None:
        from .ledger.ledger import Ledger  # SQLAlchemy, only where there is a ledger.

        with Ledger.open(place, clock, owner) as ledger:
            if ledger.exists:
                return read_status(ledger, now)
            location, path = ledger.location, ledger.path
    else:
        location = str(path)
    if problem := problem_of_missing(location, path, begin=not named):
        raise problem
    return LedgerStatus(location, False, now)


def read_status(ledger: Ledger, now: datetime, run_id: str = "", source: str | None = None) -> LedgerStatus:
    """Read the status of a ledger. Nothing is written, and no request is sent.

    Args:
        ledger: An open ledger.
        now: The current time, aware.
        run_id: A run whose own item does not count: it is the push that asks.
        source: Usage of which no run's item counts: the next push of it closes them.
    """
    status = LedgerStatus(ledger.location, ledger.exists, now)
    if not ledger.exists:
        return status
    status.lines |= {str(state): number for state, number in ledger.counts().items()}
    found = [_line_item(entry, now) for entry in ledger.entries(states=(*OPEN, "sending"))]
    others = [item for item in ledger.items(open_only=True) if item.subject != run_id]
    items = [item for item in others if item.kind != "run" or item.source != source]
    known = ledger.fetch([item.subject for item in items])
    found += [_journal_item(item, known.get(item.subject)) for item in items]
    found += [
        OpenItem("unconfirmed", entry.id, _LATE, *_look(entry.id), entry.sent_at, entry)
        for entry in _unconfirmed(ledger, now)
    ]
    status.items = sorted(found, key=lambda item: (_ORDER.index(item.kind), item.since or now, item.id))
    return status


def _unconfirmed(ledger: Ledger, now: datetime) -> Iterator[Entry]:
    """Accepted lines that no event has confirmed in time. Before the first event, the webhooks were not in use."""
    first = next(iter(ledger.items(kinds=["event"])), None)
    if first is None or first.at is None:
        return
    begin = first.at - CONFIRM_WITHIN
    # Usage is sent within days.
    for entry in ledger.entries(states=["accepted"], starts_in=(begin - timedelta(days=7), now)):
        if entry.sent_at is not None and entry.sent_at >= begin and is_overdue(entry, now):
            yield entry


def is_overdue(entry: Entry, now: datetime) -> bool:
    """Whether a line was accepted so long ago that an event should have confirmed it."""
    by_hand = entry.settled_by == "hand"
    return entry.state == "accepted" and not by_hand and (entry.sent_at or now) <= now - CONFIRM_WITHIN


def _line_item(entry: Entry, now: datetime) -> OpenItem:
    command, hint = _way_out(entry, now)
    since = entry.settled_at or entry.sent_at or entry.first_seen_at
    why = ": ".join(filter(None, (entry.why, entry.error))) or entry.state
    return OpenItem(entry.state, entry.id, _SENDING if entry.state == "sending" else why, command, hint, since, entry)


def _look(line_id: str) -> tuple[str, str]:
    """For a line of which only the marketplace can say whether it was billed."""
    other = f"{_SETTLE} {line_id} --not-billed --confirm"
    return f"{_SETTLE} {line_id} --billed --confirm", f"if the marketplace shows it as billed; if not: {other}"


def _way_out(entry: Entry, now: datetime) -> tuple[str, str]:
    """The command that closes a line, and a hint. `settle` refuses what does not fit the line."""
    name, line = f"{_SETTLE} {entry.id}", entry.line
    if entry.state == "sending":
        return "", ""
    if entry.state == "unknown" or (entry.state == "conflict" and entry.why != "differs"):
        return _look(entry.id)
    if entry.state == "unbilled" and (line.carried_from or entry.open_units <= 0):
        reason = f"the line {line.carried_from} is open again" if line.carried_from else "nothing of it is to be billed"
        return f"{name} --never --reason '{reason}' --confirm", ""
    partly = bool(entry.accepted_units or entry.carried_units)
    if entry.state == "unbilled" and not partly and now < deadline(line, late_ok=True):
        late = "" if now < deadline(line) else "--late-ok "
        return f"{name} --not-billed --send {late}--confirm", "sends it again, under its own hour or day"
    if entry.open_units > 0 and entry.accepted_price in (None, line.price):
        return f"{name} --carry --confirm", "bills the open units by a line of the current hour"
    hint = "after a credit in the marketplace's portal" if entry.open_units <= 0 else "after a correction in the portal"
    if entry.carried_units > line.units:
        return f"{name} --never --reason 'credited in the portal' --confirm", hint
    return f"{name} --billed --reason 'corrected in the portal' --confirm", hint


def _journal_item(item: Item, entry: Entry | None) -> OpenItem:
    reason, hint = _OF_ITEM[item.kind]
    command = f"{_SETTLE} {shlex.quote(item.id)} --never --confirm --reason '{reason}'"
    about = {**(line_figures(entry.line) if entry else {}), **item.data, **(item.data.get("about") or {})}
    return OpenItem(item.kind, item.id, item.reason, command, hint, item.at, about=about)
