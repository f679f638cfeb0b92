"""A push: compare the usage with the ledger, and send each line once. Without an API session it is a dry run."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from ..api.session import ApiSession
from ..core.clock import instant
from ..core.errors import EXIT_INCOMPLETE, EXIT_MORE_TO_DO, AutomatumError, Busy, MoreToDo, worst_exit_code
from ..core.json_rows import JsonRows, whole
from ..core.result_line import result_line
from ..core.text import plural
from .ledger.entries import entry_figures, line_figures
from .ledger.ledger import Ledger
from .ledger.run import Run
from .model import amounts
from .options import PushOptions
from .payloads import Body, bodies
from .plan import UNUSUAL, Plan, approved, make_plan
from .send import Sender, SendResult, require_metering
from .status import read_status
from .usage.usage import Usage

logger = logging.getLogger("automatum")

Verdict = Literal["dry_run", "complete", "incomplete", "more_to_do"]

_AGAIN = "Run again when it has ended: what differs can then be compared."


@dataclass(kw_only=True)
class PushResult:
    """What a push has done, or would do.

    Attributes:
        verdict: `dry_run`; or `complete`, `incomplete` (something is not billed, or waits for a person), `more_to_do`.
        usage: The usage.
        plan: What was decided about it.
        sent: Outcomes of the calls; None in a dry run.
        bodies: The requests that a dry run would send, in order; a token not counted.
        ledger: Location of the ledger.
        ledger_exists: Whether it was there. Only a dry run does without one.
        unresolved: Number of lines by state, and of journal items by kind, of this push and of earlier ones, that wait.
        requests: Number of API requests, retries included.
        token_requests: Number of requests for a token.
        errors: Errors that ended the push early.
    """

    verdict: Verdict
    usage: Usage = field(repr=False)
    plan: Plan = field(repr=False)
    sent: SendResult | None = None
    bodies: Sequence[Body] = ()
    ledger: str
    ledger_exists: bool = True
    unresolved: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    token_requests: int = 0
    errors: list[AutomatumError] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """Digest of the usage, for `--plan`."""
        return self.plan.digest

    @property
    def charged(self) -> dict[str, Decimal]:
        """Money of the accepted lines, by currency; in a dry run, of the lines that would be sent."""
        return amounts(self.plan.to_send if self.sent is None else self.sent.accepted)

    @property
    def lines(self) -> dict[str, int]:
        """Number of lines by outcome; `refused` is the number of rows that are not sent until they are corrected."""
        plan, sent = self.plan, self.sent or SendResult()
        waiting = Counter(entry.why if entry.state == "unbilled" else entry.state for entry in plan.waiting)
        return {
            "to_send": len(plan.to_send) - sent.done,
            "accepted": len(sent.accepted),
            "rejected": len(sent.unbilled) + waiting["rejected"],
            "expired": len(sent.expired) + len(plan.expired) + waiting["expired"],
            "conflict": len(sent.conflict) + waiting["conflict"],
            "unknown": len(sent.unknown) + waiting["unknown"],
            "other_source": len(plan.sources),
            "refused": sum(refusal.count for refusal in plan.refusals),
        }

    @property
    def exit_code(self) -> int:
        """The worst of: that of the errors; 65 if a line or row waits for a person; 75 if the push is not finished; 0.

        75 ranks below 65: a scheduler repeats the push in either case, and a person learns of the money at once.
        """
        codes = [error.exit_code for error in self.errors]
        if self._waits:
            codes.append(EXIT_INCOMPLETE)
        if self.verdict == "more_to_do":
            codes.append(EXIT_MORE_TO_DO)
        return worst_exit_code(codes)

    @property
    def _waits(self) -> bool:
        done = ("to_send", "accepted")
        here = any(number for name, number in self.lines.items() if name not in done)
        return bool(here or self.plan.limit or any(self.unresolved.values()))

    @property
    def changed(self) -> bool:
        """Whether this push sent a line; in a dry run, whether `--confirm` would send one."""
        sent = self.sent
        return bool(
            self.plan.to_send if sent is None else sent.accepted or sent.unbilled or sent.conflict or sent.unknown
        )

    @property
    def named_errors(self) -> list[tuple[str, AutomatumError]]:
        """The errors with an empty organization name, because a push is for one organization."""
        return [("", error) for error in self.errors]

    @property
    def resume_at(self) -> float | None:
        """Epoch seconds at which the rest can be sent; None if any time will do, or nothing is left."""
        return next((error.resume_at for error in self.errors if isinstance(error, MoreToDo) and error.resume_at), None)

    @property
    def warnings(self) -> list[str]:
        """Notes that stop nothing: late lines, unusual amounts, skipped checks."""
        usage, plan, notes = self.usage, self.plan, list[str]()
        if usage.missing:
            tables = " and ".join(usage.missing)
            notes.append(
                f"the lines were not checked against {tables}: the database holds no {tables}; "
                f"run automatum sync {' '.join(usage.missing)} first, or add --unchecked if that is meant"
            )
        if plan.late:
            notes.append(f"late: {plural(plan.late, 'line')}; the marketplaces want usage within the hour")
        notes += [
            f"the rules of the marketplace {vendor!r} are not known; the strictest known rules were applied"
            for vendor in usage.unknown_vendors
        ]
        notes += [f"more than {UNUSUAL} times the usual: {one}" for one in plan.unusual]
        if not self.ledger_exists:
            notes.append(f"there is no ledger at {self.ledger}: the first push of all begins it, with --new-ledger")
        return notes

    def line(self, brief: bool = False) -> str:
        """The result in one line, such as `automatum push: complete; accepted 12; 2 requests`.

        Args:
            brief: Leave out the server's messages, which may contain customers' data.
        """
        names = {"to_send": "would send" if self.sent is None else "not sent", "other_source": "other source"}
        needed = f"{plural(len(self.bodies), 'request')} needed"
        return result_line(
            "push",
            self.verdict,
            self.exit_code,
            changes=[f"{names.get(name, name)} {number}" for name, number in self.lines.items() if number],
            cost=needed if self.sent is None else plural(self.requests, "request"),
            reasons=[self.plan.limit or "see automatum push status"] if self._waits else [],
            errors=self.named_errors,
            resume_at=self.resume_at,
            brief=brief,
        )

    def to_json(self) -> dict[str, Any]:
        """The result as one JSON object; amounts are numbers with exactly their digits."""
        return whole(self.figures())

    def figures(self) -> dict[str, Any]:
        """The same, with `JsonRows` in place of the lists of lines and rows, which may be very long."""
        plan, sent, usage = self.plan, self.sent, self.usage
        return {
            "verdict": self.verdict,
            "requests": self.requests,
            "token_requests": self.token_requests,
            "requests_needed": len(self.bodies),
            "charged": self.charged,
            "lines": self.lines,
            "plan": plan.digest,
            "source": usage.source,
            "to_send": JsonRows([line for body in self.bodies for line in body.lines], line_figures),
            "refused": JsonRows(plan.refusals, asdict),
            "expired": JsonRows(plan.expired, lambda found: {**line_figures(found[0]), "reason": found[1]}),
            "other_sources": JsonRows(
                plan.sources, lambda found: {**line_figures(found[0]), "other": entry_figures(found[1])}
            ),
            "waiting": JsonRows(plan.waiting, entry_figures),
            "unresolved": self.unresolved,
            "already_accepted": plan.same,
            "sent_by_another": plan.sending + (len(sent.elsewhere) if sent else 0),
            "late": plan.late,
            "zero": len(usage.zeros),
            "rows": usage.rows,
            "open_rows": usage.open_rows,
            "bodies": sent.bodies if sent else len(self.bodies),
            "limit": plan.limit,
            "checks_skipped": list(usage.missing),
            "warnings": self.warnings,
            "ledger": self.ledger,
            "ledger_exists": self.ledger_exists,
            "resume_at": None if self.resume_at is None else instant(self.resume_at),
            "errors": [error.to_json() for error in self.errors],
        }


def push(session: ApiSession | None, usage: Usage, ledger: Ledger, options: PushOptions, by: str = "") -> PushResult:
    """Report usage to the marketplaces, or compute what would be reported.

    Args:
        session: The API; None for a dry run, which sends nothing and writes nothing.
        usage: From `read_usage`.
        ledger: The ledger, open for writing unless it is a dry run. Only a dry run does without one.
        options: The approved plan, the limit and how late usage may be.
        by: User who pushes.

    Returns:
        The result, with the error that ended the push early, if any. A run that ended early is in the journal.

    Raises:
        ConfigurationError: The ledger cannot be used, or `plan` is no digest.
        AccessError: The credentials are refused, or `write:metering` is not granted.
        ApiUnreachable: The token endpoint does not answer.
        DestinationError: The ledger's database cannot be reached.
        PlanDiffers: The usage is not that of the approved plan.
    """
    usage = approved(usage, options.plan)
    plan = make_plan(usage, ledger, options, ledger.now())
    if session is not None:
        return _send(session, usage, ledger, plan, options, by)
    return PushResult(
        verdict="dry_run",
        usage=usage,
        plan=plan,
        bodies=bodies(plan.to_send, ledger.now()),
        ledger=ledger.location,
        ledger_exists=ledger.exists,
        unresolved=read_status(ledger, ledger.now()).unresolved,
    )


def _send(session: ApiSession, usage: Usage, ledger: Ledger, plan: Plan, options: PushOptions, by: str) -> PushResult:
    if plan.to_send and not plan.limit:
        require_metering(session)
    with ledger.run(usage.source, plan.to_send, by) as run:
        if recovered := run.recover():
            logger.warning(
                "%s of a push that died are unknown; see `automatum push status`.", plural(recovered, "line")
            )
            plan = make_plan(usage, ledger, options, ledger.now())
        first = min((*usage.lines, *usage.zeros), key=lambda line: line.starts_at, default=None)
        run.record(
            expired=plan.expired,
            asked=plan.asked,
            gone=plan.gone,
            refusals=plan.refusals,
            sources=plan.sources,
            whole=first if Path(usage.source).is_absolute() else None,
        )
        sender = Sender(session, ledger, run, late_ok=options.late_ok, again=plan.again)
        sent = SendResult() if plan.limit else sender.send(plan.to_send)
        if sent.elsewhere:
            _compare_again(plan, run, replace(usage, lines=tuple(sent.elsewhere)), ledger, options)
        if plan.pending and not sent.stopped:
            what = plural(plan.pending, "line")
            sent.stopped = Busy(f"Another push is sending {what} with other units or another price.", _AGAIN)
        reason = plan.limit or (sent.stopped.message if sent.stopped else "")
        run.end(complete=not reason, reason=reason)
    more = isinstance(sent.stopped, MoreToDo)
    result = PushResult(
        verdict="complete",
        usage=usage,
        plan=plan,
        sent=sent,
        ledger=ledger.location,
        unresolved=read_status(ledger, ledger.now(), run.id, usage.source if more else None).unresolved,
        requests=session.budget.requests,
        token_requests=session.budget.token_requests,
        errors=[sent.stopped] if sent.stopped else [],
    )
    if more:
        result.verdict = "more_to_do"
    elif sent.stopped or result.exit_code:
        result.verdict = "incomplete"
    return result


def _compare_again(plan: Plan, run: Run, usage: Usage, ledger: Ledger, options: PushOptions) -> None:
    """Compare lines that another push has claimed meanwhile: it may have other units, or be of another source."""
    found = make_plan(replace(usage, refusals=(), zeros=()), ledger, options, ledger.now())
    run.record(asked=found.asked, refusals=found.refusals, sources=found.sources)
    plan.refusals += found.refusals
    plan.sources += found.sources
    plan.pending += found.pending
    ids = {line.id for line in usage.lines}
    plan.waiting += [entry for entry in found.waiting if entry.id in ids]
