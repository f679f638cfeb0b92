"""The columns of usage, and values of any source as exact text for the query that checks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from ...core.errors import ConfigurationError

Kind = Literal["id", "amount", "time", "text"]

COLUMNS: dict[str, Kind] = {
    "customer_id": "id",
    "listing_id": "id",
    "vendor": "id",
    "dimension": "id",
    "units": "amount",
    "price": "amount",
    "usage_at": "time",
    "entitlement_id": "id",
    "title": "text",
    "description": "text",
    "per": "text",
}
"""Our column names, each with the kind of its values."""
REQUIRED = ("customer_id", "listing_id", "vendor", "dimension", "units", "price", "usage_at")

UNUSABLE = "\x00"
"""First character of a text that stands for a value that its column cannot take; the rest of the text says why."""

_CERTAIN = 15
"""Significant digits that a binary double always keeps (IEEE 754)."""
_LONGEST = 60
"""Digits; more than any rule allows, and few enough to be written without an exponent."""
_SCHEMA = pa.schema({"row": pa.int64(), "broken": pa.string(), **dict.fromkeys(COLUMNS, pa.string())})


def column_positions(theirs: Sequence[str], mapping: Mapping[str, str]) -> dict[str, int]:
    """Our name to the position of the source's column; columns that it lacks are left out.

    Args:
        theirs: Names of the source's columns. They match in any case.
        mapping: Our column name to theirs, where they differ.

    Raises:
        ConfigurationError: A name fits several columns, or the mapping names none of ours.
    """
    if unknown := sorted(set(mapping) - set(COLUMNS)):
        named = ", ".join(unknown)
        raise ConfigurationError("--map", f"{named} is not a usage column.", f"Columns: {', '.join(COLUMNS)}.")
    positions: dict[str, int] = {}
    for ours in COLUMNS:
        wanted = mapping.get(ours, ours)
        found = [index for index, name in enumerate(theirs) if name.strip().lower() == wanted.lower()]
        if len(found) > 1:
            raise ConfigurationError("usage", f"has {len(found)} columns named {wanted}.", "Leave one of them out.")
        if found:
            positions[ours] = found[0]
    return positions


def require_columns(theirs: Sequence[str], mapping: Mapping[str, str]) -> dict[str, int]:
    """`column_positions`, where no required column is missing, and no mapped one: that would be a mistyped name.

    Raises:
        ConfigurationError: A column is missing, or a name fits several.
    """
    positions = column_positions(theirs, mapping)
    missing = [name for name in COLUMNS if name not in positions and (name in REQUIRED or name in mapping)]
    if not missing:
        return positions
    named = ", ".join(f"{name} (mapped to {mapping[name]})" if name in mapping else name for name in missing)
    step = f"It has: {', '.join(theirs) or 'none'}. Map a name that differs (ours=theirs), or rename it in a query."
    if len(theirs) == 1 and any(mark in theirs[0] for mark in ";\t|"):
        step += " The file seems not to be separated by commas."
    raise ConfigurationError("usage", f"the source lacks {named}.", step)


def as_table(rows: Sequence[int], values: Mapping[str, Sequence[Any]], broken: Sequence[str | None] = ()) -> pa.Table:
    """Rows as a table of texts.

    Args:
        rows: Positions in the source.
        values: Values of any type by our column name. A column that the source lacks is null.
        broken: Why a row cannot be read at all, for each row; empty if all can.
    """
    nothing = pa.nulls(len(rows), pa.string())
    columns = [pa.array(rows, pa.int64()), pa.array(broken, pa.string()) if broken else nothing]
    for name, kind in COLUMNS.items():
        text = pc.utf8_trim_whitespace(_text_column(values[name], kind)) if name in values else nothing
        if kind == "id" and pc.all(pc.utf8_is_printable(text)).as_py() is False:
            text = pa.array(map(_visible, text.to_pylist()), pa.string())
        columns.append(text)
    return pa.Table.from_arrays(columns, schema=_SCHEMA)


def _text_column(column: Sequence[Any] | pa.Array, kind: Kind) -> pa.Array:
    if isinstance(column, pa.Array):
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            return column.cast(pa.string())
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
            # Python has microseconds. The nanoseconds below them move no usage to another hour.
            column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
        column = [_python_value(value) for value in column]
    return pa.array([one if type(one) is str and one.isascii() else as_text(one, kind) for one in column], pa.string())


def _python_value(scalar: Any) -> Any:
    """A value, or a text that no column takes where Python has no such value."""
    try:
        return scalar.as_py()
    except (ValueError, OverflowError, pa.ArrowException):
        return f"{UNUSABLE}{scalar.type} that cannot be read"


def as_text(value: Any, kind: Kind) -> str | None:
    """A value as text with all its digits; None for null and a frame's values for null.

    Args:
        value: Of any type.
        kind: Of its column. What it cannot take begins with `UNUSABLE`, and says why.
    """
    # NaT is no equal of itself, and pandas.NA has no truth value.
    if value is None or type(value).__name__ in ("NaTType", "NAType"):
        return None
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:  # A lone surrogate.
            return f"{UNUSABLE}{ascii(value)[:_LONGEST]} has characters that cannot be seen"
        return str(value)
    if isinstance(value, datetime) and kind == "time":
        try:
            moment = value.replace(tzinfo=timezone.utc) if value.utcoffset() is None else value
            return f"{moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
        except (ValueError, OverflowError) as error:
            return f"{UNUSABLE}{value} is not a date: {error}"
    if getattr(value, "shape", None) == ():  # A scalar of numpy.
        value = value.item()
    if isinstance(value, UUID) or (isinstance(value, date) and kind == "time"):
        return str(value)
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return f"{UNUSABLE}a {type(value).__name__} cannot be read"
    # The shortest text for this double. A frame's own float type has another repr.
    number = Decimal(float.__repr__(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        return f"{UNUSABLE}{number} is not a number" if kind == "amount" or number.is_infinite() else None
    if kind in ("id", "text") and not str(value).isdigit():
        # An id such as 12.0 was a number, and may have lost its zeros or its last digits.
        return f"{UNUSABLE}{value} is a {type(value).__name__}; read the column as text, so that no digit is lost"
    if isinstance(value, float) and len(number.normalize().as_tuple().digits) > _CERTAIN:
        why = "is a float without exact digits; use a DECIMAL or text column, or round it in the query"
        return f"{UNUSABLE}{number} {why}"
    if number and max(abs(number.adjusted()), abs(int(number.as_tuple().exponent))) > _LONGEST:
        return f"{UNUSABLE}a number with too many digits"
    return format(number, "f") if number else "0"


def _visible(text: str | None) -> str | None:
    """An id. One with characters that cannot be seen cannot be used; they include the separator in the ids of lines."""
    if text is None or text.isprintable() or text.startswith(UNUSABLE):
        return text
    return f"{UNUSABLE}{ascii(text)[:_LONGEST]} has characters that cannot be seen"
