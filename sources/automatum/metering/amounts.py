"""Quantities and prices as sources write them, to exact decimals."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from .moments import Misread

_PLAIN = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)")
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}([,' ’_.][0-9]{3})+([.,][0-9]+)?|[+-]?[0-9]+,[0-9]+")
_EXPONENT = re.compile(r"[+-]?[0-9.]+[eE][+-]?[0-9]+")
_LONGEST = 60
"""Digits; far beyond what any rule admits, and short enough to be written out."""
_CERTAIN = 15
"""Significant digits that a binary double holds for sure (IEEE 754)."""


def read_amount(value: Any) -> Decimal:
    """A quantity or a price, exactly as the source has it.

    Args:
        value: An int, a Decimal, plain decimal text such as `0.01`, or a float of at most 15 significant digits: with
            more, it is the rest of a calculation, and what was meant cannot be told.

    Returns:
        A finite number, not negative, without an exponent above 0.

    Raises:
        Misread: It is none of these; the message goes behind the column's name.
    """
    number = _number(value)
    if not number.is_finite():
        raise Misread(f"{number} is not a number")
    if number.is_zero():
        return Decimal(0)
    if number < 0:
        raise Misread(f"{_shown(value)} is negative")
    exponent = int(number.as_tuple().exponent)
    if abs(number.adjusted()) > _LONGEST or abs(exponent) > _LONGEST:
        raise Misread(f"{_shown(value)} has too many digits")
    # Written out: 1E+3 is 1000.
    return Decimal(format(number, "f")) if exponent > 0 else number.copy_abs()


def _number(value: Any) -> Decimal:
    if isinstance(value, bool):
        raise Misread(f"{value} is not a number")
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int):
        if abs(value) >= 10**_LONGEST:
            raise Misread("has too many digits")
        return Decimal(value)
    if isinstance(value, float):
        return _from_float(value)
    if isinstance(value, str):
        return _from_text(value)
    raise Misread(f"{_shown(value)} is not a number")


def _from_float(value: Any) -> Decimal:
    # The shortest text that names this double; a frame's own float type writes more than digits.
    number = Decimal(float.__repr__(value))
    if number.is_finite() and len(number.normalize().as_tuple().digits) > _CERTAIN:
        raise Misread(
            f"{number} is a float without exact digits; use a DECIMAL or text column, or round it in the query"
        )
    return number


def _from_text(value: str) -> Decimal:
    text = value.strip()
    if _PLAIN.fullmatch(text):
        return Decimal(text)
    if _EXPONENT.fullmatch(text):
        raise Misread(f"{_shown(value)} has an exponent; write it out in plain digits")
    if _GROUPED.fullmatch(text):
        raise Misread(f"{_shown(value)} is not a number; write it with a decimal point and without separators")
    raise Misread(f"{_shown(value)} is not a number")


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
