"""Judges what the API answers to `POST /api/v1/metering`: which lines it took, refused, or leaves open (I5).

The vendor documents the envelope of its answers (`api/reference`), not what is in it after a POST of usage. So a line
is accepted only by the envelope with keys and words of a short list, and nothing else in it. Everything else is
`unknown`: nothing is sent again, and a person looks.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import Any

from ..core.redaction import redact
from ..core.text import letters_and_digits, printable
from .ledger.entries import Outcome
from .payloads import Body

YES_WORDS = frozenset(
    {"accepted", "confirmed", "created", "enqueued", "ok", "pending", "queued", "submitted", "success", "successful"}
)
"""Values of `status` and `message` that say yes. The setting `metering_yes_words` adds others."""
NO_WORDS = frozenset(
    {"conflict", "declined", "duplicate", "duplicaterecord", "error", "failed", "invalid", "refused", "rejected"}
)
"""Values that say no, whatever the setting adds."""
WORD_HINT = "if that says that the usage was taken, add the word to sources.automatum.metering_yes_words"
_PLAIN_STATUSES = (200, 201, 202)
"""Statuses that speak of the whole body. 207 does not, and the others do not belong to a POST."""
_RECEIPT = frozenset({"id", "meteringid", "createdat", "updatedat"})
_ERROR_KEYS = frozenset({"code", "message", "errors", "details"})
_ERROR_FIELDS = frozenset({"field", "message", "code"})
_NOTHING: tuple[Any, ...] = (None, "", [], {})


def judge(answer: Mapping[str, Any], status: int, body: Body, words: Collection[str] = ()) -> Outcome:
    """Judge a 2xx answer, for all lines of its body.

    Args:
        answer: The JSON object; empty if the answer has no body.
        status: HTTP status, 2xx.
        body: The body that was sent.
        words: Further words that say yes. A word that is known to say no still does.
    """
    known = YES_WORDS | {letters_and_digits(word) for word in words} - NO_WORDS - {""}
    if doubts := list(_doubts(answer, status, body, known)):
        reason = printable(f"the API answered {status} with {'; '.join(doubts[:3])}")
        return Outcome("unknown", redact(reason))
    return Outcome("accepted")


def refuses_all(content: bytes, status: int) -> bool:
    """Whether the answer to a refused call says nothing else, so that the API took no line of the body.

    That a refusal is atomic is an assumption. It does not hold where the answer has data, counts or results.

    Args:
        content: The answer.
        status: Its status, or the envelope's code. A 400, 409 or 422 judges the usage, and must have the documented
            form. Others may come from a proxy.
    """
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return status not in (400, 409, 422)
    if not isinstance(answer, dict):
        return False
    said = {key for key, value in answer.items() if value not in _NOTHING}
    errors = [answer.get(key) for key in ("errors", "details")]
    return said <= _ERROR_KEYS and isinstance(answer.get("message"), str) and all(map(_are_errors, errors))


def _are_errors(errors: Any) -> bool:
    if errors in _NOTHING or isinstance(errors, str):
        return True
    return isinstance(errors, list) and all(isinstance(one, dict) and set(one) <= _ERROR_FIELDS for one in errors)


def _doubts(answer: Mapping[str, Any], status: int, body: Body, words: frozenset[str]) -> Iterator[str]:
    """What of an answer is not in the short list, for people."""
    if status not in _PLAIN_STATUSES:
        yield "a status that says nothing about the body as a whole"
    data = answer.get("data")
    if not isinstance(data, Mapping) or not _is_number(answer.get("code")):
        yield "another form than `code` and `data`" if answer else "nothing in it"
        return
    sent = _fields(json.loads(body.payload(), parse_float=Decimal, parse_int=Decimal))
    top = [(key, key if key in ("message", "errors") else "", value) for key, value in answer.items()]
    fields = [field for field in top if field[0] not in ("code", "data")]
    for name, key, value in fields + [(f"data.{key}", letters_and_digits(key), value) for key, value in data.items()]:
        if key in ("status", "message"):
            yield from _word_doubts(name, value, words)
        elif not (
            (key == "errors" and value in _NOTHING)
            or (key in _RECEIPT and (isinstance(value, str) or _is_number(value)))
            or (key in sent and _repeats(value, sent[key]))
        ):
            yield f"something unknown in {name[:60]!r}"


def _word_doubts(name: str, value: Any, words: frozenset[str]) -> Iterator[str]:
    if not isinstance(value, str) or letters_and_digits(value) not in words:
        said = str(value).strip()[:60]
        yield f"{name} {said!r}" if letters_and_digits(said) in NO_WORDS else f"{name} {said!r}; {WORD_HINT}"


def _fields(value: Mapping[str, Any]) -> dict[str, Any]:
    """What was sent, by the plain name of each field and object: `customerid` for `details.customer.id`."""
    found: dict[str, Any] = {}
    for key, inside in value.items():
        plain = letters_and_digits(key)
        found[plain] = inside
        if isinstance(inside, dict):
            found |= {plain + name if name == "id" else name: one for name, one in _fields(inside).items()}
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


def _repeats(value: Any, sent: Any) -> bool:
    """Whether a value is what was sent."""
    if isinstance(value, Mapping) and isinstance(sent, dict):
        return value.keys() == sent.keys() and all(_repeats(inside, sent[key]) for key, inside in value.items())
    if isinstance(value, list) and isinstance(sent, list):
        return len(value) == len(sent) and all(map(_repeats, value, sent))
    return not isinstance(value, bool) and bool(value == sent)
