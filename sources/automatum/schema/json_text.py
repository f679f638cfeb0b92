"""JSON values to text: one canonical form, for hashes and for JSON columns, that every destination stores.

One number has one value, however it was written and whatever else the answer has. A number that a double represents is
a `float`; an integer within 64 bits is an `int`; any other number is a `Decimal` with every digit. `12.5`, `12.50` and
`1.25e1` are one number, so a row has one hash.
"""

from __future__ import annotations

from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, InvalidOperation
from typing import Any

import orjson

INTEGERS = range(-(2**63), 2**64)
"""The integers that `orjson` writes."""
_LONGEST_INTEGER = 20
"""Characters of the longest integer within 64 bits."""
_MOST_EXPONENT = 308
"""Powers of ten within which a double lies, and within which every destination stores a number of a JSON column."""
_MOST_DIGITS = 1000
"""Digits up to which every destination stores a number of a JSON column; Postgres stores 16,383 after the point."""


def parse_integer(text: str) -> int | float | Decimal | str:
    """An integer of any length.

    Args:
        text: The integer as JSON writes it.
    """
    if len(text) <= _LONGEST_INTEGER and (number := int(text)) in INTEGERS:
        return number
    return parse_real(text)


def parse_real(text: str) -> float | Decimal | str:
    """A number of JSON; its text where even a `Decimal` cannot represent it (`1e99999999999999999999`).

    Args:
        text: The number as JSON writes it.
    """
    try:
        return canonical(Decimal(text))
    except InvalidOperation:
        factor = text.lower().partition("e")[0]
        return text if factor.strip("-0.") else float(factor)  # 0 with any exponent is 0.


def canonical(number: Decimal) -> float | Decimal:
    """The number as a float if that is exact, in the sense that its shortest decimal form is this number.

    Args:
        number: A finite number.
    """
    near = float(number)
    if Decimal(repr(near)) == number:
        return near
    digits = len(number.as_tuple().digits)
    return number.normalize(Context(prec=digits, Emin=MIN_EMIN, Emax=MAX_EMAX))


def plain_text(number: float | Decimal) -> str:
    """The number in digits, without an exponent unless it is very large or very small."""
    exact = Decimal(repr(number)) if isinstance(number, float) else number
    return format(exact, "f") if abs(exact.adjusted()) < 40 else str(exact)


def dumps(value: Any) -> bytes:
    """Canonical JSON, for hashes and for JSON columns: sorted keys, exact numbers, and one form for one number.

    A number that no destination stores in a JSON column is a text in it.

    Raises:
        TypeError: The value is nested more than 254 levels deep, or holds NaN or Infinity.
    """
    return orjson.dumps(value, default=_number, option=orjson.OPT_SORT_KEYS)


def _number(value: Any) -> Any:
    if not isinstance(value, Decimal):
        raise TypeError(type(value).__name__)
    if not value.is_finite():
        raise TypeError("NaN and Infinity are not JSON")
    number = canonical(value)
    if isinstance(number, float):
        return number
    if abs(number.adjusted()) > _MOST_EXPONENT or len(number.as_tuple().digits) > _MOST_DIGITS:
        return str(number)
    return orjson.Fragment(plain_text(number).encode())
