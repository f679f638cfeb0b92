"""What a table should have for records: each record by itself, each value by itself, nothing remembered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

from automatum.endpoints import Column, Endpoint
from automatum.schema.coerce import convert
from automatum.schema.json_text import dumps
from automatum.schema.records import dig, pick

Values = dict[str, Any]


def expected_row(endpoint: Endpoint, record: Values, unread: Counter[str]) -> tuple[Values, dict[str, list[Values]]]:
    """The columns of a record with its `extra`, and the rows of its child tables."""
    children: dict[str, list[Values]] = {}
    lists: set[str] = set()
    for child in endpoint.children:
        at = next((path for path in child.places if isinstance(dig(record, path), list)), None)
        lists |= {at} if at else set()
        children[child.table] = [
            {"position": position, **_entry(child.columns, entry, unread, f"{child.table}.")}
            for position, entry in enumerate(dig(record, at) if at else [])
        ]
    places = {path for child in endpoint.children for path in child.places}
    return _row(endpoint.columns, record, lists, unread, nulls=places), children


def _entry(columns: tuple[Column, ...], entry: Any, unread: Counter[str], above: str) -> Values:
    if isinstance(entry, dict):
        return _row(columns, entry, set(), unread, above)
    return {**_row(columns, {}, set(), unread), "extra": None if entry is None else dumps({"value": entry}).decode()}


def _row(
    columns: tuple[Column, ...],
    record: Values,
    lists: set[str],
    unread: Counter[str],
    above: str = "",
    nulls: Collection[str] = (),
) -> Values:
    row: Values = {}
    taken = set(lists)
    for column in columns:
        value, at = pick(record, column)
        # A list fits no column, so that Arrow cannot convert the two at once.
        array, misfits = convert([value, ["odd"]], column.type)
        row[column.name] = array[0].as_py()
        if 0 not in misfits and value is not None:
            taken.add(at)
        elif 0 in misfits and row[column.name] is None:
            unread[above + column.name] += 1
    named = {place.path for column in columns for place in column.places}.union(nulls)
    rest = _rest(record, taken, named)
    return {**row, "extra": dumps(rest).decode() if rest else None}


def _rest(value: Values, taken: set[str], named: set[str], above: str = "") -> Values:
    """What is not taken. An object above a path goes with the last of its values, unless it was empty."""
    rest: Values = {}
    for name, inside in value.items():
        path = above + name
        holds = "." not in name and any(one.startswith(path + ".") for one in taken | named)
        if "." not in name and (path in taken or (inside is None and (path in named or holds))):
            continue
        if holds and isinstance(inside, dict) and inside:
            if left := _rest(inside, taken, named, path + "."):
                rest[name] = left
        else:
            rest[name] = inside
    return rest
