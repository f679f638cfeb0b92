"""What a push decided, sent and charged, or would."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from .classify import Classification
from .eligibility import UNCHECKED, Eligibility
from .forecast import Forecast
from .model import total
from .plan import Plan
from .send import SendResult


@dataclass(kw_only=True)
class PushOutcome:
    """The lines of a push and their money.

    Attributes:
        classification: Lines by what the push decided about them.
        plan: The lines that it sends, and those that are on hold.
        send_result: Results of the calls; None in a dry run.
        forecast: Of a dry run: what it would send, how long it would take, and what would become too late; else None.
        ledger: Location of the ledger.
        ledger_exists: Whether it was there. Only a dry run does without one.
        unresolved: Number of lines in the ledger by state, of this push and of earlier ones, that wait for a decision.
        eligibility: The synced tables that the lines were checked against.
        unchecked: Whether the caller asked not to check.
    """

    classification: Classification
    plan: Plan
    send_result: SendResult | None = None
    forecast: Forecast | None = None
    ledger: str
    ledger_exists: bool = True
    unresolved: dict[str, int] = field(default_factory=dict)
    eligibility: Eligibility = field(default=UNCHECKED, repr=False)
    unchecked: bool = False

    @property
    def charged_by_currency(self) -> dict[str, Decimal]:
        """`charged` by currency of the entitlements; `UNKNOWN_CURRENCY` where these do not name one."""
        return self.eligibility.charged_by_currency(self.send_result.accepted if self.send_result else self.plan.sent)

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
