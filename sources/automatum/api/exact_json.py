"""Parses JSON without losing a digit of a number."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from decimal import Decimal
from typing import Any

import orjson

# A float keeps 15 significant digits. Longer numbers are found in two steps: first any run of 16 digits and points,
# which costs a tenth of the parsing, then one outside of a string, which costs ten times as much.
_TO_ZEROS, _RUN = bytes.maketrans(b"123456789.", b"0" * 10), b"0" * 16
_EXACT = re.compile(rb"(?:^|[:\[,])\s*-?\d[\d.]{15}")
_UNSTORABLE = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\u0000"
)


def parse_json(content: bytes) -> Any:
    """Parse JSON. A number that a float cannot represent becomes an `int` or a `Decimal`.

    Raises:
        ValueError: The content is not JSON. NaN and Infinity are not JSON.
    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    if b"\\ud" in content or b"\\uD" in content or b"\\u0000" in content:
        # Half an emoji, as JavaScript cuts them, or a NUL. Not every database accepts them, so replace them rather than
        # lose the page.
        content = _UNSTORABLE.sub(lambda found: found[0] if len(found[0]) != 6 else b"\\ufffd", content)
    if _RUN not in content.translate(_TO_ZEROS) or not _EXACT.search(content):
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(content)
        # Not JSON, or a number such as 1e400 that exceeds a float. The exact parser decides.
    try:
        return json.loads(content.decode(), parse_float=Decimal, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is not JSON")
