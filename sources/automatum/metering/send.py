"""Sends bodies, each at most once (I5).

Each attempt is claimed in the ledger right before its bytes are sent, and settled right after the answer. Lines that
the API certainly did not take (refused connection, 401, 429) are given back and sent again. Lines that it may have
taken become `unknown` and are not sent again. If a refusal names usages, only those are rejected; the rest of the body
is sent in a new body.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ..api.client import ApiResponse
from ..api.session import ApiSession
from ..core.clock import Clock, utc
from ..core.errors import AccessError, ApiUnreachable, AutomatumError, CredentialsRefused, MoreToDo, RequestRefused
from ..core.redaction import redact
from ..core.text import printable
from ..endpoints import METERING_SCOPE
from .answers import WORD_HINT, judge, says_yes
from .classify import too_late_reason
from .ledger.attempts import Attempt
from .ledger.runs import CallState, Run
from .model import Line, exact
from .payloads import Body
from .rules import LateOk, last_moment

logger = logging.getLogger("automatum")

MOST_UNKNOWN = 3
"""The push stops after so many unknown outcomes in a row, of this push or of earlier ones: a person has to look."""
UNKNOWN_PAUSE = timedelta(minutes=30)
"""So long no push sends anything after that. Then one body is tried, so that the push goes on if the API is well."""
MOST_REFUSED = 3
"""The push stops after so many customers in a row whose bodies are refused with a status such as 404."""
_ABOUT_THE_BODY = frozenset({400, 409, 413, 422})
"""Statuses that refuse this body only. Any other refusal may be about the customer, the path or the application."""
_NO_SCOPE = "insufficient scope"
"""The documented message of a 403 that meets every body."""
_TEXT = 500
_LONGEST_WORD = 60
_LONGEST_CONTENT = 20_000
"""Bytes of an answer that are redacted; the ledger stores fewer characters."""


@dataclass
class SendResult:
    """Outcomes of the lines that were sent.

    Attributes:
        bodies: Number of calls that the API answered, or may have taken.
        charged: Money of the accepted lines.
        accepted: Lines that the API accepted.
        rejected: Lines that the API refused, with its message.
        conflict: Lines that the API has already, with its message.
        unknown: Lines that the API may have taken, with what happened.
        expired: Lines that became too late before they could be sent.
        claimed_elsewhere: Lines that another push has claimed meanwhile.
        stopped: Error that ended the push before all bodies were sent.
    """

    bodies: int = 0
    charged: Decimal = Decimal(0)
    accepted: list[Line] = field(default_factory=list)
    rejected: list[tuple[Line, str]] = field(default_factory=list)
    conflict: list[tuple[Line, str]] = field(default_factory=list)
    unknown: list[tuple[Line, str]] = field(default_factory=list)
    expired: list[Line] = field(default_factory=list)
    claimed_elsewhere: list[Line] = field(default_factory=list)
    stopped: AutomatumError | None = None

    @property
    def done(self) -> int:
        """Number of lines that need not be sent any more."""
        refused = len(self.rejected) + len(self.conflict) + len(self.expired)
        return len(self.accepted) + refused + len(self.unknown) + len(self.claimed_elsewhere)


@dataclass(frozen=True, slots=True)
class _SetAside:
    """A body that the API refused with a status such as 404, and that was given back."""

    attempt: Attempt
    customer: str
    message: str
    error: AutomatumError


class _NotClaimed(Exception):
    """Not all lines of a body could be claimed, so the body must not be sent."""


class Sender:
    """Sends the bodies of a run.

    Args:
        session: The API.
        run: The ledger's run.
        clock: Time.
        late_ok: Also send what is past the strictest known deadline. The documented one holds all the same.
    """

    def __init__(self, session: ApiSession, run: Run, clock: Clock, late_ok: LateOk = False) -> None:
        self._result = SendResult()
        self._client, self._form = session.client, session.metering
        self._run = run
        self._clock = clock
        self._late_ok = late_ok
        self._queue: deque[Body] = deque()
        self._unknown_in_a_row = 0
        self._attempt: Attempt | None = None
        self._refused_before: set[str] = set()
        self._set_aside: list[_SetAside] = []
        self._refused_in_a_row: list[_SetAside] = []
        self._yes_words = tuple(session.settings.metering_yes_words or ())
        self._content = b""

    def send(self, bodies: Iterable[Body]) -> SendResult:
        """Send the bodies in order, those last that were refused before with a status such as 404.

        Lines that are not sent, because an error ended the push, stay planned.
        """
        self._refused_before = self._run.refused_before(_ABOUT_THE_BODY)
        self._queue.extend(sorted((replace(body, form=self._form) for body in bodies), key=self._was_refused))
        if self._queue:
            self._result.stopped = self._brake()
        while self._queue and not self._result.stopped:
            body = self._queue.popleft()
            unknown, done = len(self._result.unknown), self._result.done
            try:
                self._send(body)
            except AutomatumError as error:
                self._result.stopped = error
                break
            now_unknown = len(self._result.unknown) - unknown
            self._unknown_in_a_row += 0 < now_unknown == self._result.done - done
            if self._unknown_in_a_row >= MOST_UNKNOWN:
                self._result.stopped = _gave_up(self._form.path, self._result.unknown[-1][1], utc(self._clock.time()))
        self._settle_set_aside()
        return self._result

    def _brake(self) -> AutomatumError | None:
        """The error that keeps this push from sending, because the outcome of the latest calls is not known."""
        doubt = self._run.doubt()
        self._unknown_in_a_row = min(doubt.in_a_row, MOST_UNKNOWN - 1)
        if doubt.latest is None or doubt.in_a_row < MOST_UNKNOWN:
            return None
        paused = utc(self._clock.time()) < doubt.latest + UNKNOWN_PAUSE
        return _gave_up(self._form.path, doubt.error, doubt.latest) if paused else None

    def _send(self, body: Body) -> None:
        self._attempt, self._content = None, b""
        try:
            answer = self._client.post(
                self._form.path,
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
            self._settle_denial(body, error)
        except RequestRefused as error:
            self._settle_refusal(body, error)
        except ApiUnreachable as error:
            if not self._settle_lost(error):
                raise
        else:
            self._settle_answer(body, answer)

    def _put_aside(self, body: Body, error: AutomatumError, message: str, status: int | None) -> None:
        """Go on without a body, unless the API has refused several customers in a row: then it refuses every body."""
        attempt = self._attempt
        assert attempt is not None
        self._give_back(message, status)
        aside = _SetAside(attempt, body.lines[0].customer_id, message, error)
        self._set_aside.append(aside)
        if self._result.accepted and self._was_refused(body):
            return  # Refused before and after the API has accepted others.
        self._refused_in_a_row.append(aside)
        if len({refused.customer for refused in self._refused_in_a_row}) >= MOST_REFUSED:
            raise error

    def _was_refused(self, body: Body) -> bool:
        """Whether an earlier push has set the body aside."""
        return any(line.id in self._refused_before for line in body.lines)

    def _settle_set_aside(self) -> None:
        """Reject what was set aside, if the API has accepted other bodies. Otherwise the lines stay planned.

        A push that ended at refusals in a row does not know whether the last of them are about their customers.
        """
        stopped, accepted = self._result.stopped, bool(self._result.accepted)
        in_doubt = self._refused_in_a_row if stopped else []
        for aside in self._set_aside:
            if accepted and aside not in in_doubt:
                rejected = set(self._run.refuse(aside.attempt, aside.message))
                lines = [line for line in aside.attempt.lines if line.id in rejected]
                self._result.rejected += [(line, aside.message) for line in lines]
                self._result.bodies += 1
            elif self._result.stopped is None:
                self._result.stopped = aside.error

    def _expire(self, body: Body) -> bool:
        """Expire a body whose time has passed, also while the push waited for the rate limit; False if it has not."""
        now = utc(self._clock.time())
        if now < last_moment(body.lines[0], self._late_ok):
            return False
        expired = set(self._run.expire(body.lines, too_late_reason(body.lines[0], now)))
        self._result.expired += [line for line in body.lines if line.id in expired]
        self._result.claimed_elsewhere += [line for line in body.lines if line.id not in expired]
        return True

    def _claim(self, body: Body) -> None:
        if self._expire(body):
            raise _NotClaimed
        attempt = self._attempt = self._run.claim(body.id, body.lines)
        if attempt is not None and len(attempt.lines) == len(body.lines):
            return
        claimed = set(attempt.lines) if attempt else set()
        self._result.claimed_elsewhere += [line for line in body.lines if line not in claimed]
        if attempt is not None:
            self._give_back("Only some lines could be claimed; they are sent in a smaller body.")
            self._queue.appendleft(Body(attempt.lines, self._form))
        raise _NotClaimed

    def _give_back(
        self, error: str = "The API took nothing: refused connection, 401 or 429.", status: int | None = None
    ) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            self._run.give_back(attempt, error=error, status_code=status)

    def _settle_answer(self, body: Body, answer: ApiResponse) -> None:
        self._result.bodies += 1
        empty = not self._content.strip()
        found = judge(answer.body, answer.status, body, empty=empty, words=self._yes_words)
        facts: dict[str, Any] = {"status_code": answer.status, "reference": _reference(answer.body)}
        groups: dict[tuple[CallState, str], list[Line]] = {}
        for position, line in enumerate(body.lines):
            groups.setdefault(found.lines.get(position, (found.state, found.reason)), []).append(line)
        for (state, reason), lines in groups.items():
            kept = _text(answer.body) if state == "accepted" else self._kept_content()
            self._settle(state, lines, reason, response=kept, **facts)

    def _settle_denial(self, body: Body, error: AccessError) -> None:
        # Without a claim, it is about the token.
        about_all = isinstance(error, CredentialsRefused) or _NO_SCOPE in error.message.lower()
        if about_all or self._attempt is None:
            self._give_back(error.message)
            raise error
        self._put_aside(body, error, error.message, 403)

    def _settle_refusal(self, body: Body, error: RequestRefused) -> None:
        message = f"{error.status}: {error.detail}"
        if error.status not in _ABOUT_THE_BODY:
            self._put_aside(body, error, message, error.status)
            return
        self._result.bodies += 1
        state: CallState = "conflict" if error.status == 409 else "rejected"
        at_fault = body.usages_at_fault(error.fields)
        if at_fault is not None:
            for position, problem in at_fault.items():
                self._settle(state, [body.lines[position]], f"{error.status}: {problem}", status_code=error.status)
            self._requeue([_without(body.lines, at_fault)], message, error.status)
        elif error.status in (409, 413) and len(body.lines) > 1:
            # Halves of the body show which usage is in conflict, or how many usages are too many.
            middle = len(body.lines) // 2
            self._requeue([body.lines[:middle], body.lines[middle:]], message, error.status)
        else:
            self._settle(state, body.lines, message, status_code=error.status)

    def _requeue(self, parts: Sequence[Sequence[Line]], message: str, status: int | None) -> None:
        attempt = self._attempt
        rest = [line for part in parts for line in part]
        if attempt is not None and rest:
            self._run.give_back(attempt, rest, status_code=status, error=f"Sent in a new body after {message}")
        self._queue.extendleft(Body(tuple(part), self._form) for part in reversed(parts) if part)

    def _settle_lost(self, error: ApiUnreachable) -> bool:
        """Settle an attempt without an answer as unknown; False if it was given back, because nothing was sent."""
        attempt = self._attempt
        if attempt is None:
            return False
        self._result.bodies += 1
        message = f"{error.status or 'no answer'}: {error.detail}"
        kept = self._kept_content()
        if error.status in (200, 201, 202) and says_yes(kept or "", self._yes_words):
            self._settle("accepted", attempt.lines, "", status_code=error.status, response=kept)
            return True
        if error.status in (200, 201, 202) and kept and len(kept) <= _LONGEST_WORD and kept[0] not in "{[<":
            message += f"; {WORD_HINT}"
        self._settle("unknown", attempt.lines, message, status_code=error.status, response=kept)
        logger.warning("%s", error)
        return True

    def _kept_content(self) -> str | None:
        """The answer as the ledger keeps it: redacted and shortened; None if there was none."""
        text = self._content[:_LONGEST_CONTENT].decode("utf-8", "replace").strip()
        return redact(printable(text)) or None

    def _keep(self, content: bytes) -> None:
        self._content = content

    def _settle(
        self,
        state: CallState,
        lines: Sequence[Line],
        message: str,
        *,
        status_code: int | None = None,
        reference: str | None = None,
        response: str | None = None,
    ) -> None:
        attempt, result = self._attempt, self._result
        assert attempt is not None
        if not lines:
            return
        self._run.settle(
            attempt,
            state,
            lines,
            status_code=status_code,
            reference=reference,
            response=response,
            error=message or None,
        )
        if state != "unknown":
            self._unknown_in_a_row = 0
            self._refused_in_a_row.clear()
        if state == "accepted":
            result.accepted += lines
            for line in lines:
                result.charged = exact().add(result.charged, line.charged)
            return
        messages = {"rejected": result.rejected, "conflict": result.conflict, "unknown": result.unknown}
        messages[state] += [(line, message) for line in lines]


def _without(lines: Sequence[Line], positions: Mapping[int, str]) -> list[Line]:
    return [line for position, line in enumerate(lines) if position not in positions]


def _gave_up(path: str, message: str, latest: datetime) -> ApiUnreachable:
    return ApiUnreachable(
        "POST",
        path,
        None,
        f"the outcome of {MOST_UNKNOWN} calls in a row is not known (the last: {message})",
        "Lines that were not sent are still planned. Find out what is wrong with the API, resolve the unknown lines "
        f"(automatum push resolve), and push again. From {latest + UNKNOWN_PAUSE:%Y-%m-%d %H:%M} UTC on, a push tries "
        "one body all the same.",
    )


def _data(body: Mapping[str, Any]) -> Mapping[str, Any]:
    data = body.get("data")
    return data if isinstance(data, Mapping) else body


def _reference(body: Mapping[str, Any]) -> str | None:
    """Id that the API gave to the call. Its field name is not documented."""
    data = _data(body)
    found = next((data[name] for name in ("id", "meteringId", "metering_id", "requestId") if data.get(name)), None)
    return str(found)[:100] if isinstance(found, (str, int)) else None


def _text(body: Mapping[str, Any]) -> str | None:
    """The part of an answer that is stored: its status and messages, not the usages that it repeats."""
    data = _data(body)
    kept = {name: data[name] for name in ("id", "meteringId", "status", "message", "createdAt") if name in data}
    return str(kept)[:_TEXT] if kept else None
