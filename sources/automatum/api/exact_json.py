"""JSON without losing a digit."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from decimal import Decimal
from typing import Any

import orjson

# 15 significant digits survive a float. A run of 16 digits and points is looked for in two steps, as the first costs a
# tenth of parsing and the second ten times as much: anywhere, then where a number can stand outside of a string.
_TO_ZEROS, _RUN = bytes.maketrans(b"123456789.", b"0" * 10), b"0" * 16
_EXACT = re.compile(rb"(?:^|[:\[,])\s*-?\d[\d.]{15}")


_UNSTORABLE = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\u0000"
)


def parse_json(content: bytes) -> Any:
    """Parse JSON without losing a digit: numbers that a float cannot hold come as `int` or `Decimal`.

    Raises:
        ValueError: Not JSON; NaN and Infinity are not.
    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    if b"\\ud" in content or b"\\uD" in content or b"\\u0000" in content:
        # Half an emoji, as JavaScript cuts them, or a NUL. Not every database takes those, and the rest of the page
        # must not be lost for them.
        content = _UNSTORABLE.sub(lambda found: found[0] if len(found[0]) != 6 else b"\\ufffd", content)
    if _RUN not in content.translate(_TO_ZEROS) or not _EXACT.search(content):
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(content)
        # Not JSON; or it has a number like 1e400, which is JSON but beyond a float. The exact parser tells.
    try:
        return json.loads(content.decode(), parse_float=Decimal, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is not JSON")
