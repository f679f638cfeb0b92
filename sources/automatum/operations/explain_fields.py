"""Proposes settings for the fields of records: names, the key, places of columns, formats of times, child lists.

Pure functions over the records of a page. Facts and proposals hold names and counts, and no values but those of
`status` and `vendor`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ..core.errors import ConfigurationError
from ..endpoints import Column, Endpoint
from ..schema.coerce import convert
from ..schema.coverage import Coverage, UnknownField, coverage_of, key_candidates
from ..schema.records import Record, dig, pick
from .answer_shape import safe_name
from .explained import Draft, TableExplanation

ENUMERATIONS = ("status", "vendor")
"""Columns whose values are shown."""
_MOST_VALUES, _MOST_FIELDS = 12, 40
_WORD = re.compile(r"[A-Za-z][A-Za-z _-]{0,30}")
_TIME_FORMATS = (
    *("iso", "epoch_s", "epoch_ms", "epoch_us"),
    *("%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y%m%d%H%M%S"),
    *("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d.%m.%Y %H:%M"),
    *("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d", "%Y%m%d", "%d-%m-%Y", "%d %b %Y"),
)
_COMPATIBLE: dict[str, tuple[str, ...]] = {
    "text": ("text", "bigint"),
    "timestamp": ("timestamp", "date", "bigint", "text"),
    "date": ("date", "timestamp", "bigint", "text"),
    "decimal": ("decimal", "bigint"),
    "bigint": ("bigint",),
    "bool": ("bool",),
}
_SNAKE = re.compile(r"(?<=[a-z0-9])([A-Z])")


def explain_fields(draft: Draft, found: TableExplanation, records: Sequence[Record]) -> None:
    """Propose what the records of a page need, and say what they have.

    Args:
        draft: The endpoint; takes the proposals.
        found: Takes the facts.
        records: At least one record.
    """
    _explain_naming(draft, found, records)
    _explain_key(draft, found, records)
    _explain_places(draft, found, records)
    _explain_children(draft, found, records)
    _explain_times(draft, found, records)
    coverage = coverage_of(draft.endpoint, records)
    _state_coverage(found, coverage)
    for name in ENUMERATIONS:
        values = _values(draft.endpoint, records, name)
        if values:
            found.facts[f"values_of_{name}"] = _enumeration(values)


def _explain_naming(draft: Draft, found: TableExplanation, records: Sequence[Record]) -> None:
    names = {name for record in records for name in record}
    known = {place.path for column in draft.endpoint.columns for place in column.places if "." not in place.path}
    camel = {name for name in known if _SNAKE.search(name)}
    as_snake = {_SNAKE.sub(r"_\1", name).lower() for name in camel}
    if camel & names or len(as_snake & names) < 2:
        found.facts["names"] = draft.endpoint.naming
        return
    found.facts["names"] = "snake_case"
    draft.propose(naming="snake_case")


def _explain_key(draft: Draft, found: TableExplanation, records: Sequence[Record]) -> None:
    endpoint = draft.endpoint
    keys = [_values(endpoint, records, name) for name in endpoint.key]
    if len(keys) == 1 and any(value is None for value in keys[0]):
        place = next(iter(_id_fields(endpoint, records)), "")
        if place:
            draft.propose(columns={endpoint.key[0]: place})
        else:
            found.doubts.append(f"No field identifies the records as {endpoint.key[0]}; set key or columns.")
    elif (
        endpoint.kind == "report"
        and "date" in endpoint.key
        and all(value is None for value in keys[endpoint.key.index("date")])
    ):
        days = [one.path for one in coverage_of(endpoint, records).unknown if one.type in ("date", "timestamp")]
        if len(days) == 1:
            draft.propose(columns={"date": days[0]})
    _explain_repeated_keys(draft, found, records)
    found.facts["key"] = list(draft.endpoint.key)
    others = [safe_name(name) for name in key_candidates(records)[:_MOST_VALUES]]
    found.facts["unique_fields"] = others


def _explain_repeated_keys(draft: Draft, found: TableExplanation, records: Sequence[Record]) -> None:
    endpoint = draft.endpoint
    repeated = _repeated(endpoint, endpoint.key, records)
    if not repeated:
        return
    found.doubts.append(f"The key {', '.join(endpoint.key)} is the same in {repeated} records of one page.")
    if endpoint.kind == "list":
        columns = [one.name for one in endpoint.columns if one.type == "text" and one.name not in endpoint.key]
        columns.sort(key=lambda name: name not in ENUMERATIONS[::-1])
        tried = [{"key": [name, *endpoint.key]} for name in columns]
    else:
        unknown = [one for one in coverage_of(endpoint, records).unknown if one.type == "text" and "." not in one.path]
        tried = [{"key": [*endpoint.key, one.path]} for one in unknown]
    for keys in tried:
        try:
            other = draft.tried(**keys)
        except ConfigurationError:
            continue
        present = all(value is not None for value in _values(other, records, keys["key"][0]))
        if not _repeated(other, other.key, records) and (present or endpoint.kind == "report"):
            draft.propose(**keys)
            return


def _explain_places(draft: Draft, found: TableExplanation, records: Sequence[Record]) -> None:
    """Propose other places of columns that are null throughout, where a field has the name of the column."""
    before = coverage_of(draft.endpoint, records)
    unknown = {one.path: one for one in before.unknown}
    types = {one.name: one.type for one in draft.endpoint.columns}
    for name, path in before.likely_places().items():
        if unknown[path].type not in _COMPATIBLE[types[name]]:
            continue
        other = draft.tried(columns={name: path})
        misfits = coverage_of(other, records).misfits.get(name, 0)
        if misfits and types[name] not in ("date", "timestamp"):
            continue
        draft.propose(columns={name: path})
        if _SNAKE.sub(r"_\1", path.rpartition(".")[2]).lower().strip("_") != name:
            found.doubts.append(f"{name} is proposed from {safe_name(path)}, because their names are similar.")


def _explain_children(draft: Draft, found: TableExplanation, records: Sequence[Record]) -> None:
    coverage = coverage_of(draft.endpoint, records)
    lists = [one.path for one in coverage.unknown if one.type == "list"]
    for child, covered in zip(draft.endpoint.children, coverage.children, strict=True):
        if covered.records:
            continue
        names = {place.path for column in child.columns for place in column.places}
        alike = [path for path in lists if len(names & _entry_names(records, path)) >= 2]
        if len(alike) == 1:
            draft.propose(children={child.table: {"path": alike[0]}})
            lists.remove(alike[0])
    if lists:
        found.facts["unknown_lists"] = [safe_name(path) for path in lists]


def _entry_names(records: Sequence[Record], path: str) -> set[str]:
    lists = (dig(record, path) for record in records)
    return {
        name
        for entries in lists
        if isinstance(entries, list)
        for one in entries
        if isinstance(one, dict)
        for name in one
    }


def _explain_times(draft: Draft, found: TableExplanation, records: Sequence[Record]) -> None:
    """Say in which format each time is, and propose the formats of those that are not read."""
    formats: dict[str, list[str]] = {}
    unread: dict[str, str] = {}
    for column in draft.endpoint.columns:
        values = [] if column.type not in ("timestamp", "date") else _present(records, column)
        if not values:
            continue
        fitting = [one for one in _TIME_FORMATS if _reads(column, values, one)]
        formats.setdefault(fitting[0] if fitting else "not known", []).append(column.name)
        if convert(values, column.type, column.formats)[1]:
            if fitting:
                unread[column.name] = fitting[0]
                _doubt_order(found, column.name, fitting)
            else:
                found.doubts.append(f"The times in {column.name} are in no format that is known; set its format.")
    if formats:
        found.facts["times"] = formats
    if (
        unread
        and set(unread) == {name for names in formats.values() for name in names}
        and len(set(unread.values())) == 1
    ):
        draft.propose(timestamps=next(iter(unread.values())))
    elif unread:
        columns = {one.name: one for one in draft.endpoint.columns}
        for name, format_ in unread.items():
            place = {"path": columns[name].places[0].path, "type": columns[name].type, "format": format_}
            draft.propose(columns={name: place})


def _doubt_order(found: TableExplanation, name: str, fitting: Sequence[str]) -> None:
    if any("%m/%d" in one for one in fitting) and any("%d/%m" in one for one in fitting):
        found.doubts.append(f"The days in {name} do not show whether the day or the month is first: %d/%m or %m/%d.")


def _reads(column: Column, values: Sequence[Any], format_: str) -> bool:
    digits = all(isinstance(one, (int, float)) or str(one).isdigit() for one in values)
    if digits and not format_.startswith("epoch"):
        # 20260115 is a day only if nothing else fits.
        return format_ in ("%Y%m%d", "%Y%m%d%H%M%S") and not convert(values, column.type, (format_,))[1]
    lengths = {"epoch_s": 10, "epoch_ms": 13, "epoch_us": 16}
    if format_ in lengths and any(len(str(one).partition(".")[0]) != lengths[format_] for one in values):
        return False
    return not convert(values, column.type, (format_,))[1]


def _state_coverage(found: TableExplanation, coverage: Coverage) -> None:
    found.facts["null_columns"] = list(coverage.null_columns)
    if coverage.misfits:
        found.facts["misfits"] = dict(coverage.misfits)
    found.facts["unknown_fields"] = _unknown(coverage.unknown)
    for child in coverage.children:
        found.facts[f"entries_of_{child.table}"] = child.records
        if child.records and child.unknown:
            found.facts[f"unknown_fields_of_{child.table}"] = _unknown(child.unknown)


def _unknown(fields: Iterable[UnknownField]) -> dict[str, str]:
    """Name to type, without names that look like values."""
    named: dict[str, str] = {}
    for one in fields:
        named.setdefault(safe_name(one.path), one.type)
    return dict(list(named.items())[:_MOST_FIELDS])


def _id_fields(endpoint: Endpoint, records: Sequence[Record]) -> list[str]:
    """Fields that may identify a record, the likeliest first."""
    top = key_candidates(records)
    inside = [one.path for one in coverage_of(endpoint, records).unknown if "." in one.path]
    inside = [path for path in inside if path.rpartition(".")[2].strip("_").lower() == "id"]
    inside = [path for path in inside if len({str(dig(record, path)) for record in records}) == len(records)]
    own = endpoint.table.rstrip("s").replace("_", "") + "id"
    ids = [name for name in top if name.strip("_").lower() in ("id", "uuid", "guid")]
    ids += [name for name in top if name.replace("_", "").lower() == own]
    return [*ids, *inside, *(name for name in top if name not in ids and name.lower().endswith("id"))]


def _repeated(endpoint: Endpoint, key: Sequence[str], records: Sequence[Record]) -> int:
    """Number of records whose key another, different record has."""
    values = list(zip(*(map(str, _values(endpoint, records, name)) for name in key), strict=True))
    first: dict[tuple[str, ...], Record] = {}
    return sum(first.setdefault(value, record) != record for value, record in zip(values, records, strict=True))


def _values(endpoint: Endpoint, records: Sequence[Record], name: str) -> list[Any]:
    column = endpoint.find_column(name)
    return pick(records, column)[0] if column else []


def _present(records: Sequence[Record], column: Column) -> list[Any]:
    return [value for value in pick(records, column)[0] if value is not None]


def _enumeration(values: Sequence[Any]) -> dict[str, int] | str:
    """Value to count, if the values are few words; else their number."""
    counts = Counter(str(value) for value in values if value is not None)
    if len(counts) > _MOST_VALUES or not all(_WORD.fullmatch(value) for value in counts):
        return f"{len(counts)} different values"
    return dict(counts.most_common())
