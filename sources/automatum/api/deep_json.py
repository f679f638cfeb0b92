"""Parses JSON that is nested too deeply for the parsers that recurse."""

from __future__ import annotations

import json
import re
from json.decoder import JSONDecodeError
from typing import Any

from ..schema.numbers import parse_integer, parse_real

_BLANK = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_NUMBER = re.compile(r"(-?(?:0|[1-9]\d*))(\.\d+)?([eE][-+]?\d+)?", re.ASCII)
_WORDS = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}


def parse_deep_json(text: str) -> Any:
    """Parse JSON without recursion.

    Args:
        text: A JSON document.

    Raises:
        ValueError: The text is not JSON.
    """
    root: list[Any] = []
    levels: list[list[Any] | dict[str, Any]] = [root]
    at = _skip(text, 0)
    while True:
        inside = levels[-1]
        key = ""
        if isinstance(inside, dict):
            key, at = _key(text, at)
        if text[at : at + 1] in ("{", "["):
            value: Any = {} if text[at] == "{" else []
            at = _skip(text, at + 1)
            levels.append(value)
        else:
            value, at = _scalar(text, at)
            at = _skip(text, at)
        if isinstance(inside, dict):
            inside[key] = value
        else:
            inside.append(value)
        if levels[-1] is value and not _closes(text, at, value):
            continue
        while len(levels) > 1 and _closes(text, at, levels[-1]):
            levels.pop()
            at = _skip(text, at + 1)
        if len(levels) == 1:
            break
        if text[at : at + 1] != ",":
            raise JSONDecodeError("Expecting ',' delimiter", text, at)
        at = _skip(text, at + 1)
    if at != len(text):
        raise JSONDecodeError("Extra data", text, at)
    return root[0]


def _skip(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _closes(text: str, at: int, inside: Any) -> bool:
    return text[at : at + 1] == ("}" if isinstance(inside, dict) else "]")


def _key(text: str, at: int) -> tuple[str, int]:
    if text[at : at + 1] != '"':
        raise JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
    key, at = _scalar(text, at)
    at = _skip(text, at)
    if text[at : at + 1] != ":":
        raise JSONDecodeError("Expecting ':' delimiter", text, at)
    return key, _skip(text, at + 1)


def _scalar(text: str, at: int) -> tuple[Any, int]:
    if found := _STRING.match(text, at):
        return json.loads(found[0]), found.end()
    first = text[at : at + 1]
    if first in _WORDS and text.startswith(_WORDS[first][0], at):
        word, constant = _WORDS[first]
        return constant, at + len(word)
    number = _NUMBER.match(text, at)
    if not number:
        raise JSONDecodeError("Expecting value", text, at)
    integer = number[2] is None and number[3] is None
    return parse_integer(number[0]) if integer else parse_real(number[0]), number.end()
