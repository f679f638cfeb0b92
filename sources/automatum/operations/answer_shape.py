"""Where an answer of any shape has its records, and its shape in words: names and types, no values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..endpoints import WHOLE, Endpoint
from ..schema.records import Record, dig

_DEPTH = 4
_MOST_NAMES = 30
_PLAIN_NAME = re.compile(r"[A-Za-z_$][A-Za-z_$0-9-]{0,60}")
_DIGITS = re.compile(r"\d{4}")
_TYPES = {dict: "object", list: "list", str: "text", bool: "true or false", int: "number", float: "number"}


def records_in(endpoint: Endpoint, body: Mapping[str, Any]) -> list[Record]:
    """The records of an answer: the objects of the list at the first of the endpoint's paths that has one.

    Args:
        endpoint: The endpoint.
        body: The answer.
    """
    path = next((path for path in endpoint.records if isinstance(dig(body, path), list)), None)
    return [] if path is None else objects_at(body, path)


def objects_at(body: Mapping[str, Any], path: str) -> list[Record]:
    """The objects of the list at a dotted path; none if there is no list."""
    entries = dig(body, path)
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def find_lists(body: Mapping[str, Any]) -> list[str]:
    """Dotted paths of the lists of objects in an answer, the longest list first, then the nearest to the top.

    Args:
        body: The answer; an answer that is an array itself is at `$`.
    """
    found = [(len(value), path) for path, value in _lists(body) if all(isinstance(one, dict) for one in value)]
    found.sort(key=lambda entry: (entry[0] == 0, -entry[0], entry[1].count("."), entry[1]))
    return [path for _, path in found]


def find_object(body: Mapping[str, Any], has: Any, name: str) -> str:
    """Dotted path of the object that has this value in a field; `$` for the answer itself; empty if there is none.

    Args:
        body: The answer.
        has: The value.
        name: Dotted path of the field in the object.
    """
    for path, inner in [(WHOLE, body), *_objects(body)]:
        if dig(inner, name) is not None and str(dig(inner, name)) == str(has):
            return path
    return ""


def shape_of(value: Any, depth: int = 2) -> str:
    """The shape of a JSON value in words. It shows names of fields that look like names, and no values."""
    if isinstance(value, Mapping):
        if not depth or not value:
            return "object" if value else "empty object"
        if WHOLE in value:
            return shape_of(value[WHOLE], depth)
        names = list(value)
        shown = [f"{_shown(name)}: {shape_of(value[name], depth - 1)}" for name in names[:_MOST_NAMES]]
        more = [f"{len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES else []
        return f"{{{', '.join([*shown, *more])}}}"
    if isinstance(value, list):
        return f"list of {len(value)} {shape_of(value[0], depth - 1)}" if value else "empty list"
    return "null" if value is None else _TYPES.get(type(value), "number")


def safe_name(path: str) -> str:
    """The dotted path of a field, without steps that look like values: an object may have ids or addresses as names."""
    return ".".join(map(_shown, path.split(".")))


def _shown(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) and not _DIGITS.search(name) else "<name>"


def _lists(body: Mapping[str, Any], above: str = "", depth: int = _DEPTH) -> Iterator[tuple[str, list[Any]]]:
    for name, value in body.items():
        if isinstance(value, list):
            yield above + name, value
        elif isinstance(value, Mapping) and depth and "." not in name:
            yield from _lists(value, f"{above}{name}.", depth - 1)


def _objects(body: Mapping[str, Any], above: str = "", depth: int = 2) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, value in body.items():
        if isinstance(value, Mapping) and "." not in name:
            yield above + name, value
            if depth:
                yield from _objects(value, f"{above}{name}.", depth - 1)
