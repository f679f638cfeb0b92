"""SQL over files as a destination: Parquet, Delta tables and Iceberg tables in a folder or bucket.

dlt reads them with DuckDB extensions (`httpfs`, `delta`, `iceberg`), which DuckDB downloads when they are first needed,
and with the schema of a working folder, which a fresh machine does not have. Change detection must not depend on
either. So this module reads Parquet with DuckDB alone, over the file system that dlt writes with, and Delta and Iceberg
with the libraries that dlt writes them with. Names and keys of tables come from the schemas that dlt stored with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dlt

from ..core.process import duckdb_memory, parse_memory
from .dlt_files import (
    StoredTable,
    as_database_error,
    current_rows,
    download_parquet,
    filesystem_client,
    list_complete_loads,
    list_parquet_files,
    open_iceberg_table,
    quote_name,
    quote_text,
    read_delta,
    read_iceberg,
    read_stored_schemas,
)
from .dlt_internals import LOADS_TABLE

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from dlt.common.pipeline import SupportsPipeline

LEAST_MEMORY = 256_000_000
"""Bytes. A query that compares the versions of all rows of files does not fit into what a DuckDB file needs."""
_WORD = re.compile(r"\w+")
_READERS = {"delta": read_delta, "iceberg": read_iceberg}


def writes_lake_files(pipeline: SupportsPipeline) -> bool:
    """Whether a pipeline loads to files."""
    return isinstance(pipeline.destination, dlt.destinations.filesystem)


@contextmanager
def open_lake_files(pipeline: SupportsPipeline) -> Iterator[LakeFiles]:
    """The files of a pipeline's dataset, ready for queries.

    Args:
        pipeline: A pipeline with the destination `filesystem`.
    """
    import duckdb  # Not needed, and perhaps not installed, where the destination is a database.

    memory = max(parse_memory(duckdb_memory()) or 0, LEAST_MEMORY)
    with duckdb.connect(":memory:", config={"memory_limit": f"{memory // 1_000_000}MB"}) as connection:
        yield LakeFiles(filesystem_client(pipeline), connection)


class LakeFiles:
    """Has the methods of dlt's `sql_client` that the connector calls, in DuckDB's SQL.

    Args:
        client: dlt's client of the destination.
        connection: An empty in-memory database.
    """

    def __init__(self, client: Any, connection: duckdb.DuckDBPyConnection) -> None:
        self._client = client
        self._connection = connection
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE SCHEMA {quote_name(client.dataset_name)}")
        connection.execute(f"SET search_path = {quote_text(client.dataset_name)}")
        self._tables = _stored_tables(client)

    def make_qualified_table_name(self, name: str) -> str:
        """A table's name in a query."""
        return f"{quote_name(self._client.dataset_name)}.{quote_name(name)}"

    def escape_column_name(self, name: str) -> str:
        """A column's name in a query."""
        return quote_name(name)

    @contextmanager
    def execute_query(self, text: str, *values: Any) -> Iterator[duckdb.DuckDBPyConnection]:
        """Run a query; `%s` in it stand for the values.

        Raises:
            DatabaseException: As dlt's own client: `DatabaseUndefinedRelation` for a table that does not exist.
        """
        import duckdb

        self._register(text)
        try:
            yield self._connection.execute(text.replace("%s", "?") if values else text, list(values) or None)
        except duckdb.Error as error:
            raise as_database_error(error) from error

    def formats(self) -> dict[str, str | None]:
        """Table to format."""
        return {name: table.table_format for name, table in self._tables.items()}

    def add_missing_columns(self, name: str, schema: pa.Schema) -> pa.Schema | None:
        """Give an Iceberg table the columns of a schema that it lacks; returns all its columns.

        None for a table that does not exist, and for other formats. dlt would do it. But pyiceberg (0.12) reads the
        rows that it updates with the schema of the last snapshot, and fails if that schema lacks a column of the rows.
        """
        table = self._tables.get(name)
        if table is None or table.table_format != "iceberg":
            return None
        if (iceberg := open_iceberg_table(self._client, table)) is None:
            return None
        if set(schema.names) - set(iceberg.schema().column_names):
            with iceberg.update_schema() as update:
                update.union_by_name(schema)
            iceberg.append(iceberg.schema().as_arrow().empty_table())
        return iceberg.schema().as_arrow()

    def _register(self, text: str) -> None:
        """Make the tables and columns that a query may name known to DuckDB."""
        import pyarrow as pa

        words = set(_WORD.findall(text))
        if LOADS_TABLE in words:
            loads = pa.table({"load_id": pa.array(list_complete_loads(self._client), pa.string())})
            self._view(LOADS_TABLE, "SELECT load_id, 0 AS status FROM _loads", _loads=loads)
        for name in words & self._tables.keys():
            table = self._tables[name]
            wanted = set(table.columns) if "*" in text else set(table.columns) & words
            if not wanted <= table.registered or not table.registered:
                table.registered |= wanted
                self._register_table(table)

    def _register_table(self, table: StoredTable) -> None:
        if table.table_format in _READERS:
            rows = _READERS[table.table_format](self._client, table)
            if rows is not None:
                known_as = f"{table.table_format}:{table.name}"
                self._view(table.name, f"SELECT * FROM {quote_name(known_as)}", **{known_as: rows})
        elif paths := list_parquet_files(self._client, table):
            if self._client.is_local_filesystem:
                files = ", ".join(map(quote_text, paths))
                source = f"read_parquet([{files}], union_by_name = true, filename = true)"
                self._view(table.name, current_rows(source, table))
            else:
                known_as = f"files:{table.name}"
                source = f"(SELECT * FROM {quote_name(known_as)})"
                rows = download_parquet(self._client, table, paths)
                self._view(table.name, current_rows(source, table), **{known_as: rows})

    def _view(self, name: str, text: str, **arrow: Any) -> None:
        for known_as, data in arrow.items():
            self._connection.register(known_as, data)
        self._connection.execute(f"CREATE OR REPLACE VIEW {self.make_qualified_table_name(name)} AS {text}")


def _stored_tables(client: Any) -> dict[str, StoredTable]:
    """Every table of every stored schema, from the latest version that names it.

    Pipelines that load some of the tables each store schemas of one name that hold only their own tables.
    """
    found: dict[str, StoredTable] = {}
    for schema, tables in read_stored_schemas(client):
        for name, table in tables.items():
            if name not in found and not name.startswith("_dlt"):
                # dlt does not store a schema again that it had before: the latest may be that of a `replace`.
                merged = table.get("write_disposition") in ("merge", "replace")
                found[name] = StoredTable(name, schema, table.get("columns", {}), table.get("table_format"), merged)
    return found
