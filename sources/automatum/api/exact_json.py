"""Parses JSON without losing a digit of a number."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from decimal import Decimal
from typing import Any

import orjson

from ..schema.json_text import parse_integer, parse_real

DEEPEST = 500
"""Levels of a body that are read. JSON of more becomes NaN, as the parsers recurse."""
# A float keeps 15 significant digits, and no number near 0. Numbers that it might not keep are looked for in a copy in
# which each digit and each point is a 0, so that the patterns begin with fixed text: that is ten times as fast as a
# pattern for digits, and takes half of the time of the parsing. A false alarm costs time only.
_TO_ZEROS, _RUN = bytes.maketrans(b"123456789.E", b"0" * 10 + b"e"), b"0" * 16
_LONG = re.compile(rb"0000000000000000(?:(?<=[\s:\[,]0{16})|(?<=[\s:\[,]-0{16}))")
"""At least 16 digits that begin like a number, not like a part of a text."""
_TINY = re.compile(rb"e-000(?<=0e-000)0*(?:[\s,}\]]|\Z)")
"""A number with an exponent that may be smaller than a float's smallest. A UUID does not end like one."""
_ESCAPED = re.compile(rb"\\u(?:0000|[dD])")
_UNSTORABLE = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\u0000"
)
_LEVELS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{\]}]', re.DOTALL)


def parse_json(content: bytes) -> Any:
    """Parse JSON. A number that neither 64 bits nor a float represent becomes a `Decimal`.

    What a number becomes does not depend on the other numbers: see `schema.json_text`. NaN, Infinity, and what is
    nested more than `DEEPEST` levels deep, become a `Decimal` that is not finite: they cost a record, not a page.

    Raises:
        ValueError: The content is not JSON.
    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    if b"\\" in content and _ESCAPED.search(content):
        # Half an emoji, as JavaScript cuts them, or a NUL. Not every database accepts them, so replace them rather than
        # lose the page.
        content = _UNSTORABLE.sub(lambda found: found[0] if len(found[0]) != 6 else b"\\ufffd", content)
    if not _may_lose_digits(content):
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(content)
        # Not JSON, or a number such as 1e400 that exceeds a float. The exact parser decides.
    try:
        return _parse_exactly(content)
    except RecursionError:
        return _parse_exactly(_without_depths(content))


def _parse_exactly(content: bytes) -> Any:
    # A byte that is not UTF-8 costs its character, not the page.
    text = content.decode("utf-8", "replace")
    return json.loads(text, parse_float=parse_real, parse_int=parse_integer, parse_constant=Decimal)


def _without_depths(content: bytes) -> bytes:
    """The JSON with NaN in place of what is nested too deeply."""
    pieces, level, start = [], 0, 0
    for found in _LEVELS.finditer(content):
        if found[0] in (b"{", b"["):
            level += 1
            if level == DEEPEST + 1:
                pieces.append(content[start : found.start()])
        elif found[0] in (b"}", b"]"):
            level -= 1
            if level == DEEPEST:
                pieces.append(b"NaN")
                start = found.end()
    return b"".join((*pieces, content[start:])) if level <= DEEPEST else b""


def _may_lose_digits(content: bytes) -> bool:
    zeros = content.translate(_TO_ZEROS)
    long = _RUN in zeros and (zeros.startswith((_RUN, b"-" + _RUN)) or _LONG.search(zeros))
    return bool(long or _TINY.search(zeros))
