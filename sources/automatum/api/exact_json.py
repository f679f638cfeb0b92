"""Parses JSON without losing a digit of a number."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

import orjson

from ..schema.numbers import parse_integer, parse_real
from .deep_json import parse_deep_json

# A float keeps 15 significant digits. Longer numbers are found in two steps: first any run of 16 digits and points,
# which costs a tenth of the parsing, then one outside of a string, which costs ten times as much.
_TO_ZEROS, _RUN = bytes.maketrans(b"123456789.", b"0" * 10), b"0" * 16
_EXACT = re.compile(rb"(?:^|[:\[,])\s*-?\d[\d.]{15}")
_TINY = re.compile(rb"\d[eE]-0*[3-9]\d\d")
"""A number that is smaller than a float's smallest, which would be read as 0."""
_UNSTORABLE = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\u0000"
)


def parse_json(content: bytes) -> Any:
    """Parse JSON of any depth. A number that neither 64 bits nor a float represent becomes a `Decimal`.

    What a number becomes does not depend on the other numbers: see `schema.numbers`.

    Raises:
        ValueError: The content is not JSON. NaN and Infinity are not JSON.
    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    if b"\\ud" in content or b"\\uD" in content or b"\\u0000" in content:
        # Half an emoji, as JavaScript cuts them, or a NUL. Not every database accepts them, so replace them rather than
        # lose the page.
        content = _UNSTORABLE.sub(lambda found: found[0] if len(found[0]) != 6 else b"\\ufffd", content)
    long = _RUN in content.translate(_TO_ZEROS) and _EXACT.search(content)
    if not long and not ((b"e-" in content or b"E-" in content) and _TINY.search(content)):
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(content)
        # Not JSON, or a number such as 1e400 that exceeds a float. The exact parser decides.
    # A byte that is not UTF-8 costs its character, not the page.
    text = content.decode("utf-8", "replace")
    try:
        return json.loads(text, parse_float=parse_real, parse_int=parse_integer, parse_constant=_no_number)
    except RecursionError:
        return parse_deep_json(text)


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is not JSON")
