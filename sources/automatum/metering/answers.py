"""Judges what the API answers to `POST /api/v1/metering`: which lines it took, refused, or leaves open (I5).

The vendor documents the envelope of its answers (`api/reference`), not what is in it after a POST of usage. So a line
is accepted only by the envelope with keys and words of a short list, and nothing else in it. Everything else is
`unknown`: nothing is sent again, and a person looks.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from ..core.redaction import redact
from ..core.text import letters_and_digits, printable
from .ledger.entries import Outcome
from .payloads import Body

YES_WORDS = frozenset(
    {"accepted", "confirmed", "created", "enqueued", "ok", "pending", "queued", "submitted", "success", "successful"}
)
"""Values of `status` and `message` that say yes. The setting `metering_yes_words` adds others."""
NO_WORDS: Mapping[str, Outcome] = {
    **dict.fromkeys(("declined", "error", "failed", "invalid", "refused", "rejected"), Outcome("unbilled")),
    **dict.fromkeys(("duplicate", "duplicaterecord", "conflict"), Outcome("conflict")),
}
"""Values of the status of one usage that say no: `conflict` if the marketplace has another record of it."""
WORD_HINT = "if that says that the usage was taken, add the word to sources.automatum.metering_yes_words"
_PLAIN_STATUSES = (200, 201, 202)
"""Statuses that speak of the whole body. 207 does not, and the others do not belong to a POST."""
_EMPTY_STATUSES = (201, 202, 204)
_RECEIPT = frozenset({"id", "meteringid", "createdat", "updatedat"})
_ERROR_KEYS = frozenset({"code", "message", "errors", "details"})
_ERROR_FIELDS = frozenset({"field", "message", "code"})
_NOTHING: tuple[Any, ...] = (None, "", [], {})


def judge(
    answer: Mapping[str, Any], status: int, body: Body, *, empty: bool = False, words: Collection[str] = ()
) -> tuple[Outcome, ...]:
    """Judge a 2xx answer.

    Args:
        answer: The JSON object; empty if the answer has no body.
        status: HTTP status, 2xx.
        body: The body that was sent.
        empty: Whether the answer has no body.
        words: Further words that say yes. A word that is known to say no still does.

    Returns:
        The outcome of each line of the body, in their order.
    """
    if empty:
        yes = status in _EMPTY_STATUSES
        return _all(body, Outcome("accepted") if yes else Outcome("unknown", f"the API answered {status}, and nothing"))
    known = YES_WORDS | {letters_and_digits(word) for word in words} - set(NO_WORDS) - {""}
    reader = _Reader(body, known)
    reader.read(answer, status)
    if not reader.doubts:
        return tuple(reader.refused.get(place, reader.others) for place in range(len(body.lines)))
    reason = redact(printable(f"the API answered {status} with {'; '.join(reader.doubts[:3])}"))
    hint = f"; {WORD_HINT}" if reader.new_words else ""
    return _all(body, Outcome("unknown", reason + hint))


def says_yes(text: str, words: Collection[str]) -> bool:
    """Whether an answer that is plain text consists of a word that the configuration names.

    The words that are known by default are not enough: a proxy's `OK` is plain text, too.
    """
    return bool(letters_and_digits(text)) and letters_and_digits(text) in {letters_and_digits(word) for word in words}


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
    except ValueError:
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


def _all(body: Body, outcome: Outcome) -> tuple[Outcome, ...]:
    return (outcome,) * len(body.lines)


class _Reader:
    """Reads an answer, and notes whatever is not in the short list.

    Args:
        body: The body that was sent.
        words: Words that say yes.

    Attributes:
        doubts: What is not in the list, for people. The texts of the answer may quote customers' data.
        refused: Outcomes of the lines that the answer refuses by name.
        others: Outcome of the other lines.
        new_words: Whether one of the doubts is a word that is not known.
    """

    def __init__(self, body: Body, words: frozenset[str]) -> None:
        self.doubts: list[str] = []
        self.refused: dict[int, Outcome] = {}
        self.others = Outcome("accepted")
        self.new_words = False
        self._words = words
        sent = json.loads(body.payload(), parse_float=Decimal, parse_int=Decimal)
        self._sent = _leaves(sent)
        self._usages: list[dict[str, Any]] = [_leaves(usage) for usage in self._sent.get("usages", ())]
        self._places = {line.dimension: place for place, line in enumerate(body.lines)}

    def read(self, answer: Mapping[str, Any], status: int) -> None:
        """Read the whole answer."""
        if status not in _PLAIN_STATUSES:
            self.doubts.append("a status that says nothing about the body as a whole")
        code = answer.get("code")
        if not _is_number(code) or not isinstance(answer.get("data"), Mapping):
            self.doubts.append("another form than `code` and `data`")
        for key, value in answer.items():
            if key == "message":
                self._read_word(key, value)
            elif key == "errors":
                self._expect(value in _NOTHING, key)
            elif key not in ("code", "data"):
                self.doubts.append(f"an unknown key {key[:40]!r}")
        data = answer.get("data")
        for key, value in (data if isinstance(data, Mapping) else {}).items():
            self._read_data(f"data.{key}"[:60], letters_and_digits(key), value)

    def _read_data(self, name: str, key: str, value: Any) -> None:
        if key in ("status", "message"):
            self._read_word(name, value)
        elif key in ("usages", "results"):
            self._read_usages(name, value)
        elif key in _RECEIPT:
            self._expect(isinstance(value, str) or _is_number(value), name)
        elif key == "errors":
            self._expect(value in _NOTHING, name)
        elif key in self._sent:
            self._expect(_is_equal(value, self._sent[key]), name)
        else:
            self.doubts.append(f"an unknown key {name!r}")

    def _read_word(self, name: str, value: Any) -> None:
        if not isinstance(value, str):
            self.doubts.append(name)
        elif letters_and_digits(value) not in self._words:
            self.new_words = self.new_words or letters_and_digits(value) not in NO_WORDS
            self.doubts.append(f"{name} {value.strip()[:60]!r}")

    def _read_usages(self, name: str, usages: Any) -> None:
        """Usages that the answer repeats, or a result for each of them. One that names all lines may refuse some."""
        items = usages if isinstance(usages, Sequence) and not isinstance(usages, str) else [None]
        places = [self._read_usage(name, item) for item in items]
        if sorted(place for place in places if place is not None) != list(range(len(self._places))):
            self.doubts.append(f"{name} that are not the usages that were sent")
        elif self.refused:
            self.others = Outcome("unknown", f"the API refused other usages of the call in {name}")

    def _read_usage(self, name: str, item: Any) -> int | None:
        """The position of the line that an item is about."""
        fields = {letters_and_digits(key): value for key, value in item.items()} if isinstance(item, Mapping) else {}
        keys = [key for key in ("apikey", "dimension") if isinstance(fields.get(key), str)]
        place = self._places.get(fields[keys[0]]) if len(keys) == 1 else None
        if place is None:
            return None
        sent = self._usages[place] if place < len(self._usages) else {}
        for key, value in fields.items():
            word = letters_and_digits(value) if isinstance(value, str) else ""
            if key == "status" and word in NO_WORDS:
                reason = f"the API answered {name} with the status {value.strip()!r}"
                self.refused[place] = Outcome(NO_WORDS[word].state, reason)
            elif key == "status":
                self._read_word(f"{name}.status", value)
            elif key not in keys:
                self._expect(key in sent and _is_equal(value, sent[key]), f"{name}.{key}"[:60])
        return place

    def _expect(self, known: bool, name: str) -> None:
        if not known:
            self.doubts.append(f"an unknown value in {name!r}")


def _leaves(value: Mapping[str, Any]) -> dict[str, Any]:
    """What was sent, by the plain name of each field: `customerId` for `customer.id`."""
    found: dict[str, Any] = {}
    for key, inside in value.items():
        if isinstance(inside, dict):
            found |= {(letters_and_digits(key) + name if name == "id" else name): one
                      for name, one in _leaves(inside).items()}  # fmt: skip
        else:
            found[letters_and_digits(key)] = inside
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


def _is_equal(value: Any, sent: Any) -> bool:
    """Whether a value is what was sent; numbers in any form."""
    if isinstance(value, (str, int, float, Decimal)) and not isinstance(value, bool):
        if value == sent:
            return True
        try:
            return Decimal(str(value)) == Decimal(str(sent))
        except InvalidOperation:
            return False
    return False
