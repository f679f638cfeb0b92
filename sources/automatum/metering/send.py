"""Sends bodies, each at most once (I5).

Each attempt is claimed in the ledger right before its bytes are sent, and its outcome is written right after the
answer. Lines that the API certainly did not take (refused connection, 401, 429) are given back and sent again. Lines
that it may have taken become `unknown` and are not sent again. If a refusal names usages, only those are refused; the
rest of the body is sent in a new body.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from ..api.http import ApiResponse
from ..api.session import ApiSession
from ..core.clock import utc
from ..core.errors import (
    AccessError,
    ApiUnreachable,
    AutomatumError,
    CredentialsRefused,
    MoreToDo,
    RequestRefused,
    ScopeMissing,
)
from ..core.redaction import redact
from ..core.text import printable
from ..endpoints import METERING_PATH, METERING_SCOPE
from .answers import judge, refuses_all
from .ledger.entries import Attempt, Outcome, State
from .ledger.ledger import Ledger
from .ledger.run import Run
from .model import Line
from .payloads import Body, bodies
from .rules import deadline

logger = logging.getLogger("automatum")

MOST_UNKNOWN = 3
"""The push stops after so many unknown outcomes in a row, of this push or of earlier ones: a person has to look."""
UNKNOWN_PAUSE = timedelta(minutes=30)
"""So long no push sends anything after that. Then one body is tried, so that the push goes on if the API is well."""
MOST_REFUSED = 5
"""The push stops after so many customers in a row whose bodies are refused with a status such as 404."""
_ABOUT_THE_BODY = frozenset({400, 409, 413, 422})
"""Statuses that refuse this body only. Any other refusal may be about the customer, the path or the application."""
_NO_SCOPE = "insufficient scope"
"""The documented message of a 403 that meets every body."""
_LONGEST_CONTENT = 20_000
"""Bytes of an answer that are redacted; the ledger stores fewer characters."""
_NOT_TAKEN = "The API took nothing: refused connection, 401 or 429."


@dataclass
class SendResult:
    """Outcomes of the lines that were sent.

    Attributes:
        bodies: Number of calls that the API answered, or may have taken.
        accepted: Lines that the API accepted.
        unbilled: Lines that the API refused, with its message.
        conflict: Lines that the API has already, with its message.
        unknown: Lines that the API may have taken, with what happened.
        expired: Lines that became too late before they could be sent, with the reason.
        elsewhere: Lines that another push has claimed meanwhile.
        stopped: Error that ended the push before all bodies were sent.
    """

    bodies: int = 0
    accepted: list[Line] = field(default_factory=list)
    unbilled: list[tuple[Line, str]] = field(default_factory=list)
    conflict: list[tuple[Line, str]] = field(default_factory=list)
    unknown: list[tuple[Line, str]] = field(default_factory=list)
    expired: list[tuple[Line, str]] = field(default_factory=list)
    elsewhere: list[Line] = field(default_factory=list)
    stopped: AutomatumError | None = None

    @property
    def done(self) -> int:
        """Number of lines that need not be sent any more."""
        open_ = (*self.unbilled, *self.conflict, *self.unknown, *self.expired)
        return len(self.accepted) + len(open_) + len(self.elsewhere)


class _NotClaimed(Exception):
    """Not all lines of a body could be claimed, so the body must not be sent."""


def require_metering(session: ApiSession) -> None:
    """Raise `ScopeMissing` if the token says that it does not grant `write:metering`."""
    granted = session.client.tokens.scopes()
    if granted is not None and METERING_SCOPE not in granted:
        raise ScopeMissing({"push": METERING_SCOPE}, granted)


def too_late(line: Line, now: datetime, late_ok: bool) -> str:
    """Why a line is too late to be sent, and whether `--late-ok` helps; "" if it is not."""
    if now < deadline(line, late_ok):
        return ""
    end = deadline(line, late_ok=True)
    if now >= end:
        return f"too late: {line.vendor} takes it until {end:%Y-%m-%d %H:%M} UTC, also with --late-ok"
    due = f"{deadline(line):%Y-%m-%d %H:%M} UTC"
    return f"too late: {line.vendor} takes it until {due} by the strictest known rule (--late-ok)"


class Sender:
    """Sends the bodies of a run.

    Args:
        session: The API.
        ledger: The ledger.
        run: The ledger's run.
        late_ok: Also send what is past the strictest known deadline. The documented one holds all the same.
        again: Ids of lines that are `unbilled` in the ledger, and may be sent.
        result: Result of an earlier run, to go on with.
    """

    def __init__(
        self,
        session: ApiSession,
        ledger: Ledger,
        run: Run,
        *,
        late_ok: bool = False,
        again: Collection[str] = (),
        result: SendResult | None = None,
    ) -> None:
        self._result = result or SendResult()
        self._client, self._clock, self._entitlement_at = session.client, session.clock, session.entitlement_at
        self._ledger, self._run, self._late_ok, self._again = ledger, run, late_ok, again
        self._queue: deque[Body] = deque()
        self._unknown_in_a_row = 0
        self._attempt: Attempt | None = None
        self._set_aside: list[tuple[Sequence[Line], str, AutomatumError]] = []
        self._yes_words = tuple(session.settings.metering_yes_words or ())
        self._content = b""

    def send(self, lines: Iterable[Line]) -> SendResult:
        """Send lines, those with the earliest deadline first."""
        result = self._result
        self._queue.extend(replace(body, entitlement_at=self._entitlement_at) for body in bodies(lines, self._now()))
        if self._queue:
            result.stopped = self._brake()
        while self._queue and not result.stopped:
            unknown, done = len(result.unknown), result.done
            try:
                self._send(self._queue.popleft())
            except AutomatumError as error:
                result.stopped = error
                break
            now_unknown = len(result.unknown) - unknown
            self._unknown_in_a_row += 0 < now_unknown == result.done - done
            if self._unknown_in_a_row >= MOST_UNKNOWN:
                result.stopped = _gave_up(result.unknown[-1][1], self._now())
        if self._set_aside and not result.stopped:
            if result.accepted:
                self._refuse_set_aside()
            else:
                result.stopped = self._set_aside[-1][2]
        return result

    @property
    def _claimed(self) -> bool:
        """Whether lines are claimed now. Without a claim, an error is about the token."""
        return self._attempt is not None

    def _now(self) -> datetime:
        return utc(self._clock.time())

    def _brake(self) -> AutomatumError | None:
        """The error that keeps this push from sending, because the outcome of the latest calls is not known."""
        calls = self._ledger.unknown_calls()
        self._unknown_in_a_row = min(len(calls), MOST_UNKNOWN - 1)
        if len(calls) < MOST_UNKNOWN:
            return None
        latest, error = calls[0]
        # A clock that was ahead once must not stop pushes until its time has come.
        paused = latest <= self._now() < latest + UNKNOWN_PAUSE
        return _gave_up(error, latest) if paused else None

    def _send(self, body: Body) -> None:
        self._attempt, self._content = None, b""
        try:
            answer = self._client.post(
                METERING_PATH,
                body.payload(),
                before=lambda: self._claim(body),
                not_taken=self._give_back,
                inspect=self._keep,
                scope=METERING_SCOPE,
            )
        except _NotClaimed:
            return
        except MoreToDo:
            raise  # before a claim, or after it was given back
        except AccessError as error:
            if isinstance(error, CredentialsRefused) or _NO_SCOPE in error.message.lower() or not self._claimed:
                self._give_back(error.message)
                raise
            self._read_refusal(body, error, 403, error.message)
        except RequestRefused as error:
            self._read_refusal(body, error, error.status or 400, f"{error.status}: {error.detail}", error.fields)
        except ApiUnreachable as error:
            if not self._claimed:
                raise  # it was given back, because nothing was sent
            self._read_failure(error)
        else:
            self._read_answer(body, answer)

    def _claim(self, body: Body) -> None:
        # Its time may have passed while the push waited for the rate limit.
        if late := too_late(body.lines[0], self._now(), self._late_ok):
            expired = [(line, late) for line in body.lines]
            self._run.record(expired=expired)
            self._result.expired += expired
            raise _NotClaimed
        attempt = self._attempt = self._run.claim(body.id, body.lines, self._again)
        if attempt is not None and len(attempt.lines) == len(body.lines):
            return
        claimed = {line.id for line in attempt.lines} if attempt else set()
        self._result.elsewhere += [line for line in body.lines if line.id not in claimed]
        if attempt is not None:
            self._give_back("Only some lines could be claimed; they are sent in a smaller body.")
            self._queue.appendleft(replace(body, lines=attempt.lines))
        raise _NotClaimed

    def _give_back(self, error: str = _NOT_TAKEN, status: int | None = None) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            self._run.give_back(attempt, error=error, status_code=status)

    def _read_answer(self, body: Body, answer: ApiResponse) -> None:
        outcome = judge(answer.body, answer.status, body, self._yes_words)
        self._end([(line, outcome) for line in body.lines], answer.status, _reference(answer.body))

    def _read_refusal(
        self, body: Body, error: AutomatumError, status: int, message: str, fields: Sequence[tuple[str, str]] = ()
    ) -> None:
        lines, state = body.lines, _REFUSED.get(status, "unbilled")
        at_fault = body.usages_at_fault(fields) if status in _ABOUT_THE_BODY else None
        named = {place: Outcome(state, f"{status}: {problem}") for place, problem in (at_fault or {}).items()}
        if not refuses_all(self._content, status):
            # The answer says more than no: of what it does not name, nothing is known.
            doubt = Outcome("unknown", f"{message}; the answer says more than that")
            self._end([(line, named.get(place, doubt)) for place, line in enumerate(lines)], status)
        elif status not in _ABOUT_THE_BODY:
            self._put_aside(lines, error, message, status)
        elif named:
            self._end([(lines[place], outcome) for place, outcome in named.items()], status)
            self._requeue([[line for place, line in enumerate(lines) if place not in named]], message, status)
        elif status in (409, 413) and len(lines) > 1:
            # Halves of the body show which usage is in conflict, or how many usages are too many.
            middle = len(lines) // 2
            self._requeue([lines[:middle], lines[middle:]], message, status)
        else:
            self._end([(line, Outcome(state, message)) for line in lines], status)

    def _requeue(self, parts: Sequence[Sequence[Line]], message: str, status: int) -> None:
        rest = [line for part in parts for line in part]
        if self._attempt is not None and rest:
            error = f"Sent in a new body after {message}"
            self._run.give_back(self._attempt, rest, status_code=status, error=error)
        self._queue.extendleft(Body(tuple(part), self._entitlement_at) for part in reversed(parts) if part)

    def _put_aside(self, lines: Sequence[Line], error: AutomatumError, message: str, status: int) -> None:
        """Go on without a body, unless the API has refused several customers in a row: then it refuses every body."""
        self._give_back(message, status)
        self._set_aside.append((lines, message, error))
        if len({lines[0].customer_id for lines, _, _ in self._set_aside}) >= MOST_REFUSED:
            raise error

    def _refuse_set_aside(self) -> None:
        """The API has accepted another body: so the refusals before it were about their customers."""
        refused = [(line, message) for lines, message, _ in self._set_aside for line in lines]
        self._run.record(rejected=refused)
        self._result.unbilled += refused
        self._result.bodies += len(self._set_aside)
        self._set_aside.clear()

    def _read_failure(self, error: ApiUnreachable) -> None:
        """End an attempt without a usable answer as unknown."""
        assert self._attempt is not None
        message = f"{error.status or 'no answer'}: {error.detail}"
        logger.warning("%s", error)
        self._end([(line, Outcome("unknown", message)) for line in self._attempt.lines], error.status)

    def _kept_content(self) -> str:
        """The answer as the ledger keeps it: redacted and shortened."""
        text = self._content[:_LONGEST_CONTENT].decode("utf-8", "replace").strip()
        return redact(printable(text))

    def _keep(self, content: bytes) -> None:
        self._content = content

    def _end(self, outcomes: Sequence[tuple[Line, Outcome]], status: int | None, reference: str | None = None) -> None:
        """Write the outcomes of lines of the attempt."""
        attempt, result = self._attempt, self._result
        assert attempt is not None
        self._run.answer(
            attempt,
            {line.id: outcome for line, outcome in outcomes},
            status_code=status,
            reference=reference,
            response=self._kept_content(),
        )
        result.bodies += 1
        groups = {"unbilled": result.unbilled, "conflict": result.conflict, "unknown": result.unknown}
        for line, outcome in outcomes:
            if outcome.state == "accepted":
                result.accepted.append(line)
            else:
                groups[outcome.state].append((line, outcome.error))
        states = {outcome.state for _, outcome in outcomes}
        if states != {"unknown"}:
            self._unknown_in_a_row = 0
        if "accepted" in states and self._set_aside:
            self._refuse_set_aside()


_REFUSED: Mapping[int, State] = {409: "conflict"}
"""States of lines that a status refuses, where that is not `unbilled`."""


def _gave_up(message: str, latest: datetime) -> ApiUnreachable:
    return ApiUnreachable(
        "POST",
        METERING_PATH,
        None,
        f"the outcome of {MOST_UNKNOWN} calls in a row is not known (the last: {message})",
        "Find out what is wrong with the API, decide about the unknown lines (automatum push settle), and push again. "
        f"From {latest + UNKNOWN_PAUSE:%Y-%m-%d %H:%M} UTC on, a push tries one body all the same.",
    )


def _reference(body: Mapping[str, Any]) -> str | None:
    """Id that the API gave to the call, by which its events are applied."""
    data = body.get("data")
    data = data if isinstance(data, Mapping) else {}
    found = next((data[name] for name in ("meteringId", "metering_id", "id") if data.get(name)), None)
    return str(found)[:100] if isinstance(found, (str, int)) else None
