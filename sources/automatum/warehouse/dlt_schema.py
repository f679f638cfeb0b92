"""What dlt gets of stored tables: the hints of each, and all of them in the schema of a source.

The stored schema names every table that a source may fill, with its columns, keys, references and descriptions,
whichever of them a load has rows for. So dlt's readers find them after every load.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dlt
from dlt.extract import DltResource

from ..endpoints import ORGANIZATION
from ..schema.columns import DLT_LOAD_ID
from ..schema.stored import StoredColumn, StoredTable
from .dlt_internals import current_load_id, set_table_hints

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = "automatum"
"""Name of the dlt schema of a sync."""
Declared = Mapping[str, tuple[StoredTable, str]]
"""Table name to the table and the name of its resource."""

_EXPECTED_WARNINGS = (
    # JSON columns are text in Arrow, which has no JSON type.
    "when merging arrow schema with dlt schema",
)


def make_resource(name: str, declared: Declared, rows: Callable[[], Iterator[Any]]) -> DltResource:
    """The dlt resource of a table. Its hints are those of that table, so that the user's hints change no other table.

    Args:
        name: Name of the table.
        declared: All tables of the source.
        rows: Yields what `extracted` does.
    """
    logging.getLogger("dlt").addFilter(_unexpected)
    own = declared[name][0]
    return dlt.resource(
        rows,
        name=name,
        primary_key=own.key,
        write_disposition="merge",
        columns=_json_columns(own),
    )


def extracted(
    name: str,
    declared: Declared,
    tables: Iterable[tuple[str, pa.Table]],
    hints: Callable[[str], Mapping[str, Any]] = lambda _: {},
) -> Iterator[Any]:
    """The rows of a resource for dlt, with the id of the load, if there is one.

    Args:
        name: Name of the table that the resource has the hints of.
        declared: All tables of the source.
        tables: Table names and rows, whose ids of the load are null.
        hints: Further hints of another table, from its name.
    """
    resource, load_id = dlt.current.resource(), current_load_id()
    for other, (table, _) in declared.items():
        if other != name:
            # They repeat nothing of the schema of `declare_tables` but what dlt would replace.
            own: Any = {"primary_key": table.key, "merge_key": table.merge_key, "columns": _json_columns(table)}
            made = dlt.mark.make_hints(table_name=other, **own, **hints(other))
            set_table_hints(resource, made)
    for table_name, rows in tables:
        stamped = stamp(rows, load_id)
        yield stamped if table_name == name else dlt.mark.with_table_name(stamped, table_name)


def _json_columns(table: StoredTable) -> list[Any]:
    """The columns whose type dlt does not read from Arrow, which has none for JSON."""
    return [{"name": column.name, "data_type": "json"} for column in table.columns if column.type == "json"]


def dlt_columns(table: StoredTable) -> dict[str, Any]:
    """The columns of a table as dlt's hints have them, by name."""
    return {column.name: _dlt_column(column, table) for column in table.columns}


def _dlt_column(column: StoredColumn, table: StoredTable) -> Any:
    made: dict[str, Any] = {
        "name": column.name,
        "data_type": column.type,
        "nullable": column.nullable,
        "description": column.description,
    }
    if column.type == "timestamp":
        made["precision"] = 6
    if column.type == "decimal":
        made["precision"], made["scale"] = 38, column.scale
    if column.name in table.key:
        made["primary_key"] = True
    if column.name in table.merge_key:
        made["merge_key"] = True
    if column.hard_delete is not None:
        made["hard_delete"] = column.hard_delete
    if column.latest_first:
        made["dedup_sort"] = "desc"
    return made


def declare_tables(
    schema: Any,
    tables: Declared,
    existing: Collection[str] = (),
) -> None:
    """Put tables into the schema of a source, as far as it does not have them.

    Args:
        schema: dlt's schema (`dlt.current.source_schema()`).
        tables: Table name to the table and the name of its resource.
        existing: Names of tables that the destination has. Otherwise a load of other tables would store a schema that
            says nothing of these.
    """
    for table, resource in tables.values():
        if schema.tables.get(table.name, {}).get("description") == table.description:
            continue
        declared: dict[str, Any] = {
            "name": table.name,
            "description": table.description,
            "resource": resource,
            "write_disposition": "merge",
            "columns": dlt_columns(table),
            "references": references(table, tables),
        }
        if table.name in existing:
            declared["x-normalizer"] = {"seen-data": True}
        schema.update_table(declared)


def references(table: StoredTable, known: Collection[str]) -> list[Any]:
    """References of columns to other tables, as dlt writes them.

    Args:
        table: The table.
        known: Names of the tables of the schema. References to other tables are left out.
    """
    owner = [ORGANIZATION] if ORGANIZATION in table.key else []
    return [
        {
            "columns": [*owner, column.name],
            "referenced_table": column.reference.table,
            "referenced_columns": [*owner, column.reference.column],
        }
        for column in table.columns
        if column.reference and column.reference.table in known
    ]


def stamp(table: pa.Table, load_id: str) -> pa.Table:
    """The table with the id of a load in its column for that: `_dlt_load_id`, or `load_id` of the log.

    Args:
        table: The table.
        load_id: Id of the load; empty to change nothing.
    """
    import pyarrow as pa

    for at, name in enumerate(table.column_names):
        if load_id and name in (DLT_LOAD_ID, "load_id"):
            ids = pa.repeat(pa.scalar(load_id, pa.string()), len(table))
            table = table.set_column(at, table.schema.field(at), ids)
    return table


def _unexpected(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    return not any(part in message for part in _EXPECTED_WARNINGS)
