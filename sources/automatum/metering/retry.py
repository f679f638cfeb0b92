"""Retries rejected and expired lines: each passes the checks of a push again (I5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..api.session import ApiSession
from ..core.clock import Clock
from .checks import Checks
from .classify import too_late_reason
from .eligibility import UNCHECKED, Eligibility
from .guards import limit_holds, price_holds
from .ledger.attempts import accepted_once
from .ledger.decision_log import Author
from .ledger.decisions import retried_ids
from .ledger.entries import Entry
from .ledger.holds import Hold
from .ledger.ledger import Ledger
from .ledger.states import State
from .push import send_planned
from .rules import LateOk, last_moment, rules_of
from .summary import PushSummary

_NO_CHECKS = Checks()
_ACCEPTED_ONCE = "the API had accepted it; name its id to send it again"


@dataclass
class RetryPlan:
    """What a retry would send, and what it leaves.

    Attributes:
        to_send: Lines that will be sent.
        left: Lines that will not, with the reason.
    """

    to_send: list[Entry] = field(default_factory=list)
    left: list[tuple[Entry, str]] = field(default_factory=list)

    def leave(self, holds: Iterable[Hold]) -> None:
        """Leave the lines that a guard would put on hold."""
        reasons: dict[str, list[str]] = defaultdict(list)
        for hold in holds:
            reasons[hold.line.id].append(hold.reason)
        self.left += [(entry, "; ".join(reasons[entry.line_id])) for entry in self.to_send if entry.line_id in reasons]
        self.to_send = [entry for entry in self.to_send if entry.line_id not in reasons]

    @property
    def left_as_json(self) -> list[dict[str, Any]]:
        """`left` for `--json`."""
        return [{"line_id": entry.line_id, "state": entry.state, "reason": reason} for entry, reason in self.left]


def plan_retry(
    ledger: Ledger,
    line_ids: Collection[str] | None,
    now: datetime,
    *,
    expired: bool = False,
    late_ok: LateOk = False,
    eligibility: Eligibility = UNCHECKED,
    checks: Checks = _NO_CHECKS,
) -> RetryPlan:
    """Choose the lines to send again, by the checks of a push. Nothing is written.

    Args:
        ledger: The ledger of the lines.
        line_ids: Ids of the lines. None: all that the API rejected and never accepted, and those of an earlier retry
            that are still planned.
        now: The current time, aware.
        expired: Also expired lines.
        late_ok: Also lines past the strictest known deadline.
        eligibility: Content of the synced tables.
        checks: The limits, and whether prices are checked. The other guards need the usage of a push.
    """
    plan = RetryPlan()
    if not ledger.exists:
        return plan
    states: tuple[State, ...] = ("rejected", "expired") if expired else ("rejected",)
    if line_ids is None:
        planned = ledger.reader.fetch(retried_ids(ledger)).values()
        entries = [*ledger.reader.lines(states), *(entry for entry in planned if entry.state == "planned")]
        with ledger.database.read() as connection:
            once = accepted_once(connection, [entry.line_id for entry in entries if entry.state != "planned"])
    else:
        entries, once = list(ledger.reader.fetch(line_ids).values()), set[str]()
    for entry in sorted(entries, key=lambda entry: entry.line_id):
        if entry.state not in (*states, "planned"):
            problem: str | None = f"it is {entry.state}{'; add --expired' if entry.state == 'expired' else ''}"
        elif entry.line_id in once:
            problem = _ACCEPTED_ONCE
        else:
            problem = _problem(entry, now, late_ok, eligibility)
        if problem:
            plan.left.append((entry, problem))
        else:
            plan.to_send.append(entry)
    if checks.prices:
        plan.leave(price_holds([entry.line for entry in plan.to_send], eligibility))
    plan.leave(limit_holds([entry.line for entry in plan.to_send], checks, eligibility))
    return plan


def retry(
    session: ApiSession, ledger: Ledger, clock: Clock, plan: RetryPlan, author: Author, *, late_ok: LateOk = False
) -> PushSummary:
    """Send the lines of a plan.

    Args:
        session: The API.
        ledger: The ledger of the lines.
        clock: Time.
        plan: From `plan_retry`.
        author: Who decides, and why.
        late_ok: Also send what passes the strictest known deadline while the retry waits.

    Raises:
        AccessError: The credentials are refused, or `write:metering` is not granted.
        ApiUnreachable: The token endpoint does not answer.
        DestinationError: The ledger's database cannot be reached.
    """
    ids = [entry.line_id for entry in plan.to_send]
    ledger.retry(ids, expired=True, author=author)
    return send_planned(session, ledger, clock, ids, late_ok=late_ok)


def _problem(entry: Entry, now: datetime, late_ok: LateOk, eligibility: Eligibility) -> str | None:
    line = entry.line
    if not line.units and rules_of(line.vendor).zero == "skip":
        return f"nothing was used, and {line.vendor} takes no zero"
    if problem := eligibility.problem(line):
        return problem
    return too_late_reason(line, now) if now >= last_moment(line, late_ok) else None
