"""JSON values to Arrow arrays of a column's type.

A value that does not fit its column exactly is a misfit. The column gets the nearest value that fits (a rounded
decimal, the date of a timestamp) or null, and the caller keeps the original value elsewhere. Times are texts in the
extended form of ISO 8601: a number is no time, because 20260115 and 1768471200000 have several meanings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, time
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..endpoints import ColumnType
from .json_text import dumps, plain_text

Converted = tuple[Any, bool]
"""The value of a column, and whether it is exactly the value of the JSON."""
TIMESTAMP = pa.timestamp("us", tz="UTC")
DECIMAL = pa.decimal128(38, 9)
ARROW_TYPES: dict[str, pa.DataType] = {
    "text": pa.string(),
    "timestamp": TIMESTAMP,
    "date": pa.date32(),
    "decimal": DECIMAL,
    "bigint": pa.int64(),
    "bool": pa.bool_(),
    "json": pa.string(),  # Arrow has no type for JSON.
}

_MICROSECONDS = re.compile(r"(\.\d{6})(\d+)")
_FIRST, _LAST = (day.toordinal() - date(1970, 1, 1).toordinal() for day in (date.min, date.max))
"""First and last day that every destination stores and that Python can read again: years 1 to 9999."""
_OF_A_DAY = 86_400_000_000
"""Microseconds."""
_QUANTUM = Decimal(1).scaleb(-9)
_LARGEST = Decimal(10) ** 29
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_NUMBERS = ("decimal", "bool", "bigint")
_ROUNDING = Context(prec=60, rounding=ROUND_HALF_EVEN)


def json_array(values: Sequence[Any]) -> pa.Array:
    """A JSON column; what is empty is null."""
    if not any(values):
        return pa.nulls(len(values), pa.string())
    return pa.array([dumps(value) if value else None for value in values], pa.string())


def convert(values: Sequence[Any], type_: ColumnType) -> tuple[pa.Array, frozenset[int]]:
    """One column.

    Args:
        values: JSON values, None for absent or null.
        type_: Type of the column.

    Returns:
        The array, and the positions of the misfits.
    """
    fast = _fast(values, type_)
    if fast is not None:
        return fast, frozenset()
    one = _ONE[type_]
    kept: list[Any] = []
    misfits: set[int] = set()
    for position, value in enumerate(values):
        if value is None:
            kept.append(None)
            continue
        converted, exact = one(value)
        kept.append(converted)
        if not exact:
            misfits.add(position)
    return pa.array(kept, ARROW_TYPES[type_]), frozenset(misfits)


def _fast(values: Sequence[Any], type_: ColumnType) -> pa.Array | None:
    """The whole column at once, or None if a value has to be converted by itself."""
    try:
        if type_ in _NUMBERS:
            types = set(map(type, values)) - {type(None)}
            if not types:
                return pa.nulls(len(values), ARROW_TYPES[type_])
            if type_ == "decimal":
                return _decimals(values, types)
            # Arrow would take 2.5 for 2, and True for 1.
            return pa.array(values, ARROW_TYPES[type_]) if types == {bool if type_ == "bool" else int} else None
        text = pa.array(values, pa.string())
        if type_ == "text":
            return text
        if type_ == "date":
            days = pc.utf8_length(text)
            whole = not pc.any(pc.not_equal(days, 10)).as_py()
            return _within(text.cast(pa.date32()), pa.int32(), _FIRST, _LAST) if whole else None
        return _within(_moments(text), pa.int64(), _FIRST * _OF_A_DAY, (_LAST + 1) * _OF_A_DAY - 1)
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError, OverflowError):
        return None


def _decimals(values: Sequence[Any], types: set[type]) -> pa.Array | None:
    """The same for decimals. Arrow refuses what it would have to round, and digits that are too many.

    A number with an exponent that is too large becomes another number in Arrow (26), and 1e-224 becomes 0, without an
    error.
    """
    if types == {int}:
        return pa.array(values, pa.int64()).cast(DECIMAL)
    if types <= {int, float}:
        # Arrow refuses an integer that a double does not represent, and writes the shortest number for a double.
        doubles = pa.array(values, pa.float64())
        text = doubles.cast(pa.string())
        if pc.max(pc.abs(doubles)).as_py() >= float(_LARGEST) or pc.any(pc.match_substring(text, "e-")).as_py():
            return None
    elif types == {str}:
        if "e" in "".join(filter(None, values)).lower():
            return None
        text = pa.array(values, pa.string())
    else:
        return None
    return text.cast(DECIMAL)


def _moments(text: pa.Array) -> pa.Array:
    try:
        return text.cast(TIMESTAMP)
    except pa.ArrowInvalid:
        return text.cast(pa.timestamp("us")).cast(TIMESTAMP)  # Without a time zone, UTC.


def _within(array: pa.Array, whole: pa.DataType, first: int, last: int) -> pa.Array | None:
    """The array, if all its days or moments are from the first to the last."""
    ends = pc.min_max(array.cast(whole)).as_py()
    return array if ends["min"] is None or first <= ends["min"] <= ends["max"] <= last else None


def _text(value: Any) -> Converted:
    if isinstance(value, str):
        clean = value.encode("utf-8", "replace").decode()
        return clean, clean == value
    if isinstance(value, bool):
        return ("true" if value else "false"), True
    if isinstance(value, int):
        return str(value), True
    if isinstance(value, (float, Decimal)):
        return plain_text(value), True
    return None, False


def _timestamp(value: Any) -> Converted:
    if not isinstance(value, str):
        return None, False
    moment = _fast([_MICROSECONDS.sub(r"\1", value)], "timestamp")
    digits = _MICROSECONDS.search(value)
    return moment and moment[0].as_py(), moment is not None and not (digits and digits[2].strip("0"))


def _date(value: Any) -> Converted:
    """The day as it is written: with an offset, midnight is on the day before in UTC."""
    moment, exact = _timestamp(value)
    if moment is None:
        return None, False
    return date.fromisoformat(value[:10]), exact and moment.time() == time.min


def _decimal(value: Any) -> Converted:
    if isinstance(value, bool):
        return None, False
    if isinstance(value, str):
        value = value.strip()
        if not _NUMBER.fullmatch(value):
            return None, False
    elif not isinstance(value, (int, float, Decimal)):
        return None, False
    try:
        # A float is the double nearest to the number that was sent. Its repr is the shortest number for that double.
        number = Decimal(repr(value) if isinstance(value, float) else value)
        rounded = number.quantize(_QUANTUM, context=_ROUNDING)
        return (rounded, rounded == number) if abs(rounded) < _LARGEST else (None, False)
    except InvalidOperation:
        return None, False


def _bigint(value: Any) -> Converted:
    number, exact = _decimal(value)
    # What nine decimal places do not hold is not whole, whatever is left of it.
    if not exact or number != number.to_integral_value() or not -(2**63) <= number < 2**63:
        return None, False
    return int(number), True


def _bool(value: Any) -> Converted:
    if isinstance(value, bool):
        return value, True
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true", True
    return None, False


_ONE: dict[ColumnType, Callable[..., Converted]] = {
    "text": _text,
    "timestamp": _timestamp,
    "date": _date,
    "decimal": _decimal,
    "bigint": _bigint,
    "bool": _bool,
}
