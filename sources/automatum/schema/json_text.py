"""JSON values to text: canonical for hashes, and for JSON columns in a form that every destination stores."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson

from .numbers import canonical, fits_json_column


def dumps(value: Any) -> bytes:
    """Canonical JSON: sorted keys, exact numbers, and one form for one number.

    Raises:
        TypeError: The value is nested more than 254 levels deep, or holds NaN or Infinity.
    """
    return orjson.dumps(value, default=_exact, option=orjson.OPT_SORT_KEYS)


def column_text(value: Any) -> str:
    """JSON for a column. A number beyond the range of a double is a text in it.

    Raises:
        TypeError: As `dumps`.
    """
    return orjson.dumps(value, default=_storable, option=orjson.OPT_SORT_KEYS).decode()


def _exact(value: Any) -> Any:
    if not isinstance(value, Decimal):
        raise TypeError(type(value).__name__)
    if not value.is_finite():
        raise TypeError("NaN and Infinity are not JSON")
    number = canonical(value)
    return number if isinstance(number, float) else orjson.Fragment(_digits(number))


def _storable(value: Any) -> Any:
    fragment = _exact(value)
    number = canonical(value)
    return fragment if isinstance(number, float) or fits_json_column(number) else str(number)


def _digits(number: Decimal) -> bytes:
    return (format(number, "f") if 0 <= number.adjusted() < 40 else str(number)).encode()
