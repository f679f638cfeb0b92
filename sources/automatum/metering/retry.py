"""Retries rejected and expired lines: each passes the checks of a push again (I5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..api.session import ApiSession
from .checks import NO_CHECKS, Checks
from .classify import too_late_reason
from .guards import limit_holds, price_holds
from .ledger import line_rows
from .ledger.attempts import accepted_once
from .ledger.decision_log import Author
from .ledger.decisions import retried_ids
from .ledger.entries import Entry
from .ledger.holds import Hold
from .ledger.ledger import Ledger
from .ledger.planned import plan_again
from .ledger.states import State
from .push import send_planned
from .rules import last_moment, rules_of
from .summary import PushSummary

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

    def leave_blocked(self, ledger: Ledger) -> None:
        """Leave the lines whose usage another line bills, or may; and those of one usage, because one is enough."""
        refused = {entry.line_id: entry for entry in self.to_send if entry.state != "planned"}
        with ledger.database.read() as connection:
            blocked = line_rows.blocked_by(connection, refused.values())
        for line_id, other in blocked.items():
            reason = f"the line {other} bills the same usage, and is retried, too; name one of them"
            if other not in refused:
                reason = f"its usage was sent, or is planned, by the line {other}"
            self.left.append((refused[line_id], reason))
        self.to_send = [entry for entry in self.to_send if entry.line_id not in blocked]

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
    checks: Checks = NO_CHECKS,
) -> RetryPlan:
    """Choose the lines to send again, by the checks of a push. Nothing is written.

    Args:
        ledger: The ledger of the lines.
        line_ids: Ids of the lines; None for all that the API never accepted.
        now: The current time, aware.
        expired: Also expired lines.
        checks: The limits, the synced tables, and how late lines may be. The other guards need the usage of a push.
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
            problem = _problem(entry, now, checks)
        if problem:
            plan.left.append((entry, problem))
        else:
            plan.to_send.append(entry)
    plan.leave_blocked(ledger)
    if checks.prices:
        plan.leave(price_holds([entry.line for entry in plan.to_send], checks.eligibility))
    plan.leave(limit_holds([entry.line for entry in plan.to_send], checks))
    return plan


def retry(session: ApiSession, ledger: Ledger, plan: RetryPlan, author: Author, checks: Checks) -> PushSummary:
    """Send the lines of a plan.

    Args:
        session: The API.
        ledger: The ledger of the lines.
        plan: From `plan_retry`.
        author: Who decides, and why.
        checks: What the plan was made by. What passes the last moment while the retry waits is not sent.

    Raises:
        AccessError: The credentials are refused, or `write:metering` is not granted.
        ApiUnreachable: The token endpoint does not answer.
        DestinationError: The ledger's database cannot be reached.
    """
    ids = [entry.line_id for entry in plan.to_send]
    plan_again(ledger, ids, author)
    return send_planned(session, ledger, ids, checks)


def _problem(entry: Entry, now: datetime, checks: Checks) -> str | None:
    line = entry.line
    if not line.units and rules_of(line.vendor).zero == "skip":
        return f"nothing was used, and {line.vendor} takes no zero"
    if problem := checks.eligibility.problem(line):
        return problem
    return too_late_reason(line, now) if now >= last_moment(line, checks.late_ok) else None
