"""A push: classify the usage, compare it with the ledger, and send each line once. Without an API session it is a dry
run.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from ..api.session import ApiSession
from ..core.clock import Clock, utc
from ..core.errors import EXIT_COMPLETE, MoreToDo, ScopeMissing
from ..endpoints import METERING_SCOPE
from .checks import NO_CHECKS, Checks
from .classify import Classification, classify, refuse, refuse_blocked, too_late_reason
from .forecast import forecast
from .ledger.ledger import Ledger
from .ledger.location import Owner, refuse_network
from .ledger.plan_reader import lines_on_hold
from .ledger.refusals import record_refusals
from .ledger.runs import Run
from .ledger.silence import silent_keys
from .ledger.states import TAKEN
from .model import Grain, Line
from .payloads import bodies
from .plan import Plan, Planner, approved_at
from .rules import LateOk, last_moment
from .send import Sender, SendResult
from .summary import PushSummary
from .usage.usage import Row

logger = logging.getLogger("automatum")

_CHECKED_BEFORE = Checks(unchecked=True, late_ok=True)
"""Of lines that were checked by the push that planned them, or by the command that carries them."""


def push(
    session: ApiSession | None,
    rows: Iterable[tuple[int, Row]],
    ledger_url: str,
    clock: Clock,
    *,
    grain: Grain = "hour",
    new_ledger: bool = False,
    owner: Owner | None = None,
    checks: Checks = NO_CHECKS,
) -> PushSummary:
    """Report usage to the marketplaces, or compute what would be reported.

    Args:
        session: The API; None for a dry run, which sends nothing and writes nothing.
        rows: Numbered rows, from `read_usage`.
        ledger_url: Database of the ledger. Only a dry run may do without one; see `require_ledger`.
        clock: Time.
        grain: Sum by the hour or by the day.
        new_ledger: Create the ledger; `require_ledger` has checked that none is lost.
        owner: Whose ledger it must be; None to check nothing.
        checks: What is checked besides the rules of the marketplaces.

    Returns:
        The summary, with the error that ended the push early, if any. Lines that were not sent are planned, and the
        next push sends them.

    Raises:
        ConfigurationError: The ledger cannot be used, or the usage cannot be read.
        AccessError: The credentials are refused, or `write:metering` is not granted.
        ApiUnreachable: The token endpoint does not answer.
        DestinationError: The ledger's database, or the warehouse, cannot be reached.
        PlanDiffers: The lines are not those of the approved plan.
    """
    as_of = (checks.as_of or utc(clock.time())).replace(microsecond=0)  # as the digest has it
    checks = replace(checks, as_of=as_of)
    until = min(as_of, approved_at(checks.plan)) if checks.plan else as_of
    lines, classification = classify(rows, grain, until - checks.grace, lambda: utc(clock.time()), checks.eligibility)
    now = utc(clock.time())
    refuse_network(ledger_url)
    if session is None:
        with Ledger.open(ledger_url, clock, create=False, owner=owner) as ledger:
            return _dry_run(ledger, lines, classification, checks, now)
    with Ledger.open(ledger_url, clock, create=new_ledger, owner=owner) as ledger, ledger.run() as run:
        return _send(session, ledger, run, lines, classification, checks, now)


def send_planned(
    session: ApiSession,
    ledger: Ledger,
    line_ids: Collection[str],
    checks: Checks = _CHECKED_BEFORE,
) -> PushSummary:
    """Send lines that are planned in the ledger, such as after `plan_again`.

    Args:
        session: The API.
        ledger: The ledger of the lines.
        line_ids: Ids of the lines.
        checks: What the lines were checked against, for the summary, and how late they may be.

    Raises:
        AccessError: The credentials are refused, or `write:metering` is not granted.
        ApiUnreachable: The token endpoint does not answer.
        DestinationError: The ledger's database cannot be reached.
    """
    require_metering(session)
    clock = session.clock
    with ledger.run() as run:
        run.recover()
        plan = _left_over(ledger, utc(clock.time()), set(line_ids), checks.late_ok)
        run.expire(plan.too_late, "Too late by the documented rule.")
        result = Sender(session, run, clock, checks.late_ok).send(bodies(plan.sent, utc(clock.time())))
        return _summarize(session, Classification(), ledger, result, plan, checks)


def require_metering(session: ApiSession) -> None:
    """Raise `ScopeMissing` if the token says that it does not grant `write:metering`."""
    granted = session.client.tokens.scopes()
    if granted is not None and METERING_SCOPE not in granted:
        raise ScopeMissing({"push": METERING_SCOPE}, granted)


def _left_over(ledger: Ledger, now: datetime, line_ids: Collection[str], late_ok: LateOk) -> Plan:
    """Planned lines without any usage: those to send, those that are too late, and those that are on hold."""
    holds = [(entry, holds) for entry, holds in lines_on_hold(ledger) if entry.line_id in line_ids]
    on_hold = {entry.line_id for entry, _ in holds}
    entries = (entry for entry in ledger.reader.lines(["planned"]) if entry.line_id in line_ids)
    planned = [entry.line for entry in entries if entry.line_id not in on_hold]
    late = {line.id for line in planned if now >= last_moment(line, late_ok)}
    return Plan(
        left_over=[line for line in planned if line.id not in late],
        too_late=[line for line in planned if line.id in late],
        on_hold=[hold for _, of_line in holds for hold in of_line],
    )


def _record(ledger: Ledger, run: Run, classification: Classification, plan: Plan, checks: Checks) -> None:
    """Record everything that is known before the first call. Lines that cannot be planned are not sent."""
    differing = [match.line for match in (*classification.changed, *classification.conflict)]
    run.conflict(differing, "Accepted with other units or another price.")
    usage = [*plan.to_send, *plan.usage_on_hold]
    planned = run.plan(usage, renew=plan.renewed, record=plan.record(checks, usage))
    run.expire([*classification.expired, *plan.too_late], "Too late by the strictest known rule.")
    # They were planned with another quantity, which a later push must not send.
    zero = ledger.reader.fetch([line.id for line in classification.zero])
    reason = "Nothing was used, and the marketplace takes no zero."
    run.expire([line for line in classification.zero if line.id in zero], reason)
    kept = {line.id for line in planned.planned}
    for match in planned.blocked:
        refuse_blocked(classification, match)
    other = planned.other_state
    classification.sending += [match for match in other if match.entry.state in ("sending", *TAKEN)]
    classification.unknown += [match for match in other if match.entry.state == "unknown"]
    classification.new = [line for line in classification.new if line.id in kept]
    classification.again = [line for line in classification.again if line.id in kept]
    plan.to_send = [line for line in plan.to_send if line.id in kept]


def _unresolved(ledger: Ledger, checks: Checks) -> dict[str, int]:
    """What waits for a person in the ledger, whichever push left it; and what is silent."""
    silent = len(silent_keys(ledger, ledger.database.now(), checks.silence))
    return ledger.reader.unresolved() | ({"silent": silent} if silent else {})


def _dry_run(
    ledger: Ledger, lines: Sequence[Line], classification: Classification, checks: Checks, now: datetime
) -> PushSummary:
    plan = Planner(ledger, checks).plan(lines, classification, now)
    return PushSummary(
        verdict="dry_run",
        classification=classification,
        plan=plan,
        forecast=forecast(bodies(plan.sent, now), checks.limits, now, checks.late_ok),
        ledger=ledger.location,
        ledger_exists=ledger.exists,
        unresolved=_unresolved(ledger, checks),
        eligibility=checks.eligibility,
        unchecked=checks.unchecked,
    )


def _send(
    session: ApiSession,
    ledger: Ledger,
    run: Run,
    lines: Sequence[Line],
    classification: Classification,
    checks: Checks,
    now: datetime,
) -> PushSummary:
    recovered = run.recover()
    if recovered:
        logger.warning(
            "%d lines of a push that died are unknown. Resolve them with `automatum push resolve`.", recovered
        )
    plan = Planner(ledger, checks).plan(lines, classification, now)
    if plan.sent:
        require_metering(session)
    _record(ledger, run, classification, plan, checks)
    record_refusals(ledger, classification.without_line, [line.id for line in lines])
    clock = session.clock
    result = Sender(session, run, clock, checks.late_ok).send(bodies(plan.sent, utc(clock.time())))
    _refuse_unsent(classification, result, utc(clock.time()))
    return _summarize(session, classification, ledger, result, plan, checks)


def _refuse_unsent(classification: Classification, result: SendResult, now: datetime) -> None:
    """Refuse the usage of lines that the API refused, or that became too late while others were sent."""
    for line, message in result.rejected:
        refuse(classification, line, f"the API refused it: {message}")
    for line in result.expired:
        refuse(classification, line, too_late_reason(line, now))


def _summarize(
    session: ApiSession,
    classification: Classification,
    ledger: Ledger,
    result: SendResult,
    plan: Plan,
    checks: Checks,
) -> PushSummary:
    summary = PushSummary(
        verdict="complete",
        classification=classification,
        plan=plan,
        send_result=result,
        ledger=ledger.location,
        unresolved=_unresolved(ledger, checks),
        eligibility=checks.eligibility,
        unchecked=checks.unchecked,
        requests=session.budget.requests,
        token_requests=session.budget.token_requests,
    )
    if result.stopped:
        summary.errors.append(result.stopped)
    if isinstance(result.stopped, MoreToDo):
        summary.verdict = "more_to_do"
    elif result.stopped or summary.exit_code != EXIT_COMPLETE:
        summary.verdict = "incomplete"
    return summary
