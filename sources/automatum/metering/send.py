"""Sends bodies, each at most once (I5).

Each attempt is claimed in the ledger right before its bytes leave, and settled right after. What the API certainly did
not take (a refused connection, a 401, a 429) is given back and goes again; what it may have taken is `unknown` and does
not. A refusal that names usages rejects those; the rest of the body goes out in a new one.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ..api.client import ApiClient, ApiResponse
from ..core.errors import AccessError, ApiUnreachable, AutomatumError, MoreToDo, RequestRefused
from ..endpoints import METERING_PATH
from .ledger.runs import Attempt, Run
from .model import Line, exact
from .payloads import Body

logger = logging.getLogger("automatum")

MOST_UNKNOWN = 3
"""Calls in a row whose outcome is not known, after which no more are made: each costs a human a look."""
_ABOUT_THE_BODY = frozenset({400, 409, 413, 422})
"""Refusals that another body may not meet. With any other, every body would."""
_REFUSED_WORDS = frozenset({"failed", "rejected", "error", "invalid", "expired", "duplicate"})
_TEXT = 500


@dataclass
class SendResult:
    """What became of lines.

    Attributes:
        bodies: Calls that the API answered, or may have taken.
        charged: What the accepted lines cost.
        accepted: Lines that the API took.
        refused: Lines that it refused, with its words.
        conflict: Lines of which it says that it has them already, with its words.
        unknown: Lines that it may have taken, with what happened.
        taken: Lines that another push has taken meanwhile.
        stopped: What ended it before all was sent.
    """

    bodies: int = 0
    charged: Decimal = Decimal(0)
    accepted: list[Line] = field(default_factory=list)
    refused: list[tuple[Line, str]] = field(default_factory=list)
    conflict: list[tuple[Line, str]] = field(default_factory=list)
    unknown: list[tuple[Line, str]] = field(default_factory=list)
    taken: list[Line] = field(default_factory=list)
    stopped: AutomatumError | None = None


class _Claimed(Exception):
    """Not all lines of a body could be claimed, so that what was to be sent is not what may be sent."""


class Sender:
    """One run's way through its bodies.

    Args:
        client: The way to the API.
        run: The ledger's run.
    """

    def __init__(self, client: ApiClient, run: Run) -> None:
        self.sent = SendResult()
        self._client = client
        self._run = run
        self._todo: deque[Body] = deque()
        self._in_a_row = 0
        self._attempt: Attempt | None = None

    def send(self, bodies: Iterable[Body]) -> SendResult:
        """Send them in order. What ends it early is in `SendResult.stopped`; what was not sent stays planned."""
        self._todo.extend(bodies)
        while self._todo:
            body = self._todo.popleft()
            try:
                self._send(body)
            except AutomatumError as error:
                self.sent.stopped = error
                break
            if self._in_a_row >= MOST_UNKNOWN:
                self.sent.stopped = _given_up(self.sent.unknown[-1][1])
                break
        return self.sent

    def _send(self, body: Body) -> None:
        self._attempt = None
        try:
            answer = self._client.post(
                METERING_PATH, body.payload(), before=lambda: self._claim(body), not_taken=self._give_back
            )
        except _Claimed:
            return
        except MoreToDo:
            raise  # before a claim, or after it was given back
        except AccessError as error:
            self._give_back(error.message)
            raise
        except RequestRefused as error:
            self._refused(body, error)
        except ApiUnreachable as error:
            if not self._lost(error):
                raise
        else:
            self._answered(body, answer)

    def _claim(self, body: Body) -> None:
        attempt = self._attempt = self._run.claim(body.id, body.lines)
        if attempt is not None and len(attempt.lines) == len(body.lines):
            return
        mine = set(attempt.lines) if attempt else set()
        self.sent.taken += [line for line in body.lines if line not in mine]
        if attempt is not None:
            self._give_back("Claimed in part only; goes out in a smaller body.")
            self._todo.appendleft(Body(attempt.lines))
        raise _Claimed

    def _give_back(self, error: str = "The API took nothing: refused connection, 401 or 429.") -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            self._run.give_back(attempt, error=error)

    def _answered(self, body: Body, answer: ApiResponse) -> None:
        self.sent.bodies += 1
        reference, word = _reference(answer.body), _word(answer.body)
        facts: dict[str, Any] = {"status_code": answer.status, "reference": reference, "response": _text(answer.body)}
        errors = answer.body.get("errors")
        if word in _REFUSED_WORDS:
            self._settle("rejected", body.lines, f"the API answered {answer.status} with the status {word!r}", **facts)
        elif answer.body.get("success") is False:
            said = f"the API answered {answer.status}, and that it was no success"
            self._settle("unknown", body.lines, said, **facts)
        elif isinstance(errors, list) and errors:
            # A yes with exceptions: those that it names were refused. If it names none, nobody knows.
            at_fault = body.positions(_fields(errors))
            said = f"the API answered {answer.status} with errors that name no usage"
            if at_fault is None:
                self._settle("unknown", body.lines, said, **facts)
                return
            for position, message in at_fault.items():
                self._settle("rejected", [body.lines[position]], message, **facts)
            self._settle("accepted", _without(body.lines, at_fault), "", **facts)
        else:
            self._settle("accepted", body.lines, "", **facts)

    def _refused(self, body: Body, error: RequestRefused) -> None:
        if error.status not in _ABOUT_THE_BODY:
            self._give_back(f"{error.status}: {error.detail}")
            raise error
        self.sent.bodies += 1
        said, state = f"{error.status}: {error.detail}", "conflict" if error.status == 409 else "rejected"
        at_fault = body.positions(error.fields)
        if at_fault is not None:
            for position, message in at_fault.items():
                self._settle(state, [body.lines[position]], f"{error.status}: {message}", status_code=error.status)
            self._again([_without(body.lines, at_fault)], said, error.status)
        elif error.status in (409, 413) and len(body.lines) > 1:
            # Which usage it is about, or how many are too many, shows when there are fewer.
            middle = len(body.lines) // 2
            self._again([body.lines[:middle], body.lines[middle:]], said, error.status)
        else:
            self._settle(state, body.lines, said, status_code=error.status)

    def _again(self, parts: Sequence[Sequence[Line]], said: str, status: int | None) -> None:
        attempt = self._attempt
        rest = [line for part in parts for line in part]
        if attempt is not None and rest:
            self._run.give_back(attempt, rest, status_code=status, error=f"Goes out in a new body after {said}")
        self._todo.extendleft(Body(tuple(part)) for part in reversed(parts) if part)

    def _lost(self, error: ApiUnreachable) -> bool:
        """Nobody knows whether it was taken; False if it was given back, as the API could not be reached at all."""
        attempt = self._attempt
        if attempt is None:
            return False
        self.sent.bodies += 1
        said = f"{error.status or 'no answer'}: {error.detail}"
        self._settle("unknown", attempt.lines, said, status_code=error.status)
        logger.warning("%s", error)
        return True

    def _settle(
        self,
        state: str,
        lines: Sequence[Line],
        said: str,
        *,
        status_code: int | None = None,
        reference: str | None = None,
        response: str | None = None,
    ) -> None:
        attempt, sent = self._attempt, self.sent
        assert attempt is not None
        if not lines:
            return
        self._run.settle(
            attempt,
            state,  # type: ignore[arg-type]
            lines,
            status_code=status_code,
            reference=reference,
            response=response,
            error=said or None,
        )
        if state == "unknown":
            self._in_a_row += 1
        else:
            self._in_a_row = 0
        if state == "accepted":
            sent.accepted += lines
            for line in lines:
                sent.charged = exact().add(sent.charged, line.charged)
        else:
            pairs = {"rejected": sent.refused, "conflict": sent.conflict, "unknown": sent.unknown}[state]
            pairs += [(line, said) for line in lines]


def _without(lines: Sequence[Line], positions: Mapping[int, str]) -> list[Line]:
    return [line for place, line in enumerate(lines) if place not in positions]


def _given_up(said: str) -> ApiUnreachable:
    return ApiUnreachable(
        "POST",
        METERING_PATH,
        None,
        f"the outcome of {MOST_UNKNOWN} calls in a row is not known (the last: {said})",
        "No more were made; what was not sent is still planned. Find out what the API does, settle the unknown lines "
        "(automatum push resolve), and push again.",
    )


def _data(body: Mapping[str, Any]) -> Mapping[str, Any]:
    data = body.get("data")
    return data if isinstance(data, Mapping) else body


def _reference(body: Mapping[str, Any]) -> str | None:
    """The id that the API gave to the call; its name is not documented."""
    data = _data(body)
    found = next((data[name] for name in ("id", "meteringId", "metering_id", "requestId") if data.get(name)), None)
    return str(found)[:100] if isinstance(found, (str, int)) else None


def _word(body: Mapping[str, Any]) -> str:
    word = _data(body).get("status")
    return word.strip().lower() if isinstance(word, str) else ""


def _fields(errors: Sequence[Any]) -> list[tuple[str, str]]:
    return [(str(one.get("field", "")), str(one.get("message", ""))) for one in errors if isinstance(one, Mapping)]


def _text(body: Mapping[str, Any]) -> str | None:
    """What is kept of an answer: its words, not the usages that it repeats."""
    data = _data(body)
    kept = {name: data[name] for name in ("id", "meteringId", "status", "message", "createdAt") if name in data}
    return str(kept)[:_TEXT] if kept else None
