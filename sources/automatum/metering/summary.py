"""The summary of a push: what was sent, or would be, and the exit code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal

from ..core.clock import instant
from ..core.errors import EXIT_INCOMPLETE, EXIT_MORE_TO_DO, AutomatumError, MoreToDo, worst_exit_code
from ..core.json_rows import JsonRows, whole
from ..core.result_line import result_line
from ..core.text import plural
from .classify import Classification, difference, total
from .eligibility import UNCHECKED, Eligibility
from .forecast import Forecast
from .ledger.holds import Hold
from .ledger.states import UNRESOLVED
from .model import UNKNOWN_CURRENCY, Line, Refusal, format_decimal
from .payloads import Body, bodies
from .plan import Plan
from .send import SendResult

"""Key of amounts whose currency no synced entitlement names. The API takes amounts without a currency."""
Verdict = Literal["dry_run", "complete", "incomplete", "more_to_do"]


@dataclass
class PushSummary:
    """What a push has done, or would do.

    Attributes:
        verdict: `dry_run`; or `complete`, `incomplete` (a line is not billed, or its state is unknown), `more_to_do`.
        classification: Lines by what the push decided about them.
        ledger: Location of the ledger.
        ledger_exists: Whether it was there. Only a dry run does without one.
        send_result: Results of the calls; None in a dry run.
        plan: The lines that it sends, and those that are on hold.
        forecast: Of a dry run: how long it would take, and what would become too late.
        requests: Number of API requests, retries included.
        token_requests: Number of requests for a token.
        errors: Errors that ended the push early.
        eligibility: The synced tables that the lines were checked against.
        unresolved: Number of lines in the ledger by state, of this push and of earlier ones, that wait for a decision.
        unchecked: Whether the caller asked not to check.
    """

    verdict: Verdict
    classification: Classification
    ledger: str
    send_result: SendResult | None = None
    plan: Plan = field(default_factory=Plan)
    forecast: Forecast | None = None
    requests: int = 0
    token_requests: int = 0
    errors: list[AutomatumError] = field(default_factory=list)
    eligibility: Eligibility = field(default=UNCHECKED, repr=False)
    unresolved: dict[str, int] = field(default_factory=dict)
    unchecked: bool = False
    ledger_exists: bool = True

    @property
    def to_send(self) -> list[Line]:
        """In a dry run, the lines that `confirm` would send, in the order of the requests; else none."""
        return [] if self.send_result else [line for body in self._bodies for line in body.lines]

    @property
    def requests_needed(self) -> int:
        """In a dry run, the requests that `confirm` would take, a token not counted; else 0."""
        return 0 if self.send_result else len(self._bodies)

    @cached_property
    def _bodies(self) -> list[Body]:
        return bodies(self.plan.sent)

    @property
    def charged_by_currency(self) -> dict[str, Decimal]:
        """`charged` by currency of the entitlements; `UNKNOWN_CURRENCY` where these do not name one."""
        return self.by_currency(self.send_result.accepted if self.send_result else self.to_send)

    def by_currency(self, lines: Iterable[Line]) -> dict[str, Decimal]:
        """Sum of `charged` of lines, by currency; `UNKNOWN_CURRENCY` where no entitlement names one."""
        found: dict[str, list[Line]] = {}
        for line in lines:
            found.setdefault(self.eligibility.currency(line) or UNKNOWN_CURRENCY, []).append(line)
        return {currency: total(found[currency]) for currency in sorted(found)}

    @property
    def charged(self) -> Decimal:
        """Money of the accepted lines; in a dry run, of the lines that would be sent."""
        if self.send_result:
            return self.send_result.charged
        return total(self.plan.sent)

    @property
    def lines(self) -> dict[str, int]:
        """Number of lines by outcome; for `invalid`, number of rows."""
        found, sent = self.classification, self.send_result or SendResult()
        return {
            "new": len(self.plan.sent) - sent.done,
            "on_hold": len(self.plan.lines_on_hold),
            "accepted": len(sent.accepted),
            "rejected": len(sent.rejected) + len(found.rejected),
            "expired": len(found.expired) + len(self.plan.too_late) + len(sent.expired),
            "conflict": len(sent.conflict) + len(found.changed) + len(found.conflict),
            "unknown": len(sent.unknown) + len(found.unknown),
            "invalid": found.invalid,
        }

    @property
    def line_ids(self) -> list[str]:
        """Ids of all lines of this push."""
        found = self.classification
        matches = (
            *found.changed,
            *found.unknown,
            *found.rejected,
            *found.conflict,
            *found.sending,
            *found.written_off,
            *found.canceled,
        )
        own = (*self.plan.sent, *self.plan.lines_on_hold, *found.expired, *found.zero, *found.same)
        lines = [*own, *(match.line for match in matches)]
        return list(dict.fromkeys(line.id for line in lines))

    @property
    def exit_code(self) -> int:
        """The worst of: that of the errors; 65 if a line of the ledger, or a row, needs a person's decision; 75 if the
        push is not finished; 0.

        75 ranks below 65: a scheduler repeats the push in either case, and a person learns of the money at once.
        """
        codes = [error.exit_code for error in self.errors]
        if self._unsettled:
            codes.append(EXIT_INCOMPLETE)
        if self.verdict == "more_to_do":
            codes.append(EXIT_MORE_TO_DO)
        return worst_exit_code(codes)

    @property
    def _unsettled(self) -> bool:
        counted = self.lines
        return any(counted[name] for name in (*UNRESOLVED, "invalid", "on_hold")) or any(self.unresolved.values())

    @property
    def named_errors(self) -> list[tuple[str, AutomatumError]]:
        """The errors with an empty organization name, because a push is for one organization."""
        return [("", error) for error in self.errors]

    @property
    def changed(self) -> bool:
        """Whether this push settled a line; in a dry run, whether `--confirm` would send one."""
        if self.send_result is None:
            return self.lines["new"] > 0
        sent = self.send_result
        return any((sent.accepted, sent.rejected, sent.conflict, sent.unknown))

    def line(self, brief: bool = False) -> str:
        """The summary in one line, such as `automatum push: complete; accepted 12; 2 requests`.

        Args:
            brief: Leave out the server's messages, which may contain customers' data.
        """
        unsent = "would send" if self.send_result is None else "not sent"
        lines = {unsent if name == "new" else name: number for name, number in self.lines.items()}
        return result_line(
            "push",
            self.verdict,
            self.exit_code,
            changes=[f"{name} {number}" for name, number in lines.items() if number],
            cost=plural(self.requests, "request")
            if self.send_result
            else f"{plural(self.requests_needed, 'request')} needed",
            reasons=["see automatum push status"] if self._unsettled else [],
            errors=self.named_errors,
            resume_at=self.resume_at,
            brief=brief,
        )

    @property
    def resume_at(self) -> float | None:
        """Epoch seconds at which the rest can be sent; None if any time will do, or nothing is left."""
        return next((error.resume_at for error in self.errors if isinstance(error, MoreToDo) and error.resume_at), None)

    def as_json(self) -> dict[str, Any]:
        """The summary as one JSON object; `charged` is a number with exactly its digits."""
        return whole(self.figures())

    def figures(self) -> dict[str, Any]:
        """The same, with `JsonRows` in place of the lists of lines and rows, which may be very long."""
        found, sent = self.classification, self.send_result
        return {
            "verdict": self.verdict,
            "requests": self.requests,
            "token_requests": self.token_requests,
            "requests_needed": self.requests_needed,
            "forecast": None
            if self.forecast is None
            else {
                "seconds": round(self.forecast.seconds),
                "too_late": [line.id for line in self.forecast.too_late],
            },
            "charged": self.charged,
            "charged_by_currency": self.charged_by_currency,
            "lines": self.lines,
            "plan": self.plan.digest,
            "to_send": JsonRows(self.to_send, self._line_as_json),
            "on_hold": JsonRows(self.plan.on_hold, Hold.as_json),
            "refused": JsonRows(sorted(found.refused, key=lambda refusal: refusal.row), Refusal.as_json),
            "conflicts": JsonRows([*found.changed, *found.conflict], difference),
            "unresolved": self.unresolved,
            "already_accepted": len(found.same),
            "written_off": len(found.written_off),
            "canceled": len(found.canceled),
            "not_in_plan": len(self.plan.not_in_plan),
            "late": len(found.late),
            "zero": len(found.zero),
            "open_rows": found.open_rows,
            "sent_by_another": len(found.sending) + (len(sent.claimed_elsewhere) if sent else 0),
            "bodies": sent.bodies if sent else self.requests_needed,
            "checks_skipped": self.eligibility.missing,
            "warnings": self.warnings,
            "ledger": self.ledger,
            "ledger_exists": self.ledger_exists,
            "resume_at": None if self.resume_at is None else instant(self.resume_at),
            "errors": [error.as_json() for error in self.errors],
        }

    def _line_as_json(self, line: Line) -> dict[str, Any]:
        return {
            "line_id": line.id,
            "vendor": line.vendor,
            "customer_id": line.customer_id,
            "listing_id": line.listing_id,
            "dimension": line.dimension,
            "starts_at": line.starts_at.isoformat(),
            "units": line.units,
            "price": line.price,
            "charged": line.charged,
            "currency": self.eligibility.currency(line),
        }

    @property
    def warnings(self) -> list[str]:
        """Notes about lines that are sent all the same, or were planned by earlier pushes, and about skipped checks."""
        found, notes = self.classification, []
        missing = self.eligibility.missing
        if missing and not self.unchecked:
            tables = " and ".join(missing)
            notes.append(
                f"the lines were not checked against {tables}: the database holds no {tables}; "
                f"run automatum sync {' '.join(missing)} first, or add --unchecked if that is meant"
            )
        if found.late:
            notes.append(f"late: {plural(len(found.late), 'line')}; the marketplaces want usage within the hour")
        notes += [
            f"the rules of the marketplace {vendor!r} are not known; the strictest known rules were applied"
            for vendor in sorted(found.unknown_vendors)
        ]
        if self.plan.left_over:
            lines = plural(len(self.plan.left_over), "line")
            notes.append(f"planned by an earlier push, not in this usage, and kept by a person: {lines}")
        if self.plan.repeated:
            lines = plural(len(self.plan.repeated), "line")
            notes.append(
                f"{lines} were accepted before from another source with exactly these units, and are not sent again; "
                "if they are further usage, sum both sources into one usage before the push"
            )
        if self.plan.not_in_plan:
            lines = plural(len(self.plan.not_in_plan), "line")
            notes.append(f"not in the approved plan, and not sent: {lines}; a later push sends them")
        if self.plan.too_late:
            lines, money = plural(len(self.plan.too_late), "line"), format_decimal(total(self.plan.too_late))
            notes.append(f"planned by an earlier push, and too late now: {lines}, {money} in all")
        if self.forecast and self.forecast.too_late:
            lines, money = plural(len(self.forecast.too_late), "line"), format_decimal(total(self.forecast.too_late))
            notes.append(
                f"the rate limit lets {lines}, {money} in all, become too late before they can be sent; "
                "send what is urgent first, or ask for a higher limit"
            )
        if not self.ledger_exists:
            notes.append(
                f"there is no ledger at {self.ledger}, so all lines count as new; if usage was pushed before, find its "
                "ledger; for the first push of all, add --new-ledger to --confirm"
            )
        return notes
