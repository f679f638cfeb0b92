"""JSON Schemas of records and answers, made from the table of endpoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from automatum.endpoints import Child, Column, ColumnType, Endpoint

from .marks import COLUMNS, REFERENCE, TABLE, Json, assumed, configured, documented, origin, ref

_ENVELOPE = "data"
_TYPES: dict[ColumnType, Json] = {
    "text": {"type": ["string", "null"]},
    "timestamp": {"type": ["string", "null"], "format": "date-time"},
    "date": {"type": ["string", "null"], "format": "date"},
    "decimal": {"type": ["number", "string", "null"]},
    "bigint": {"type": ["integer", "null"]},
    "bool": {"type": ["boolean", "null"]},
}
_COUNT: Json = {"type": "integer", "minimum": 0}
_NEXT: Json = {"type": ["string", "integer", "null"], "description": "Leads to the next page."}


def schema_name(table: str) -> str:
    """Name of the schema of a table's records: `private_offers` is `PrivateOffers`."""
    return "".join(word.capitalize() for word in table.split("_"))


def record_schema(endpoint: Endpoint, default: Endpoint | None) -> Json:
    """Schema of one record. Fields that it does not name are allowed: they are kept in `extra` (I8).

    Args:
        endpoint: What the records are, with overrides applied.
        default: The same endpoint without overrides; None if the configuration adds it.
    """
    known = {place.path for column in default.columns for place in column.places} if default else set()
    schema = _fields(endpoint.columns, known if default else None)
    for child in endpoint.children:
        for path in child.places:
            _place(schema, path, {"type": ["array", "null"], "items": _child(child), **assumed()})
    key = endpoint.find_column(endpoint.key[0])
    if len(endpoint.key) == 1 and key and "." not in key.places[0].path:
        name = key.places[0].path
        schema["required"] = [name]
        schema["properties"][name] |= {"type": "string"}
    return {**schema, TABLE: endpoint.table, **origin(endpoint.documented, REFERENCE, default is None)}


def detail_schema(endpoint: Endpoint) -> Json:
    """Schema of the answer at the URL of one row."""
    record = ref("schemas", schema_name(endpoint.table))
    if endpoint.only_in_detail:
        mark = origin(endpoint.documented, REFERENCE)
        lists = {name: {"type": "array", "items": {"type": "object"}, **mark} for name in endpoint.only_in_detail}
        record = {"allOf": [record, {"type": "object", "properties": lists}]}
    return envelope(record, endpoint.documented)


def answer_schema(endpoint: Endpoint, default: Endpoint | None) -> Json:
    """Schema of the answer with the records: any of the places at which they may be found."""
    shapes = [_answer(endpoint, default, path) for path in endpoint.records]
    return shapes[0] if len(shapes) == 1 else {"anyOf": shapes}


def envelope(data: Json, is_documented: bool = True) -> Json:
    """The envelope of a success around its data."""
    mark = origin(is_documented, REFERENCE)
    return {
        "type": "object",
        "required": ["code", "data"],
        "properties": {"code": {"type": "integer", **documented(REFERENCE)}, "data": {**data, **mark}},
    }


def _answer(endpoint: Endpoint, default: Endpoint | None, path: str) -> Json:
    items = {"type": "array", "items": ref("schemas", schema_name(endpoint.table))}
    schema: Json = {"type": "object", "properties": {}}
    if path.partition(".")[0] == _ENVELOPE:
        _place(schema, "code", {"type": "integer", **documented(REFERENCE)}, required=path == _ENVELOPE)
    _place(schema, path, items, required=True)
    if endpoint.kind == "list":
        for place, usual in _counts(endpoint, default):
            _place(schema, place, {**_COUNT, **origin(endpoint.documented, REFERENCE, not usual)})
        if endpoint.paging.kind == "cursor":
            _place(schema, endpoint.paging.cursor_at, {**_NEXT, **configured()})
    return schema


def _counts(endpoint: Endpoint, default: Endpoint | None) -> Iterator[tuple[str, bool]]:
    """Places of the announced numbers in the body, and whether they are the usual ones.

    Beside them are the number and the size of the page (`api/reference`).
    """
    usual = default is not None and endpoint.total == default.total
    if endpoint.total:
        yield endpoint.total, usual
    if endpoint.documented and usual:
        above = endpoint.total.rpartition(".")[0]
        yield from ((f"{above}.{word}", True) for word in ("page", "limit", "pages"))


def _fields(columns: Sequence[Column], known: set[str] | None) -> Json:
    """Schema of an object with the fields of these columns.

    Args:
        columns: The columns.
        known: Paths of the table of endpoints; the configuration adds the others. None: it adds all.
    """
    schema: Json = {"type": "object", "properties": {}}
    for column in columns:
        for number, place in enumerate(column.places):
            is_configured = known is None or place.path not in known
            # The first place of a documented column is what the reference shows.
            mark = origin(column.documented and number == 0, REFERENCE, is_configured)
            _place(schema, place.path, {**_TYPES[column.type], COLUMNS: [column.name], **mark})
    return schema


def _child(child: Child) -> Json:
    places = {place.path for column in child.columns for place in column.places}
    return {**_fields(child.columns, places), TABLE: child.table}


def _place(schema: Json, path: str, leaf: Json, required: bool = False) -> None:
    """Add the schema of a value at a dotted path. A second column at the same path is named beside the first."""
    *above, last = path.split(".")
    inner: Json = schema
    for step in above:
        if required:
            _require(inner, step)
        inner = inner.setdefault("properties", {}).setdefault(step, {"type": ["null"]})
        inner["type"] = "object" if required else _widened(inner["type"], "object")
    if required:
        _require(inner, last)
    found = inner.setdefault("properties", {}).setdefault(last, leaf)
    if found is not leaf:
        if "type" in found:
            found["type"] = _widened(found["type"], *_types(leaf.get("type", ())))
        found[COLUMNS] = [*found.get(COLUMNS, ()), *leaf.get(COLUMNS, ())]


def _require(schema: Json, name: str) -> None:
    schema["required"] = [*schema.get("required", ()), name]


def _widened(types: str | Sequence[str], *more: str) -> list[str]:
    """These types and more, null last."""
    found = dict.fromkeys([*_types(types), *more])
    return sorted(found, key=lambda one: one == "null")


def _types(types: str | Sequence[str]) -> Sequence[str]:
    return [types] if isinstance(types, str) else types
