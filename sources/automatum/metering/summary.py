"""The summary of a push: its outcome, what it cost in requests, and the exit code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ..core.clock import instant
from ..core.errors import EXIT_INCOMPLETE, EXIT_MORE_TO_DO, AutomatumError, MoreToDo, worst_exit_code
from ..core.json_rows import whole
from ..core.result_line import result_line
from ..core.text import plural
from .figures import outcome_figures
from .ledger.states import UNRESOLVED
from .outcome import PushOutcome

Verdict = Literal["dry_run", "complete", "incomplete", "more_to_do"]


@dataclass(kw_only=True)
class PushSummary(PushOutcome):
    """What a push has done, or would do.

    Attributes:
        verdict: `dry_run`; or `complete`, `incomplete` (a line is not billed, or its state is unknown), `more_to_do`.
        requests: Number of API requests, retries included.
        token_requests: Number of requests for a token.
        errors: Errors that ended the push early.
    """

    verdict: Verdict
    requests: int = 0
    token_requests: int = 0
    errors: list[AutomatumError] = field(default_factory=list)

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
            cost=f"{plural(len(self.forecast.bodies), 'request')} needed"
            if self.forecast
            else plural(self.requests, "request"),
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
        return {
            "verdict": self.verdict,
            "requests": self.requests,
            "token_requests": self.token_requests,
            **outcome_figures(self),
            "resume_at": None if self.resume_at is None else instant(self.resume_at),
            "errors": [error.as_json() for error in self.errors],
        }
