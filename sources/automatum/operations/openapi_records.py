"""JSON Schemas of records and answers, made from the table of endpoints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..api.paging import HEADER
from ..endpoints import WHOLE, Child, Column, ColumnType, Endpoint
from ..schema.moments import ISO
from .openapi_marks import COLUMNS, REFERENCE, TABLE, Json, assumed, configured, documented, origin, ref

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
    if endpoint.detail == _ENVELOPE:
        return envelope(record, endpoint.documented)
    if endpoint.detail == WHOLE:
        return record
    schema: Json = {"type": "object", "properties": {}}
    _place(schema, endpoint.detail, {**record, **configured()}, required=True)
    return schema


def answer_schema(endpoint: Endpoint, default: Endpoint | None) -> Json:
    """Schema of the answer with the records: any of the places at which they may be found."""
    shapes = [_answer(endpoint, default, path) for path in endpoint.records]
    return shapes[0] if len(shapes) == 1 else {"anyOf": shapes}


def paging_headers(endpoint: Endpoint) -> Json:
    """Headers of the answer that announce numbers, or lead to the next page."""
    counts = (endpoint.total, endpoint.pages) if endpoint.kind == "list" else ()
    names = {place.removeprefix(HEADER).strip(): "integer" for place in counts if place.startswith(HEADER)}
    if endpoint.paging.kind == "header_cursor":
        names[endpoint.paging.next_at] = "string"
    if endpoint.paging.kind == "header_link":
        names["Link"] = "string"
    return {name: {"schema": {"type": type_}, **configured()} for name, type_ in names.items()}


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
    if path == WHOLE:
        return items
    schema: Json = {"type": "object", "properties": {}}
    if path.partition(".")[0] == _ENVELOPE:
        _place(schema, "code", {"type": "integer", **documented(REFERENCE)}, required=path == _ENVELOPE)
    _place(schema, path, items, required=True)
    if endpoint.kind == "list":
        for place, usual in _counts(endpoint, default):
            _place(schema, place, {**_COUNT, **origin(endpoint.documented, REFERENCE, not usual)})
        if endpoint.paging.kind in ("cursor", "json_link"):
            _place(schema, endpoint.paging.next_at, {**_NEXT, **configured()})
    return schema


def _counts(endpoint: Endpoint, default: Endpoint | None) -> Iterator[tuple[str, bool]]:
    """Places of the announced numbers in the body, and whether they are the usual ones.

    Beside them are the number and the size of the page (`api/reference`).
    """
    usual = (default.total, default.pages) if default else ("", "")
    for place, usual_place in zip((endpoint.total, endpoint.pages), usual, strict=True):
        if not place.startswith(HEADER):
            yield place, place == usual_place
    if endpoint.documented and default is not None and endpoint.total == default.total:
        above = endpoint.total.rpartition(".")[0]
        yield from ((f"{above}.{word}", True) for word in default.parameters.values())


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
            _place(schema, place.path, {**_type(column), COLUMNS: [column.name], **mark})
    return schema


def _type(column: Column) -> Json:
    """Schema of the values of a column. A time may have other forms than ISO 8601."""
    if not column.formats or column.type not in ("timestamp", "date") or column.formats == (ISO,):
        return _TYPES[column.type]
    return {"type": ["integer", "number", "string", "null"], "description": f"Format: {', '.join(column.formats)}."}


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
