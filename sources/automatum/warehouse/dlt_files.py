"""The files that dlt's destination `filesystem` writes, read by its undocumented parts, checked with dlt 1.31.

See `dlt_internals`: the same test checks them. Parquet files are only ever added to. `current_rows` computes what a
merge would have left.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.common.pipeline import SupportsPipeline

from ..core.errors import ConfigurationError
from .dlt_internals import LOADS_TABLE, VERSIONS_TABLE

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_FILES_AT_A_TIME = 64
"""Files that are in memory at once while they are downloaded."""
_FILE = "filename"
"""Column that DuckDB adds: path of the file that a row came from. dlt begins its name with the load package."""


@dataclass
class StoredTable:
    """A table as dlt's stored schema describes it.

    Attributes:
        name: Name of the table.
        schema: Name of the dlt schema that it belongs to.
        columns: Column name to its hints.
        table_format: `delta`, `iceberg`, or None for Parquet files.
        merged: Whether rows replace earlier rows of the same key.
        registered: Columns that DuckDB knows so far.
    """

    name: str
    schema: str
    columns: dict[str, Any]
    table_format: str | None
    merged: bool
    registered: set[str] = field(default_factory=set)

    def having(self, hint: str) -> list[str]:
        """Columns with this hint."""
        return [name for name, column in self.columns.items() if column.get(hint)]


def filesystem_client(pipeline: SupportsPipeline) -> Any:
    """Dlt's `FilesystemClient` of a pipeline with the destination `filesystem`."""
    return pipeline.destination_client()


def list_table_files(client: Any, table: str, schema: str | None = None) -> list[str]:
    """Paths of a table's files, sorted; empty if the table does not exist."""
    try:
        return sorted(client.list_table_files(table, schema_name=schema))
    except DestinationUndefinedEntity:
        return []


def read_stored_schemas(client: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and tables of each schema version that dlt stored beside the files, latest first."""
    paths = list_table_files(client, VERSIONS_TABLE)
    for path in sorted(paths, key=lambda path: file_stem(path).rsplit("__", 2)[1:2], reverse=True):
        version = json.loads(client.fs_client.read_text(path, encoding="utf-8"))
        yield str(version["schema_name"]), json.loads(version["schema"])["tables"]


def list_complete_loads(client: Any) -> list[str]:
    """Ids of complete load packages. dlt writes an empty file for each, named after the schema and the id."""
    return [file_stem(path).rpartition("__")[2] for path in list_table_files(client, LOADS_TABLE)]


def file_stem(path: str) -> str:
    """Name of a file without its folder and `.jsonl`."""
    return PurePosixPath(path.replace("\\", "/")).name.removesuffix(".jsonl")


def list_parquet_files(client: Any, table: StoredTable) -> list[str]:
    """A table's Parquet files.

    Raises:
        ConfigurationError: There are files of another format.
    """
    paths = list_table_files(client, table.name, table.schema)
    if other := [path for path in paths if not path.endswith(".parquet")]:
        raise ConfigurationError(
            f"table {table.name}",
            f"{file_stem(other[0])} is not a Parquet file, and without types its values are not exact.",
            'Load it with `loader_file_format="parquet"`.',
        )
    return paths


def download_parquet(client: Any, table: StoredTable, paths: Sequence[str]) -> pa.Table:
    """The registered columns of remote files, with one request a file; DuckDB would send a dozen for each."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    hints = ("primary_key", "merge_key", "dedup_sort", "hard_delete")
    wanted = table.registered.union(*map(table.having, hints))
    tables = []
    for start in range(0, len(paths), _FILES_AT_A_TIME):
        contents = client.fs_client.cat(list(paths[start : start + _FILES_AT_A_TIME]), on_error="raise")
        for path, content in contents.items():
            file = parquet.ParquetFile(pa.BufferReader(content))
            read = file.read([name for name in file.schema_arrow.names if name in wanted])
            tables.append(read.append_column(_FILE, pa.array([path] * read.num_rows, pa.string())))
    return pa.concat_tables(tables, promote_options="default")


def read_delta(client: Any, table: StoredTable) -> pa.Table | None:
    """The registered columns of a Delta table; None if it does not exist."""
    import pyarrow as pa
    from deltalake import DeltaTable
    from dlt.common.libs.deltalake import deltalake_storage_options

    location = client.get_open_table_location("delta", table.name, table.schema)
    options = deltalake_storage_options(client.config.credentials, client.config.deltalake_storage_options)
    if not DeltaTable.is_deltatable(location, options):
        return None
    dataset = DeltaTable(location, storage_options=options).to_pyarrow_dataset()
    # Arrow cannot compare views of strings with strings, so DuckDB could not filter such columns.
    schema = pa.schema(
        [
            one.with_type(pa.string()) if pa.types.is_string_view(one.type) else one
            for one in dataset.schema
            if one.name in table.registered
        ]
    )
    return dataset.to_table(columns=schema.names).cast(schema)


def open_iceberg_table(client: Any, table: StoredTable) -> Any:
    """The pyiceberg table; None if it does not exist."""
    from dlt.common.libs.pyiceberg import evolve_table
    from pyiceberg.exceptions import NoSuchTableError

    try:
        return evolve_table(
            client.get_open_table_catalog("iceberg"),
            client.fs_client,
            client.config,
            f"{client.dataset_name}.{table.name}",
            client.get_open_table_location("iceberg", table.name, table.schema),
        )
    except (NoSuchTableError, FileNotFoundError, DestinationUndefinedEntity):
        return None


def read_iceberg(client: Any, table: StoredTable) -> pa.Table | None:
    """The registered columns of an Iceberg table; None if it does not exist."""
    iceberg = open_iceberg_table(client, table)
    if iceberg is None:
        return None
    names = [one.name for one in iceberg.schema().fields if one.name in table.registered]
    return iceberg.scan(selected_fields=tuple(names or ("*",))).to_arrow()


def current_rows(source: str, table: StoredTable) -> str:
    """A query for the rows that a merge would have left, of a table whose every version was added.

    Of the rows that share a primary key the latest counts: by the column with the `dedup_sort` hint, then by load
    package. Where there is a merge key, all rows of that key are replaced together. Rows that the `hard_delete` hint
    marks are left out.

    Args:
        source: Relation with all versions and the column `filename`.
        table: Its columns and their hints.
    """
    key, merge_key = table.having("primary_key"), table.having("merge_key")
    rows = f"SELECT * FROM {source}"
    if not table.merged or not key:
        return f"SELECT * EXCLUDE ({_FILE}) FROM {source}"
    sort = [f"{quote_name(name)} DESC NULLS LAST" for name in table.having("dedup_sort")]
    if merge_key and sort:
        latest = quote_name(table.having("dedup_sort")[0])
        rows += f" QUALIFY {latest} = max({latest}) OVER (PARTITION BY {_names(merge_key)})"
    order = ", ".join([*sort, f"{_FILE} DESC"])
    rows = f"SELECT * FROM ({rows}) QUALIFY row_number() OVER (PARTITION BY {_names(key)} ORDER BY {order}) = 1"
    kept = " AND ".join(
        f"{quote_name(name)} IS {'NOT TRUE' if table.columns[name].get('data_type') == 'bool' else 'NULL'}"
        for name in table.having("hard_delete")
    )
    return f"SELECT * EXCLUDE ({_FILE}) FROM ({rows})" + (f" WHERE {kept}" if kept else "")


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(quote_name, names))


def quote_name(name: str) -> str:
    """A name in DuckDB's SQL."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """A string in DuckDB's SQL."""
    return "'" + text.replace("'", "''") + "'"


def as_database_error(error: duckdb.Error) -> Exception:
    """The error that dlt's own SQL client raises for an error of DuckDB, such as `DatabaseUndefinedRelation`."""
    from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

    return DuckDbSqlClient._make_database_exception(error)
