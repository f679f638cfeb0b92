"""A push: usage in, invoices out, each line once. Dry unless told otherwise."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from ..api.session import ApiSession
from ..core.clock import Clock, instant, utc
from ..core.errors import EXIT_COMPLETE, EXIT_INCOMPLETE, EXIT_MORE_TO_DO, AutomatumError, MoreToDo, ScopeMissing
from ..core.result_line import result_line
from ..endpoints import METERING_SCOPE
from .classify import Classification, classify, difference, refuse, refuse_grain, sort_out, total
from .eligibility import Eligibility
from .ledger.ledger import Ledger
from .ledger.location import refuse_network
from .ledger.runs import Run
from .model import Grain, Line, format_decimal
from .payloads import bodies
from .rules import lateness
from .send import Sender, SendResult

logger = logging.getLogger("automatum")

Verdict = Literal["dry_run", "complete", "incomplete", "more_to_do"]


@dataclass
class PushSummary:
    """What a push did, or would do.

    Attributes:
        verdict: `dry_run`; or `complete`, `incomplete` (something is not billed, or nobody knows), `more_to_do`.
        intake: Lines by what was to become of them.
        sent: What became of those that went out; None in a dry run.
        left_over: Lines that an earlier push had planned and not sent, and that this usage does not hold.
        too_late: The same, which are too late to be sent now.
        requests: API requests sent, retries included.
        token_requests: Requests for a token.
        ledger: Where the ledger is.
        errors: What ended it early.
    """

    verdict: Verdict
    intake: Classification
    ledger: str
    sent: SendResult | None = None
    left_over: list[Line] = field(default_factory=list)
    too_late: list[Line] = field(default_factory=list)
    requests: int = 0
    token_requests: int = 0
    errors: list[AutomatumError] = field(default_factory=list)

    @property
    def charged(self) -> Decimal:
        """Money: of what was accepted; in a dry run, of what would be sent."""
        return self.sent.charged if self.sent else total([*self.intake.to_send, *self.left_over])

    @property
    def lines(self) -> dict[str, int]:
        """Number of this push's lines by what has become of them; of rows for `invalid`."""
        intake, sent = self.intake, self.sent or SendResult()
        to_send = len(intake.to_send) + len(self.left_over)
        done = len(sent.accepted) + len(sent.refused) + len(sent.conflict) + len(sent.unknown) + len(sent.taken)
        return {
            "new": to_send - done,
            "accepted": len(sent.accepted),
            "rejected": len(sent.refused) + len(intake.rejected),
            "expired": len(intake.expired) + len(self.too_late),
            "conflict": len(sent.conflict) + len(intake.changed) + len(intake.conflict),
            "unknown": len(sent.unknown) + len(intake.unknown),
            "invalid": intake.invalid,
        }

    @property
    def line_ids(self) -> list[str]:
        """Ids of all lines of this push."""
        one = self.intake
        held = (*one.same, *one.changed, *one.unknown, *one.rejected, *one.conflict, *one.sending)
        lines = [*one.to_send, *self.left_over, *one.expired, *one.zero, *(each.line for each in held)]
        return list(dict.fromkeys(line.id for line in lines))

    @property
    def exit_code(self) -> int:
        """0 if all is settled; 65 if something is not, and only a human can change that."""
        for error in self.errors:
            if not isinstance(error, MoreToDo):
                return error.exit_code
        if self.verdict == "more_to_do":
            return EXIT_MORE_TO_DO
        return EXIT_INCOMPLETE if self._unsettled else EXIT_COMPLETE

    @property
    def _unsettled(self) -> bool:
        counted = self.lines
        return any(counted[name] for name in ("rejected", "expired", "conflict", "unknown", "invalid"))

    @property
    def named_errors(self) -> list[tuple[str, AutomatumError]]:
        """The errors, each with an empty text in place of the organization, as there is but one."""
        return [("", error) for error in self.errors]

    @property
    def changed(self) -> bool:
        """Whether a line has found its end in this push, or would go out with `--confirm`."""
        counted = self.lines
        if self.sent is None:
            return counted["new"] > 0
        return any((self.sent.accepted, self.sent.refused, self.sent.conflict, self.sent.unknown))

    def line(self, brief: bool = False) -> str:
        """The summary in one line, such as `automatum push: complete; accepted 12; 2 requests`.

        Args:
            brief: Without what a server said, which may hold customers' data.
        """
        name = "would send" if self.sent is None else "not sent"
        lines = {name if one == "new" else one: number for one, number in self.lines.items()}
        return result_line(
            "push",
            self.verdict,
            self.exit_code,
            changes=[f"{one} {number}" for one, number in lines.items() if number],
            cost=f"{self.requests} requests",
            reasons=["see automatum push status"] if self._unsettled else [],
            errors=self.named_errors,
            resume_at=self.resume_at,
            brief=brief,
        )

    @property
    def resume_at(self) -> float | None:
        """Epoch seconds at which to come back for the rest; None if any time will do, or nothing is left."""
        return next((one.resume_at for one in self.errors if isinstance(one, MoreToDo) and one.resume_at), None)

    def as_json(self) -> dict[str, Any]:
        """The summary as one JSON object; `charged` is a number with exactly its digits."""
        intake = self.intake
        return {
            "verdict": self.verdict,
            "requests": self.requests,
            "token_requests": self.token_requests,
            "charged": self.charged,
            "lines": self.lines,
            "refused": [one.as_json() for one in sorted(intake.refused, key=lambda one: one.row)],
            "conflicts": [difference(held) for held in (*intake.changed, *intake.conflict)],
            "already_accepted": len(intake.same),
            "late": len(intake.late),
            "zero": len(intake.zero),
            "open_rows": intake.open_rows,
            "sent_by_another": len(intake.sending) + (len(self.sent.taken) if self.sent else 0),
            "bodies": self.sent.bodies if self.sent else len(bodies([*intake.to_send, *self.left_over])),
            "warnings": self.warnings,
            "ledger": self.ledger,
            "resume_at": None if self.resume_at is None else instant(self.resume_at),
            "errors": [error.as_json() for error in self.errors],
        }

    @property
    def warnings(self) -> list[str]:
        """What is sent all the same, and worth a look."""
        intake, said = self.intake, []
        if intake.late:
            said.append(f"{len(intake.late)} lines are late: the marketplaces want usage within the hour")
        said += [
            f"the rules of the marketplace {vendor!r} are not known; the strictest known ones were applied"
            for vendor in sorted(intake.strange_vendors)
        ]
        if self.left_over:
            said.append(f"{len(self.left_over)} lines that an earlier push had planned are not in this usage")
        if self.too_late:
            money = format_decimal(total(self.too_late))
            said.append(
                f"{len(self.too_late)} lines that an earlier push had planned, {money} in all, are too late now"
            )
        return said


def push(
    session: ApiSession | None,
    rows: Iterable[tuple[int, dict[str, Any]]],
    ledger_url: str,
    clock: Clock,
    *,
    grain: Grain = "hour",
    late_ok: bool = False,
    eligibility: Eligibility | None = None,
) -> PushSummary:
    """Report usage to the marketplaces, or say what that would mean.

    Args:
        session: The API; None for a dry run, which sends nothing and writes nothing.
        rows: Numbered rows, from `read_usage`.
        ledger_url: Where it is kept what was sent.
        clock: Time.
        grain: Sum by the hour or by the day.
        late_ok: Send what is past the strictest known limit, too.
        eligibility: What the synced tables say; None to check nothing against them.

    Returns:
        What was done. What ended it early is in it; what was not sent is planned, and goes out with the next push.

    Raises:
        ConfigurationError: The ledger cannot be used, or the usage cannot be read.
        AccessError: The credentials are refused, or `write:metering` is not granted.
        ApiUnreachable: The token endpoint gives no answer.
        DestinationError: The ledger's database, or the warehouse, cannot be reached.
    """
    now = utc(clock.time())
    lines, intake = classify(rows, grain, now, eligibility)
    refuse_network(ledger_url)
    if session is None:
        with Ledger.open(ledger_url, clock, create=False) as ledger:
            sort_out(intake, ledger.compare(lines), now, late_ok)
            left_over, too_late = _left_over(ledger, lines, now, late_ok, eligibility)
            return PushSummary("dry_run", intake, ledger.place, left_over=left_over, too_late=too_late)
    with Ledger.open(ledger_url, clock, create=True) as ledger, ledger.run() as run:
        recovered = run.recover()
        if recovered:
            logger.warning("%d lines of a push that died are unknown: settle them by automatum push resolve", recovered)
        sort_out(intake, ledger.compare(lines), now, late_ok)
        left_over, too_late = _left_over(ledger, lines, now, late_ok, eligibility)
        if intake.to_send or left_over:
            require_metering(session)
        _write_down(ledger, run, intake, too_late)
        sending = Sender(session.client, run)
        sent = sending.send(bodies([*intake.to_send, *left_over], utc(clock.time())))
        _tell(intake, sent)
        return _summary(session, intake, ledger, sent, left_over, too_late)


def send_planned(
    session: ApiSession,
    ledger: Ledger,
    clock: Clock,
    line_ids: Collection[str] | None = None,
) -> PushSummary:
    """Send what the ledger holds as planned, such as after `Ledger.retry`.

    Args:
        session: The API.
        ledger: What is planned in it.
        clock: Time.
        line_ids: Only these; None for all.

    Raises:
        AccessError: The credentials are refused, or `write:metering` is not granted.
        ApiUnreachable: The token endpoint gives no answer.
        DestinationError: The ledger's database cannot be reached.
    """
    require_metering(session)
    with ledger.run() as run:
        run.recover()
        # Whoever lets them go out knows that they are late.
        left_over, _ = _left_over(ledger, [], utc(clock.time()), late_ok=True)
        left_over = [line for line in left_over if line_ids is None or line.id in line_ids]
        intake = Classification()
        sent = Sender(session.client, run).send(bodies(left_over, utc(clock.time())))
        return _summary(session, intake, ledger, sent, left_over)


def require_metering(session: ApiSession) -> None:
    """Raise `ScopeMissing` if the token says that it does not grant `write:metering`."""
    granted = session.client.tokens.scopes()
    if granted is not None and METERING_SCOPE not in granted:
        raise ScopeMissing({"push": METERING_SCOPE}, granted)


def _left_over(
    ledger: Ledger, lines: list[Line], now: datetime, late_ok: bool, eligibility: Eligibility | None = None
) -> tuple[list[Line], list[Line]]:
    """What an earlier push has planned and not sent, and this one does not hold: to be sent, and too late for it.

    What the synced tables speak against now stays planned: they are right again after a sync, or it becomes too late.
    """
    if not ledger.exists:
        return [], []
    mine = {line.id for line in lines}
    planned = [entry.line for entry in ledger.lines(["planned"]) if entry.line_id not in mine]
    planned = [line for line in planned if eligibility is None or eligibility.why_not(line) is None]
    late = [line for line in planned if not late_ok and lateness(line, now) == "too late"]
    return [line for line in planned if line not in late], late


def _write_down(ledger: Ledger, run: Run, intake: Classification, too_late: list[Line]) -> None:
    """Everything that is known before the first call; what cannot be planned after all leaves the intake."""
    run.conflict([held.line for held in intake.changed], "Accepted with other units or another price.")
    planned = run.plan(intake.to_send, renew=[line.id for line in intake.again])
    run.expire([*intake.expired, *too_late], "Too late by the strictest known rule.")
    # They were planned with another quantity, which must not go out with a later push.
    zero = ledger.fetch([line.id for line in intake.zero])
    why = "Nothing was used, and the marketplace takes no zero."
    run.expire([line for line in intake.zero if line.id in zero], why)
    kept = {line.id for line in planned.planned}
    for held in planned.other_grain:
        refuse_grain(intake, held)
    intake.sending += [held for held in planned.held if held.entry.state in ("sending", "accepted")]
    intake.unknown += [held for held in planned.held if held.entry.state == "unknown"]
    intake.new = [line for line in intake.new if line.id in kept]
    intake.again = [line for line in intake.again if line.id in kept]


def _tell(intake: Classification, sent: SendResult) -> None:
    for line, said in sent.refused:
        refuse(intake, line, f"the API refused it: {said}")


def _summary(
    session: ApiSession,
    intake: Classification,
    ledger: Ledger,
    sent: SendResult,
    left_over: list[Line],
    too_late: list[Line] | None = None,
) -> PushSummary:
    summary = PushSummary("complete", intake, ledger.place, sent, left_over, too_late or [])
    summary.requests, summary.token_requests = session.budget.requests, session.budget.token_requests
    if sent.stopped:
        summary.errors.append(sent.stopped)
    if isinstance(sent.stopped, MoreToDo):
        summary.verdict = "more_to_do"
    elif sent.stopped or summary.exit_code != EXIT_COMPLETE:
        summary.verdict = "incomplete"
    return summary
