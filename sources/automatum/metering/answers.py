"""Judges a 2xx answer to `POST /api/v1/metering`: which lines it accepts, refuses, or leaves open (I5).

The body of the answer is not documented. So a line is accepted only on words and shapes that are known to say yes, and
only if no part of the body says no. Everything else is `unknown`.

Sources of the words and shapes: the envelope of `api/reference`; the words of `guide/metering` and of the `metering.*`
events; AWS `BatchMeterUsage` (`Results[].Status`, `UnprocessedRecords`); Azure's batch usage events
(`result[].status`); JSend; GraphQL (`errors` beside `data`); RFC 9457 (`status`, `title`, `detail`); HTTP 207.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ..core.text import letters_and_digits
from .ledger.runs import CallState
from .payloads import Body

YES_WORDS = frozenset(
    {"accepted", "confirmed", "created", "enqueued", "ok", "queued", "submitted", "succeeded", "success", "successful"}
)
"""Values of a status that say yes. The setting `metering_yes_words` adds others."""
NO_WORDS = frozenset(
    {
        *("badargument", "cancelled", "canceled", "customernotsubscribed", "declined", "denied", "error", "expired"),
        *("fail", "failed", "failure", "invalid", "invaliddimension", "refused", "rejected", "resourcenotauthorized"),
        *("resourcenotfound", "unprocessed"),
    }
)
"""Values of a status that say no."""
TAKEN_WORDS = frozenset({"alreadyexists", "conflict", "duplicate", "duplicaterecord", "duplicaterequest"})
"""Values of a status that say that the marketplace has another record of the same key."""
WORD_HINT = "if that says that the usage was taken, add the word to sources.automatum.metering_yes_words"
_PARTLY = frozenset({"partial", "partialsuccess", "partiallyaccepted", "partiallyprocessed", "multistatus"})
_PLAIN_STATUSES = (200, 201, 202, 204)
"""Statuses that speak of the whole body. 207 does not, and the others do not belong to a POST."""
_EMPTY_STATUSES = (201, 202, 204)
_WRAPPERS = ("data", "result", "response")
_STATUS_KEYS = frozenset(
    {
        *("code", "disposition", "httpstatus", "httpstatuscode", "outcome", "responsecode", "result", "resultcode"),
        *("resultstatus", "returncode", "state", "status", "statuscode", "statustext"),
    }
)
_CODE_KEYS = frozenset({"code", "responsecode", "resultcode", "returncode"})
"""Status keys whose number need not be an HTTP status, so that 200 does not say yes."""
_YES_KEYS = frozenset(
    {
        *("accepted", "acceptedcount", "acknowledged", "ok", "processed", "processedcount", "success", "successcount"),
        *("successful", "succeeded", "issuccess", "issuccessful", "isvalid", "valid"),
    }
)
_TEXT_KEYS = frozenset(
    {"detail", "details", "info", "message", "messages", "msg", "note", "notice", "reason", "statusmessage", "warning"}
    | {"warnings"}
)
_NO_KEY = re.compile(
    r"error|fail|reject|invalid|unprocess|duplicate|denied|conflict|declin|exception|problem|skipped|dropped|ignored|"
    r"refus|unsuccess|unaccept|notaccept|cancel|missing|unauthor|forbidden|throttl|^faults?$|^expired"
)
_NO_TEXT = re.compile(
    r"\b(?:error|fail|reject|invalid|denied|declin|refus|forbidden|unauthori|unprocess|duplicate|conflict|expired|"
    r"exceed|cannot|can't|could not|couldn't|unable|not |no such|already|exception|missing|malformed|unknown|"
    r"unsuccess|throttl|dropped|skipped|ignored|cancel|bad request)",
    re.IGNORECASE,
)
_NO_NO = re.compile(r"\b(?:no|without|0|zero) (?:errors?|failures?)\b", re.IGNORECASE)
_DIMENSION_KEYS = frozenset({"apikey", "dimension", "dimensionid", "dimensionkey"})
_NOTHING = ("", "0", "false", "none", "null")


@dataclass(frozen=True)
class Judgement:
    """What an answer says about the lines of a body.

    Attributes:
        state: State of the lines that are not in `lines`.
        reason: Why it is not `accepted`, for people; empty otherwise.
        lines: Position in the body to state and reason, where the answer names a line.
    """

    state: CallState
    reason: str = ""
    lines: Mapping[int, tuple[CallState, str]] = field(default_factory=dict)


def judge(
    answer: Mapping[str, Any], status: int, body: Body, *, empty: bool = False, words: Collection[str] = ()
) -> Judgement:
    """Judge a 2xx answer.

    Args:
        answer: The JSON object; empty if the answer has no body.
        status: HTTP status, 2xx. The client has checked that the envelope's `code`, if any, means success too.
        body: The body that was sent.
        empty: Whether the answer has no body.
        words: Further values of a status that say yes. A word that is known to say no still does.
    """
    if empty:
        yes = status in _EMPTY_STATUSES
        return Judgement("accepted") if yes else Judgement("unknown", f"the API answered {status} without a body")
    known = YES_WORDS | {letters_and_digits(word) for word in words} - NO_WORDS - TAKEN_WORDS
    found = _Evidence(known, len(body.lines), envelope=True)
    named, rest, complete = _named_lines(answer, body, found)
    found.read(rest, shallow=True)
    said = f"the API answered {status}"
    if found.refusals or found.doubts or (found.partly and not complete):
        refused = {position: result for position, result in named.items() if result[0] != "accepted"}
        # Where the answer contradicts itself, also a line that it names as accepted is in doubt.
        state = found.state if len(refused) == len(named) else "unknown"
        hint = f"; {WORD_HINT}" if found.new_words and not found.refusals else ""
        return Judgement(state, f"{said} with {found.reason}{hint}", refused)
    if complete:
        return Judgement("unknown", f"{said} with results that do not name the line", named)
    if status not in _PLAIN_STATUSES:
        return Judgement("unknown", f"{said}, which says nothing about the body as a whole", named)
    if found.yes or _is_documented(answer, len(body.lines)):
        return Judgement("accepted", "", named)
    return Judgement("unknown", f"{said} without a word that is known to say yes", named)


def says_yes(text: str, words: Collection[str]) -> bool:
    """Whether an answer that is plain text consists of a word that the configuration names.

    The words that are known by default are not enough: a proxy's `OK` is plain text, too.
    """
    return bool(letters_and_digits(text)) and letters_and_digits(text) in {letters_and_digits(word) for word in words}


@dataclass
class _Evidence:
    """What the parts of an answer say.

    Attributes:
        words: Values of a status that say yes.
        size: Number of lines that were sent.
        envelope: Whether the part is the whole answer, whose `code` the client has checked.
        yes: Whether a part that speaks of the whole body says yes.
        any_yes: Whether any part says yes.
        whole: State that a known word says of the whole body; None without one.
        partly: Whether a word says that a part was accepted.
        refusals: Parts that say no.
        doubts: Parts whose meaning is not known.
        new_words: Whether one of the doubts is a word that is not known.
    """

    words: frozenset[str]
    size: int
    envelope: bool = False
    yes: bool = False
    any_yes: bool = False
    whole: CallState | None = None
    partly: bool = False
    refusals: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    new_words: bool = False

    @property
    def state(self) -> CallState:
        """State of what was refused: certain only if a known word says it of the whole, and nothing says otherwise."""
        return self.whole if self.whole and not (self.any_yes or self.doubts or self.partly) else "unknown"

    @property
    def reason(self) -> str:
        """The first parts that say no, for people."""
        return "; ".join([*self.refusals, *self.doubts][:3]) or "only a part accepted"

    def read(self, part: Any, name: str = "", *, shallow: bool = False) -> None:
        """Read a part and everything in it. Only shallow parts can say yes; every part can say no."""
        if isinstance(part, Mapping):
            keys = {letters_and_digits(str(key)) for key in part}
            # Usages that the answer repeats have a title, too.
            texts = _TEXT_KEYS if keys & _DIMENSION_KEYS else _TEXT_KEYS | {"title", "description"}
            for key, value in part.items():
                plain = letters_and_digits(str(key))
                self._read_field(f"{name}.{key}".lstrip("."), plain, value, shallow)
                if plain in texts and isinstance(value, str):
                    self._read_text(f"{name}.{key}".lstrip("."), value, shallow)
        elif isinstance(part, list):
            for item in part:
                if isinstance(item, str):
                    self._read_text(name, item, False)
                else:
                    self.read(item, name)

    def _read_field(self, name: str, key: str, value: Any, shallow: bool) -> None:
        if key in _STATUS_KEYS or (key == "data" and isinstance(value, str)):
            self._read_status(name, key, value, shallow)
        elif key in _YES_KEYS:
            self._read_flag(name, value, shallow)
        elif _NO_KEY.search(key) and not _is_nothing(value):
            self.refusals.append(name)
        if isinstance(value, (Mapping, list)):
            self.read(value, name, shallow=shallow and key in _WRAPPERS and isinstance(value, Mapping))

    def _read_status(self, name: str, key: str, value: Any, shallow: bool) -> None:
        number = _number(value)
        if isinstance(value, bool):
            self._read_flag(name, value, shallow)
        elif number is not None:
            # The client has checked the envelope's own code, which may be a configured one.
            if not 200 <= number < 300 and not (self.envelope and name == "code"):
                self.refusals.append(f"{name} {value}")
            elif key not in _CODE_KEYS:
                self._say_yes(shallow)
        elif isinstance(value, str):
            self._read_word(name, value, shallow)

    def _read_word(self, name: str, value: str, shallow: bool) -> None:
        word = letters_and_digits(value)
        if word in self.words:
            self._say_yes(shallow)
        elif word in _PARTLY and shallow:
            self.partly = True
        elif word in NO_WORDS | TAKEN_WORDS:
            self.refusals.append(f"{name} {value.strip()!r}")
            if shallow:
                self.whole = "conflict" if word in TAKEN_WORDS else "rejected"
        else:
            self.new_words = True
            self.doubts.append(f"{name} {value.strip()[:60]!r}")

    def _read_flag(self, name: str, value: Any, shallow: bool) -> None:
        number = _number(value)
        if value is True or (isinstance(value, str) and letters_and_digits(value) in ("true", "yes")):
            self._say_yes(shallow)
        elif _is_nothing(value) or value == "no":
            self.refusals.append(f"{name}: {str(value).lower()}")
        elif number is not None:
            if number == self.size:
                self._say_yes(shallow)
            else:
                self.doubts.append(f"{name} {value} of {self.size}")
        elif isinstance(value, str):
            self._read_word(name, value, shallow)

    def _read_text(self, name: str, value: str, shallow: bool) -> None:
        if _NO_TEXT.search(_NO_NO.sub("", value)):
            # The text itself may quote customers' data.
            self.refusals.append(f"a refusal in {name or 'its texts'}")
        elif letters_and_digits(value) in self.words:
            self._say_yes(shallow)

    def _say_yes(self, shallow: bool) -> None:
        self.any_yes = True
        self.yes = self.yes or shallow


def _named_lines(
    answer: Mapping[str, Any], body: Body, found: _Evidence
) -> tuple[dict[int, tuple[CallState, str]], dict[str, Any], bool]:
    """The lines that the answer names; the answer without these parts; and whether it has a result for each line."""
    named: dict[int, tuple[CallState, str]] = {}
    complete = False
    rest = dict(answer)
    for holder in _holders(rest):
        for key, part in list(holder.items()):
            if not isinstance(part, list) or not part:
                continue
            plain = letters_and_digits(key)
            if plain == "errors" and (at_fault := body.usages_at_fault(_fields(part))) is not None:
                _put(named, {position: ("rejected", problem) for position, problem in at_fault.items()})
            elif (by_dimension := _by_dimension(part, body)) is None:
                _note_results(key, part, found)
                continue
            elif _NO_KEY.search(plain):
                state: CallState = "unknown" if "unprocess" in plain else "rejected"
                _put(named, dict.fromkeys(by_dimension, (state, f"named in {key}")))
            elif _has_results(part, found):
                complete = True
                _put(named, {position: _result(item, found) for position, item in by_dimension.items()})
            else:
                continue
            del holder[key]
    return named, rest, complete


def _holders(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The object and the objects in its wrappers, copied, so that parts can be taken out."""
    yield answer
    for key in list(answer):
        if letters_and_digits(key) in _WRAPPERS and isinstance(answer[key], Mapping):
            answer[key] = dict(answer[key])
            yield from _holders(answer[key])


def _put(named: dict[int, tuple[CallState, str]], more: Mapping[int, tuple[CallState, str]]) -> None:
    """Add states of lines. `accepted` never wins over another state, and refusals that differ are unknown."""
    for position, (state, reason) in more.items():
        before = named.get(position)
        if before is None or before[0] == "accepted":
            named[position] = (state, reason)
        elif state not in ("accepted", before[0]):
            named[position] = ("unknown", f"{before[1]}; {reason}")


def _by_dimension(items: Sequence[Any], body: Body) -> dict[int, Mapping[str, Any]] | None:
    """Items by the position of the line whose dimension they name; None if one names none, or two name the same."""
    positions = {line.dimension: position for position, line in enumerate(body.lines)}
    found: dict[int, Mapping[str, Any]] = {}
    for item in items:
        names = set(_dimensions(item))
        position = positions.get(names.pop()) if len(names) == 1 else None
        if position is None or position in found:
            return None
        found[position] = item
    return found


def _dimensions(item: Any) -> Iterator[str]:
    if isinstance(item, Mapping):
        for key, value in item.items():
            if letters_and_digits(str(key)) in _DIMENSION_KEYS and isinstance(value, str):
                yield value
            elif isinstance(value, Mapping):
                yield from _dimensions(value)


def _evidence_of(item: Any, found: _Evidence) -> _Evidence:
    evidence = _Evidence(found.words, 1)
    evidence.read(item, shallow=True)
    return evidence


def _has_results(items: Sequence[Any], found: _Evidence) -> bool:
    read = [_evidence_of(item, found) for item in items]
    return any(evidence.yes or evidence.refusals or evidence.doubts or evidence.partly for evidence in read)


def _result(item: Mapping[str, Any], found: _Evidence) -> tuple[CallState, str]:
    """State and reason of the one line that an item is about."""
    evidence = _evidence_of(item, found)
    if evidence.refusals or evidence.doubts or evidence.partly:
        return evidence.state, evidence.reason
    return ("accepted", "") if evidence.yes else ("unknown", "its result says neither yes nor no")


def _note_results(key: str, items: Sequence[Any], found: _Evidence) -> None:
    """Take in results that do not say which lines they are about: they say yes only if all lines have one that does."""
    if all(isinstance(item, Mapping) for item in items) and _has_results(items, found):
        if len(items) == found.size and all(_result(item, found)[0] == "accepted" for item in items):
            found.yes = True
        else:
            found.doubts.append(f"{key} that do not say which lines they are about")


def _is_documented(answer: Mapping[str, Any], size: int) -> bool:
    """Whether the answer has the documented shape of a success: a `code` beside `data`."""
    data = answer.get("data")
    shape = isinstance(data, Mapping) or (isinstance(data, list) and len(data) == size)
    return shape and _number(answer.get("code")) is not None


def _fields(errors: Sequence[Any]) -> list[tuple[str, str]]:
    return [
        (str(error.get("field", "")), str(error.get("message", ""))) if isinstance(error, Mapping) else ("", "")
        for error in errors
    ]


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal, str)):
        return None
    return Decimal(str(value)) if re.fullmatch(r"\s*-?\d{1,9}(?:\.\d{1,9})?\s*", str(value)) else None


def _is_nothing(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in _NOTHING
    if isinstance(value, Mapping):
        return not any(isinstance(item, str) or not _is_nothing(item) for item in value.values())
    return not value
