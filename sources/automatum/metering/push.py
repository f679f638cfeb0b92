"""A push: classify the usage, compare it with the ledger, and send each line once. Without an API session it is a dry
run.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from ..api.session import ApiSession
from ..core.clock import Clock, utc
from ..core.errors import EXIT_COMPLETE, MoreToDo, ScopeMissing
from ..endpoints import METERING_SCOPE
from .checks import Checks
from .classify import Classification, classify, classify_by_ledger, refuse, refuse_grain, too_late_reason
from .eligibility import UNCHECKED, Eligibility
from .ledger.identity import Owner
from .ledger.ledger import Ledger
from .ledger.location import refuse_network
from .ledger.refusals import record_refusals
from .ledger.runs import Run
from .ledger.states import TAKEN
from .model import Grain, Line
from .payloads import bodies
from .rules import last_moment
from .send import Sender, SendResult
from .summary import PushSummary

logger = logging.getLogger("automatum")

_NO_CHECKS = Checks()


def push(
    session: ApiSession | None,
    rows: Iterable[tuple[int, dict[str, Any]]],
    ledger_url: str,
    clock: Clock,
    *,
    grain: Grain = "hour",
    late_ok: bool = False,
    eligibility: Eligibility | None = None,
    unchecked: bool = False,
    new_ledger: bool = False,
    owner: Owner | None = None,
    checks: Checks = _NO_CHECKS,
) -> PushSummary:
    """Report usage to the marketplaces, or compute what would be reported.

    Args:
        session: The API; None for a dry run, which sends nothing and writes nothing.
        rows: Numbered rows, from `read_usage`.
        ledger_url: Database of the ledger. Only a dry run may do without one; see `require_ledger`.
        clock: Time.
        grain: Sum by the hour or by the day.
        late_ok: Also send what is past the strictest known deadline.
        eligibility: Content of the synced tables; None to check nothing against them.
        new_ledger: Create the ledger; `require_ledger` has checked that none is lost.
        owner: Whose ledger it must be; None to check nothing.
        checks: What else is checked.
        unchecked: Whether the caller asked not to check. Otherwise the summary warns of each check that was skipped.

    Returns:
        The summary, with the error that ended the push early, if any. Lines that were not sent are planned, and the
        next push sends them.

    Raises:
        ConfigurationError: The ledger cannot be used, or the usage cannot be read.
        AccessError: The credentials are refused, or `write:metering` is not granted.
        ApiUnreachable: The token endpoint does not answer.
        DestinationError: The ledger's database, or the warehouse, cannot be reached.
    """
    until = (checks.as_of or utc(clock.time())) - checks.grace
    lines, classification = classify(rows, grain, until, eligibility, lambda: utc(clock.time()))
    now = utc(clock.time())
    refuse_network(ledger_url)
    if session is None:
        with Ledger.open(ledger_url, clock, create=False, owner=owner) as ledger:
            classify_by_ledger(classification, ledger.compare(lines), now, late_ok)
            left_over, too_late = _left_over(ledger, lines, now, late_ok, eligibility)
            summary = PushSummary("dry_run", classification, ledger.location, left_over=left_over, too_late=too_late)
            summary.eligibility, summary.unchecked = eligibility or UNCHECKED, unchecked
            summary.ledger_exists, summary.unresolved = ledger.exists, ledger.unresolved()
            return summary
    with Ledger.open(ledger_url, clock, create=new_ledger, owner=owner) as ledger, ledger.run() as run:
        recovered = run.recover()
        if recovered:
            logger.warning(
                "%d lines of a push that died are unknown. Resolve them with `automatum push resolve`.", recovered
            )
        classify_by_ledger(classification, ledger.compare(lines), now, late_ok)
        left_over, too_late = _left_over(ledger, lines, now, late_ok, eligibility)
        if classification.to_send or left_over:
            require_metering(session)
        _record(ledger, run, classification, too_late)
        record_refusals(ledger, classification.without_line, [line.id for line in lines])
        sender = Sender(session, run, clock, late_ok)
        result = sender.send(bodies([*classification.to_send, *left_over], utc(clock.time())))
        for line, message in result.rejected:
            refuse(classification, line, f"the API refused it: {message}")
        for line in result.expired:
            refuse(classification, line, too_late_reason(line, utc(clock.time())))
        summary = _summarize(session, classification, ledger, result, left_over, too_late)
        summary.eligibility, summary.unchecked = eligibility or UNCHECKED, unchecked
        return summary


def send_planned(
    session: ApiSession, ledger: Ledger, clock: Clock, line_ids: Collection[str] | None = None
) -> PushSummary:
    """Send lines that are planned in the ledger, such as after `Ledger.retry`.

    Args:
        session: The API.
        ledger: The ledger of the lines.
        clock: Time.
        line_ids: Ids of the lines; None for all that are planned.

    Raises:
        AccessError: The credentials are refused, or `write:metering` is not granted.
        ApiUnreachable: The token endpoint does not answer.
        DestinationError: The ledger's database cannot be reached.
    """
    require_metering(session)
    with ledger.run() as run:
        run.recover()
        # Late lines are sent too: the caller has decided to retry them. The documented deadline holds all the same.
        left_over, too_late = (
            [line for line in lines if line_ids is None or line.id in line_ids]
            for lines in _left_over(ledger, [], utc(clock.time()), late_ok=True)
        )
        run.expire(too_late, "Too late by the documented rule.")
        result = Sender(session, run, clock, late_ok=True).send(bodies(left_over, utc(clock.time())))
        summary = _summarize(session, Classification(), ledger, result, left_over, too_late)
        # The push that planned the lines has checked them.
        summary.unchecked = True
        return summary


def require_metering(session: ApiSession) -> None:
    """Raise `ScopeMissing` if the token says that it does not grant `write:metering`."""
    granted = session.client.tokens.scopes()
    if granted is not None and METERING_SCOPE not in granted:
        raise ScopeMissing({"push": METERING_SCOPE}, granted)


def _left_over(
    ledger: Ledger, lines: list[Line], now: datetime, late_ok: bool, eligibility: Eligibility | None = None
) -> tuple[list[Line], list[Line]]:
    """Lines that an earlier push planned and did not send, and that are not in this usage: those to send, and those
    that are too late.

    Lines that the synced tables now contradict stay planned: a later sync may make them valid, or they become too late.
    """
    if not ledger.exists:
        return [], []
    ids = {line.id for line in lines}
    planned = [entry.line for entry in ledger.lines(["planned"]) if entry.line_id not in ids]
    planned = [line for line in planned if eligibility is None or eligibility.problem(line) is None]
    late = {line.id for line in planned if now >= last_moment(line, late_ok)}
    return [line for line in planned if line.id not in late], [line for line in planned if line.id in late]


def _record(ledger: Ledger, run: Run, classification: Classification, too_late: list[Line]) -> None:
    """Record everything that is known before the first call. Lines that cannot be planned leave `to_send`."""
    run.conflict([match.line for match in classification.changed], "Accepted with other units or another price.")
    planned = run.plan(classification.to_send, renew=[line.id for line in classification.again])
    run.expire([*classification.expired, *too_late], "Too late by the strictest known rule.")
    # They were planned with another quantity, which a later push must not send.
    zero = ledger.fetch([line.id for line in classification.zero])
    reason = "Nothing was used, and the marketplace takes no zero."
    run.expire([line for line in classification.zero if line.id in zero], reason)
    kept = {line.id for line in planned.planned}
    for match in planned.other_grain:
        refuse_grain(classification, match)
    other = planned.other_state
    classification.sending += [match for match in other if match.entry.state in ("sending", *TAKEN)]
    classification.unknown += [match for match in other if match.entry.state == "unknown"]
    classification.new = [line for line in classification.new if line.id in kept]
    classification.again = [line for line in classification.again if line.id in kept]


def _summarize(
    session: ApiSession,
    classification: Classification,
    ledger: Ledger,
    result: SendResult,
    left_over: list[Line],
    too_late: list[Line],
) -> PushSummary:
    summary = PushSummary("complete", classification, ledger.location, result, left_over, too_late)
    summary.requests, summary.token_requests = session.budget.requests, session.budget.token_requests
    summary.unresolved = ledger.unresolved()
    if result.stopped:
        summary.errors.append(result.stopped)
    if isinstance(result.stopped, MoreToDo):
        summary.verdict = "more_to_do"
    elif result.stopped or summary.exit_code != EXIT_COMPLETE:
        summary.verdict = "incomplete"
    return summary
