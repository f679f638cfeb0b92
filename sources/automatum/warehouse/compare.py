"""Compares the tables of the destination with what a sync loads into them: a user may have changed them by hand."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dlt

from ..core.errors import ConfigurationError
from ..schema.columns import ROW_HASH
from ..schema.stored import StoredColumn, StoredTable
from .sql_client import TABLE_MISSING, one_client, open_client, sql_client

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

logger = logging.getLogger("automatum")

_CHECKED = (dlt.destinations.duckdb, dlt.destinations.postgres)
"""Destinations whose types are known. Others may store a type as another one."""
_COLUMNS = (
    "SELECT table_name, column_name, data_type, numeric_precision, numeric_scale FROM information_schema.columns "
    "WHERE table_schema = %s"
)
_TYPES = {
    "text": {"varchar", "character varying", "text"},
    "timestamp": {"timestamp with time zone"},
    "date": {"date"},
    "decimal": {"decimal", "numeric"},
    "bigint": {"bigint", "hugeint"},
    "bool": {"boolean"},
    "json": {"json", "jsonb"},
}
"""Type of a column to the types that hold all of its values, in DuckDB and Postgres."""
_DIGITS = 38


@dataclass(frozen=True)
class Compared:
    """What the destination has of the tables of a sync.

    Attributes:
        lacking: Names of the tables that it lacks, wholly or in part.
        wrong: Table name to the error for a column of another type.
    """

    lacking: set[str]
    wrong: dict[str, ConfigurationError]

    def check(self, tables: Iterable[StoredTable]) -> None:
        """Check that the columns of tables have their types.

        Raises:
            ConfigurationError: One has another type.
        """
        for table in tables:
            if table.name in self.wrong:
                raise self.wrong[table.name]


def compare_tables(pipeline: SupportsPipeline, tables: Sequence[StoredTable]) -> Compared:
    """Compare tables with the destination. The rows of a table that lost a column are loaded again, whoever syncs next.

    Args:
        pipeline: The pipeline that loads.
        tables: The tables that a sync may fill.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    names = {table.name for table in tables}
    with one_client(pipeline), open_client(pipeline) as opened, sql_client(pipeline) as client:
        found = {name: set(map(str.lower, columns)) for name, columns in opened.get_storage_tables(names)}
        gone = {table.name: {column.name for column in table.columns} - found[table.name] for table in tables}
        _load_again(client, tables, gone)
        wrong = _other_types(client, tables) if isinstance(pipeline.destination, _CHECKED) else {}
    return Compared({name for name, columns in gone.items() if columns}, wrong)


def _load_again(client: Any, tables: Iterable[StoredTable], gone: Mapping[str, set[str]]) -> None:
    """Let all rows count as changed whose table lost a column, or their child table. A kill changes nothing of that.

    No record has an empty hash. The connector's own columns are null in the rows of an earlier version, and stay so.
    """
    again: set[str] = set()
    for table in tables:
        lost = {column.name for column in table.columns if column.origin != "connector"} & gone[table.name]
        if table.kind in ("list", "report", "child") and lost and len(gone[table.name]) < len(table.columns):
            again.add(table.parent or table.name)
    for name in sorted(again):
        logger.warning("%s has lost a column: its rows are loaded again", name)
        try:
            table, column = client.make_qualified_table_name(name), client.escape_column_name(ROW_HASH)
            client.execute_sql(f"UPDATE {table} SET {column} = '' WHERE {column} <> ''")
        except TABLE_MISSING:
            continue  # Nothing but a child table is left, or the hashes are lost too: every row is loaded anyway.


def _other_types(client: Any, tables: Iterable[StoredTable]) -> dict[str, ConfigurationError]:
    wrong: dict[str, ConfigurationError] = {}
    stored = {(name, column): found for name, column, *found in client.execute_sql(_COLUMNS, client.dataset_name)}
    for table in tables:
        name = client.make_qualified_table_name(table.name)
        for column in table.columns:
            found = stored.get((table.name, column.name))
            if found and not _holds(column, *found):
                wrong.setdefault(table.name, _error(table, column, name, *found))
    return wrong


def _holds(column: StoredColumn, data_type: str, precision: int | None, scale: int | None) -> bool:
    """Whether a type holds every value of a column. Postgres gives a `numeric` without bounds neither."""
    if re.sub(r"\(.*\)", "", data_type).lower() not in _TYPES[column.type]:
        return False
    if column.type != "decimal" or precision is None:
        return True
    return (scale or 0) >= column.scale and precision - (scale or 0) >= _DIGITS - column.scale


def _error(
    table: StoredTable, column: StoredColumn, name: str, data_type: str, precision: int | None, scale: int | None
) -> ConfigurationError:
    if precision and column.type == "decimal" and "(" not in data_type:
        data_type += f"({precision}, {scale})"
    wanted = f"decimal({_DIGITS}, {column.scale})" if column.type == "decimal" else column.type
    again = "and loads its rows again" if table.kind in ("list", "report", "child") else "empty"
    return ConfigurationError(
        f"{table.name}.{column.name}",
        f"is {data_type} in the destination, and does not hold every {wanted}.",
        f"Drop the column: the next sync adds it, {again}. ALTER TABLE {name} DROP COLUMN {column.name}",
    )
