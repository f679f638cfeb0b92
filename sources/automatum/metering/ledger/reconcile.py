"""Resolves lines whose call got no answer: by the vendor's webhook events, or by hand (I5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from . import planning
from .attempts import accepted_as_sent, end_attempt
from .event_matching import EventMatcher
from .ledger import Ledger
from .resolution import Reconciled, UnusedEvent
from .states import Transition, move
from .webhook_events import Event, Unreadable, parse

_BY_HAND = "Resolved by hand."


def resolve_by_hand(ledger: Ledger, *, accepted: Collection[str] = (), not_sent: Collection[str] = ()) -> Reconciled:
    """Settle lines as a person says, in one transaction.

    Args:
        ledger: The ledger of the lines.
        accepted: Ids of `unknown` lines that were billed, or of `conflict` lines whose accepted units are right. The
            difference that a conflict is about counts as settled too and is not reported again.
        not_sent: Ids of `unknown` lines that were not billed; the next push sends them.

    Returns:
        The settled lines. Lines that are in another state, or not in the ledger, are in `refused`.

    Raises:
        ConfigurationError: There is no ledger.
    """
    result = Reconciled()
    both = set(accepted) & set(not_sent)
    result.refused += [(line_id, "named as both accepted and not sent") for line_id in sorted(both)]
    now = ledger.database.now()
    with ledger.database.write() as connection:
        entries = planning.fetch(connection, sorted({*accepted, *not_sent} - both))
        for transition, ids, moved in (
            (Transition.ACCEPT_BY_HAND, accepted, result.accepted),
            (Transition.NOT_SENT_BY_HAND, not_sent, result.planned),
        ):
            for line_id in dict.fromkeys(ids):
                if line_id in both:
                    continue
                entry = entries.get(line_id)
                if entry is None or entry.state not in transition.before:
                    state = "not in the ledger" if entry is None else f"it is {entry.state}"
                    result.refused.append((line_id, f"{state}; only {' or '.join(transition.before)} lines can be"))
                    continue
                values: dict[str, Any] = {"settled_at": now, "settled_by": "hand"}
                attempt_state = "accepted"
                if transition is Transition.NOT_SENT_BY_HAND:
                    values = {"settled_at": None, "settled_by": None, "planned_at": now}
                    attempt_state = "not_taken"
                elif entry.accepted_hash is None:
                    values |= accepted_as_sent()
                moved += move(connection, transition, [line_id], values)
                if line_id in moved and entry.state == "unknown":
                    outcome = {"state": attempt_state, "ended_at": now, "error": _BY_HAND}
                    end_attempt(connection, entry.attempt_id or "", [line_id], outcome)
    return result


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
