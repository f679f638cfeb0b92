"""Resolves lines whose call got no answer: by the vendor's webhook events, or by hand (I5)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, select

from ...core.errors import ConfigurationError
from . import line_rows
from .attempts import accepted_as_sent, end_attempt, was_confirmed
from .decision_log import Author, DecisionLog
from .entries import Entry
from .event_matching import EventMatcher
from .holds import BY_DECISION, release
from .ledger import Ledger
from .resolution import Reconciled, UnusedEvent
from .selectors import parse_filter
from .states import State, Transition
from .tables import LINES
from .transitions import apply_transition
from .webhook_events import Event, Unreadable, parse

Decision = Literal["accepted", "not_sent", "rejected", "written_off"]
"""What a person may decide about a line."""
TRANSITIONS: Mapping[Decision, Transition] = {
    "accepted": Transition.ACCEPT_BY_HAND,
    "not_sent": Transition.NOT_SENT_BY_HAND,
    "rejected": Transition.REJECT_BY_HAND,
    "written_off": Transition.WRITE_OFF,
}
_ATTEMPT_STATES: Mapping[Decision, str] = {"accepted": "accepted", "not_sent": "not_taken", "rejected": "rejected"}
_FILTERS = ("vendor", "listing_id", "customer_id", "dimension", "day", "state")


def find_lines(ledger: Ledger, selectors: Collection[str], decision: Decision | None, key: str) -> list[str]:
    """Ids of the lines that a person names.

    Args:
        ledger: The ledger of the lines.
        selectors: Ids of lines, ids of bodies, or filters such as `customer_id=cust_1,state=expired`.
        decision: What will be decided. Bodies and filters name only lines that it can be decided about; None for all.
        key: Option that an error names.

    Raises:
        ConfigurationError: An id is not in the ledger, or a filter is wrong or matches no line.
    """
    before = TRANSITIONS[decision].before if decision else None
    found: dict[str, None] = {}
    known = ledger.reader.fetch(selectors)
    for selector in selectors:
        if selector in known:
            found[selector] = None
            continue
        query = select(LINES.c.line_id, LINES.c.state).where(*_conditions(selector, key)).order_by(LINES.c.line_id)
        with ledger.database.read() as connection:
            lines = connection.execute(query).all()
        ids = [row.line_id for row in lines if before is None or row.state in before]
        if not ids:
            states = sorted({row.state for row in lines})
            problem = f"{selector!r} names lines that are {', '.join(states)}" if lines else f"no line {selector!r}"
            raise ConfigurationError(
                key, f"{problem} in {ledger.location}.", "`automatum push status` shows the ids of lines and bodies."
            )
        found |= dict.fromkeys(ids)
    return list(found)


def _conditions(selector: str, key: str) -> list[ColumnElement[bool]]:
    """What the lines of a filter, or of a body, have in common."""
    pairs = parse_filter(selector, _FILTERS, key)
    if pairs is None:
        return [LINES.c.body_id == selector]
    conditions: list[ColumnElement[bool]] = []
    for name, value in pairs:
        if name == "day":
            try:
                conditions.append(LINES.c.day == date.fromisoformat(value))
            except ValueError:
                raise ConfigurationError(key, f"{value!r} is not a date.", "Write it as YYYY-MM-DD.") from None
        else:
            conditions.append(LINES.c[name] == value)
    return conditions


def resolve_by_hand(
    ledger: Ledger,
    *,
    accepted: Collection[str] = (),
    not_sent: Collection[str] = (),
    rejected: Collection[str] = (),
    written_off: Collection[str] = (),
    reason: str = "",
    by: str = "",
) -> Reconciled:
    """Settle lines as a person says, in one transaction.

    Args:
        ledger: The ledger of the lines.
        accepted: Ids of `unknown` lines that were billed, or of `conflict` lines whose accepted units are right. The
            difference that a conflict is about counts as settled too and is not reported again.
        not_sent: Ids of `unknown` lines that were not billed; the next push sends them.
        rejected: Ids of `unknown` or `conflict` lines that were not billed, and of lines that were written off. They
            can be retried.
        written_off: Ids of lines that need not be billed any more.
        reason: Why, for people. The ledger keeps it with the line.
        by: Who decides.

    Returns:
        The settled lines. Lines that are in another state, or not in the ledger, are in `refused`.

    Raises:
        ConfigurationError: There is no ledger.
    """
    result = Reconciled()
    asked: dict[Decision, Collection[str]] = {
        "accepted": accepted,
        "not_sent": not_sent,
        "rejected": rejected,
        "written_off": written_off,
    }
    named = Counter(line_id for ids in asked.values() for line_id in set(ids))
    twice = {line_id for line_id, number in named.items() if number > 1}
    result.refused += [(line_id, "named in two decisions") for line_id in sorted(twice)]
    author = Author(by, reason)
    with ledger.database.write() as connection:
        log = DecisionLog(connection, ledger.database.now(), author)
        entries = line_rows.fetch(connection, sorted(set(named) - twice))
        for decision, ids in asked.items():
            for line_id in dict.fromkeys(ids):
                if line_id in twice:
                    continue
                entry, before = entries.get(line_id), TRANSITIONS[decision].before
                if entry is None or entry.state not in before:
                    state = "not in the ledger" if entry is None else f"it is {entry.state}"
                    result.refused.append((line_id, f"{state}; only {' or '.join(before)} lines can be resolved so"))
                    continue
                snapshot = log.snapshot(line_id)
                if after := _decide(connection, decision, entry, author, ledger.database.now(), result):
                    log.record_line(snapshot, decision, after)
    return result


def _decide(
    connection: Connection, decision: Decision, entry: Entry, author: Author, now: datetime, result: Reconciled
) -> State | None:
    """Apply a decision to a line; returns its state, or None if another process has changed it meanwhile."""
    note = author.note(decision)
    values: dict[str, Any] = {"settled_at": now, "settled_by": "hand", "error": note}
    if decision == "not_sent":
        values |= {"settled_at": None, "settled_by": None, "planned_at": now}
    elif decision == "accepted" and entry.accepted_hash is None:
        values |= accepted_as_sent()
    moved = apply_transition(connection, TRANSITIONS[decision], [entry.line_id], values)
    if moved and decision == "not_sent":
        # The usage of the next push need not contain it: a person has decided.
        release(connection, [entry], now, author.by, BY_DECISION)
    settled = {
        "accepted": result.accepted,
        "not_sent": result.planned,
        "rejected": result.rejected,
        "written_off": result.written_off,
    }
    settled[decision] += moved
    if not moved:
        return None
    # A line that is written off may have been billed: its attempt stays unknown.
    if entry.state == "unknown" and decision in _ATTEMPT_STATES:
        outcome = {"state": _ATTEMPT_STATES[decision], "ended_at": now, "error": note}
        end_attempt(connection, entry.attempt_id or "", moved, outcome)
    if decision == "accepted" and was_confirmed(connection, entry):
        apply_transition(connection, Transition.CONFIRM_BY_EVENT, moved, {})
        return Transition.CONFIRM_BY_EVENT.after
    return TRANSITIONS[decision].after


def resolve_by_events(ledger: Ledger, events: Iterable[Mapping[str, Any]]) -> Reconciled:
    """Settle lines as the vendor's events say. Repeated events change nothing, and their order does not matter.

    Args:
        ledger: The ledger of the lines. Call `Run.recover` first, so that lines of dead processes are `unknown`.
        events: Bodies of webhook events: from `read_events`, or rows of a table. Events that are not about metering
            are ignored.

    Returns:
        The settled lines, and the events that could not be used.

    Raises:
        ConfigurationError: There is no ledger.
    """
    result = Reconciled()
    calls: dict[str, list[Event]] = defaultdict(list)
    keys: set[str] = set()
    for event in parse(events):
        if isinstance(event, Unreadable):
            result.unused.append(UnusedEvent(event.position, event.reason))
        elif event is None or event.key in keys:
            result.ignored += 1
        elif event.kind == "submitted" and event.call is None:
            # This event and a later `confirmed` would look like two calls.
            result.unused.append(
                UnusedEvent(event.position, "submitted, without an id of the call: proves nothing by itself")
            )
        else:
            keys.add(event.key)
            calls[event.call_key].append(event)
    with ledger.database.write() as connection:
        EventMatcher(connection, ledger.database.now(), result).settle(calls)
    result.unused.sort(key=lambda event: event.position)
    return result
