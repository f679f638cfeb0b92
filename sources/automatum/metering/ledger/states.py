"""The states of a line and the transitions between them. `transitions` applies a transition."""

from __future__ import annotations

from enum import Enum
from typing import Literal, get_args

State = Literal[
    "planned",
    "sending",
    "accepted",
    "confirmed",
    "rejected",
    "expired",
    "conflict",
    "unknown",
    "writeoff",
    "canceled",
    "carried",
]
STATES: tuple[State, ...] = get_args(State)
TAKEN: tuple[State, ...] = ("accepted", "confirmed")
"""States of lines that the API took: `accepted` is queued there, `confirmed` is billed by the marketplace's word."""
BILLED: tuple[State, ...] = (*TAKEN, "carried")
"""States of lines whose usage was billed: by the line itself, or by lines that were carried from it."""
UNRESOLVED: tuple[State, ...] = ("rejected", "expired", "conflict", "unknown")
"""States of lines that are not billed, or may not be, until a person or an event decides."""
BLOCKING: frozenset[State] = frozenset({"planned", "sending", *BILLED, "conflict", "unknown", "writeoff"})
"""States in which an hour, or a day, blocks lines of the other grain with the same key and date."""


class Transition(Enum):
    """An allowed change of state (I5).

    No transition leads from `unknown` to `sending`. `accepted` and `confirmed` are left only for a conflict or because
    of an event. `push undo` reverses the transitions by hand until the line is sent; see `decisions`. Another line
    bills the late usage of a line that is carried.

    Attributes:
        label: Its name, for people.
        before: States in which a line may take it.
        after: State of the line afterwards.
        by: Who causes it: a push, the API's answer, an event, or a person.
    """

    CLAIM = "claim", ("planned",), "sending", "push"
    # The API's answer to this very attempt is proof, even if another run has declared the process dead.
    ACCEPT = "accept", ("sending", "unknown"), "accepted", "api"
    REJECT = "reject", ("sending", "unknown"), "rejected", "api"
    CLASH = "clash", ("sending", "unknown"), "conflict", "api"
    GIVE_BACK = "not taken", ("sending", "unknown"), "planned", "api"
    LOSE = "no answer", ("sending",), "unknown", "api"
    # The API refused a line with a status such as 404, and has accepted others since: the refusal is about this line.
    REFUSE = "refuse", ("planned",), "rejected", "api"
    EXPIRE = "too late", ("planned",), "expired", "push"
    # A person withdraws a line that was not sent. Usage with other units, or a person, plans it again.
    CANCEL = "plan cancel", ("planned",), "canceled", "hand"
    PLAN_AGAIN = "plan keep", ("canceled",), "planned", "hand"
    DIFFER = "usage differs", BILLED, "conflict", "push"
    # A push takes it too, if usage has changed since; never for a line that was accepted once.
    RETRY = "retry", ("rejected",), "planned", "hand"
    RETRY_EXPIRED = "retry --expired", ("expired",), "planned", "hand"
    CARRY = "carry", ("expired", "conflict"), "carried", "hand"
    CARRY_DIFFERENCE = "carry the difference", ("conflict",), "accepted", "hand"
    ACCEPT_BY_HAND = "resolve --accepted", ("unknown", "conflict"), "accepted", "hand"
    NOT_SENT_BY_HAND = "resolve --not-sent", ("unknown",), "planned", "hand"
    REJECT_BY_HAND = "resolve --rejected", ("unknown", "conflict", "writeoff"), "rejected", "hand"
    WRITE_OFF = "resolve --written-off", ("rejected", "expired", "conflict", "unknown"), "writeoff", "hand"
    ACCEPT_BY_EVENT = "event submitted", ("unknown",), "accepted", "event"
    CONFIRM_BY_EVENT = "event confirmed", ("accepted", "unknown"), "confirmed", "event"
    # 2xx means queued: the marketplace may still refuse. If it does, a conflict about the line is not billed either.
    FAIL_BY_EVENT = "event failed", ("unknown", "accepted", "conflict"), "rejected", "event"
    # Events say both confirmed and failed: only a person can decide, and until then nothing is sent.
    CONTRADICT = "events disagree", ("planned", *TAKEN, "rejected", "unknown"), "conflict", "event"

    def __init__(
        self, label: str, before: tuple[State, ...], after: State, by: Literal["push", "api", "event", "hand"]
    ) -> None:
        self.label = label
        self.before = before
        self.after = after
        self.by = by
