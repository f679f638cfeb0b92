"""JSON values to text: canonical for hashes, and for JSON columns in a form that every destination stores.

`orjson` writes nearly every value. It refuses integers beyond 64 bits, more than 254 levels, and half an emoji; such a
value is written here, without recursion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import orjson

from .numbers import INTEGERS, canonical, fits_json_column

DEEPEST = 500
"""Levels of a JSON column. What is nested deeper is a text in it: parsers of databases and of users have limits."""

_Default = Callable[[Any], Any]
_END = object()


def dumps(value: Any) -> bytes:
    """Canonical JSON: sorted keys, exact numbers, and one form for one number."""
    try:
        return orjson.dumps(value, default=_exact, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return b"".join(_pieces(value, _exact, None))


def canonical_json(record: Any) -> bytes:
    """Canonical JSON: sorted keys, exact numbers, and one form for one number.

    Raises:
        TypeError: The value is nested more than 254 levels deep, or holds NaN or Infinity.
    """
    return orjson.dumps(record, default=_exact, option=orjson.OPT_SORT_KEYS)


def column_text(value: Any) -> str:
    """JSON for a column. A number beyond the range of a double, and what is nested too deeply, is a text in it."""
    try:
        return orjson.dumps(value, default=_storable, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        return b"".join(_pieces(value, _storable, DEEPEST)).decode()


def _exact(value: Any) -> Any:
    if not isinstance(value, Decimal):
        raise TypeError(type(value).__name__)
    if not value.is_finite():
        raise TypeError("NaN and Infinity are not JSON")
    number = canonical(value)
    return number if isinstance(number, float) else orjson.Fragment(_digits(number))


def _storable(value: Any) -> Any:
    if not isinstance(value, Decimal):
        raise TypeError(type(value).__name__)
    number = canonical(value)
    if isinstance(number, float):
        return number
    return orjson.Fragment(_digits(number)) if fits_json_column(number) else str(number)


def _digits(number: Decimal) -> bytes:
    return (format(number, "f") if 0 <= number.adjusted() < 40 else str(number)).encode()


def _pieces(value: Any, default: _Default, deepest: int | None) -> Iterator[bytes]:
    """The JSON of a value of any depth, piece by piece."""
    levels: list[Iterator[Any]] = [iter((value,))]
    while levels:
        one = next(levels[-1], _END)
        if one is _END:
            levels.pop()
        elif isinstance(one, bytes):
            yield one
        elif not isinstance(one, (dict, list)):
            yield _leaf(one, default)
        elif deepest is not None and len(levels) > deepest:
            yield _leaf(dumps(one).decode(), default)
        else:
            levels.append(_entries(one))


def _entries(value: dict[str, Any] | list[Any]) -> Iterator[Any]:
    """The values inside an object or a list, and as bytes what is written around them."""
    if isinstance(value, dict):
        yield b"{"
        for i, key in enumerate(sorted(value)):
            yield (b"," if i else b"") + _leaf(key, _exact) + b":"
            yield value[key]
        yield b"}"
    else:
        yield b"["
        for i, one in enumerate(value):
            if i:
                yield b","
            yield one
        yield b"]"


def _leaf(value: Any, default: _Default) -> bytes:
    if isinstance(value, str):
        value = value.encode("utf-8", "replace").decode()
    elif isinstance(value, int) and not isinstance(value, bool) and value not in INTEGERS:
        value = Decimal(value)
    return orjson.dumps(value, default=default)
