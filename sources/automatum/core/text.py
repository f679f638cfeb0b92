"""Makes text from outside safe to print: a terminal obeys control characters, and format characters hide or reorder."""

from __future__ import annotations

import json
import re
import unicodedata

_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories: control (ESC, C1), format (bidirectional, zero width), surrogates, line and paragraph ends."""


def printable(text: str) -> str:
    r"""Return the text with every control and format character as its escape, such as `\x1b`. Keeps `\n` and `\t`."""
    if text.isprintable():  # The common case, without a look at each character.
        return text
    return "".join(
        one if one in "\n\t" or unicodedata.category(one) not in _UNSAFE else one.encode("unicode_escape").decode()
        for one in text
    )


def escape_json(text: str) -> str:
    r"""Return a JSON text whose control and format characters are escaped as JSON does, such as `\u202e`.

    It says the same to a program, and a terminal that shows it obeys none of them.
    """
    if text.replace("\n", "").isprintable():
        return text
    return "".join(
        one if one == "\n" or unicodedata.category(one) not in _UNSAFE else json.dumps(one)[1:-1] for one in text
    )


def is_utf8(text: str) -> bool:
    """Whether a text of the system, such as an argument or a path, was UTF-8. JSON has no character for other bytes."""
    return text.encode("utf-8", "ignore").decode() == text


def letters_and_digits(text: str) -> str:
    """Return the ASCII letters and digits of a text, in lower case: `Not_Accepted` is `notaccepted`."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def plural(count: int, noun: str, plural_noun: str = "") -> str:
    """A number with its noun: `1 row`, `2 rows`, `1,000 rows`; with an irregular plural if one is given."""
    return f"{count:,} {noun if count == 1 else plural_noun or noun + 's'}"
