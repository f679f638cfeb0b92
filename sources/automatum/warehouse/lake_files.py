"""SQL over files as a destination: Parquet, Delta tables and Iceberg tables in a folder or bucket.

dlt reads them with DuckDB extensions (`httpfs`, `delta`, `iceberg`), which DuckDB downloads when they are first needed,
and with the schema of a working folder, which a fresh machine does not have. Change detection must not depend on
either. So this module reads Parquet with DuckDB alone, after a download from a bucket, and Delta and Iceberg with the
libraries that dlt writes them with. Names and keys of tables come from the schemas that dlt stored with them.

Checked with dlt 1.31, see `dlt_internals`: the same test checks the undocumented parts of dlt that this module uses.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import dlt
from dlt.common.destination.exceptions import DestinationUndefinedEntity

from ..core.errors import ConfigurationError
from ..core.process import duckdb_memory, parse_memory
from .dlt_internals import LOADS_TABLE, VERSIONS_TABLE

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from dlt.common.pipeline import SupportsPipeline

LEAST_MEMORY = 256_000_000
"""Bytes. A query that compares the versions of all rows of files does not fit into what a DuckDB file needs."""
_FILE = "filename"
"""Column that DuckDB adds: path of the file that a row came from. dlt begins its name with the load package."""
_HINTS = ("primary_key", "merge_key", "dedup_sort", "hard_delete")
_WORD = re.compile(r"\w+")


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
    options: Any = {"memory_limit": f"{memory // 1_000_000}MB"}
    opened: Any = pipeline
    with (
        tempfile.TemporaryDirectory(prefix="automatum-") as folder,
        duckdb.connect(":memory:", config=options) as connection,
    ):
        yield LakeFiles(opened.destination_client(), connection, Path(folder))


class LakeFiles:
    """Has the methods of dlt's `sql_client` that the connector calls, in DuckDB's SQL.

    Args:
        client: dlt's client of the destination.
        connection: An empty in-memory database. A table becomes a view in it when a query names it.
        folder: Where files of a bucket are copied to.
    """

    def __init__(self, client: Any, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
        self._client, self._connection, self._folder = client, connection, folder
        self._tables = _stored_tables(client)
        self._known: dict[str, set[str]] = {}
        dataset = client.dataset_name
        connection.execute(f"SET TimeZone = 'UTC'; CREATE SCHEMA {quoted(dataset)}; SET search_path = '{dataset}'")

    def make_qualified_table_name(self, name: str) -> str:
        """A table's name in a query."""
        return f"{quoted(self._client.dataset_name)}.{quoted(name)}"

    def escape_column_name(self, name: str) -> str:
        """A column's name in a query."""
        return quoted(name)

    @contextmanager
    def execute_query(self, text: str, *values: Any) -> Iterator[duckdb.DuckDBPyConnection]:
        """Run a query; `%s` in it stand for the values.

        Raises:
            DatabaseException: As dlt's own client: `DatabaseUndefinedRelation` for a table that does not exist.
        """
        import duckdb

        self._make_views(text)
        try:
            yield self._connection.execute(text.replace("%s", "?") if values else text, list(values) or None)
        except duckdb.Error as error:
            raise as_database_error(error) from error

    def formats(self) -> dict[str, str | None]:
        """Table to format."""
        return {name: table.get("table_format") for name, table in self._tables.items()}

    def _make_views(self, text: str) -> None:
        """Make views of the tables that a query may name, of Delta and Iceberg with the columns that it may name."""
        import pyarrow as pa

        words = set(_WORD.findall(text))
        if LOADS_TABLE in words:
            # dlt writes an empty file for each complete load, named after the schema and the id.
            ids = [_stem(path).rpartition("__")[2] for path in _list_files(self._client, LOADS_TABLE)]
            rows = pa.table({"load_id": pa.array(ids, pa.string())})
            self._view(LOADS_TABLE, rows, "SELECT load_id, 0 AS status FROM {}")
        for name in words & self._tables.keys():
            table, known = self._tables[name], self._known.get(name)
            columns = set(table["columns"]) if "*" in text else table["columns"].keys() & words
            if known is not None and (columns <= known or table.get("table_format") not in _READERS):
                continue
            self._known[name] = columns | (known or set())
            if read := _READERS.get(table.get("table_format")):
                if (rows := read(self._client, table, self._known[name])) is not None:
                    self._view(name, rows)
            elif paths := self._local_files(table):
                files = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
                source = f"read_parquet([{files}], union_by_name = true, {_FILE} = true)"
                self._view(name, None, current_rows(source, table))

    def _view(self, name: str, rows: pa.Table | None, text: str = "SELECT * FROM {}") -> None:
        if rows is not None:
            self._connection.register(f"{name}:rows", rows)
        text = text.format(quoted(f"{name}:rows"))
        self._connection.execute(f"CREATE OR REPLACE VIEW {self.make_qualified_table_name(name)} AS {text}")

    def _local_files(self, table: Mapping[str, Any]) -> list[str]:
        """A table's Parquet files, in the order of their names. Each remote one is one request.

        Raises:
            ConfigurationError: There are files of another format.
        """
        paths = _list_files(self._client, table["name"], table["schema"])
        if other := [path for path in paths if not path.endswith(".parquet")]:
            raise ConfigurationError(
                f"table {table['name']}",
                f"{_stem(other[0])} is not a Parquet file, and without types its values are not exact.",
                'Load it with `loader_file_format="parquet"`.',
            )
        if self._client.is_local_filesystem or not paths:
            return paths
        copies = [str(self._folder / f"{table['name']}-{at:09}.parquet") for at in range(len(paths))]
        self._client.fs_client.get(paths, copies)
        return copies


def add_missing_columns(pipeline: SupportsPipeline, schemas: Mapping[str, pa.Schema]) -> dict[str, pa.Schema]:
    """Add columns that Iceberg tables lack; other tables are left out.

    dlt would do it. But pyiceberg (0.12) reads the rows that it updates with the schema of the last snapshot, and fails
    if that schema lacks a column of the rows.

    Args:
        pipeline: The pipeline that will load the tables.
        schemas: Table name to the schema of the rows that will be loaded.

    Returns:
        Table name to the columns that the table has now. Rows for it must have the same columns in the same order
        (`schema.arrow_tables.fit_columns`), because pyiceberg compares them by position.
    """
    found: dict[str, pa.Schema] = {}
    client: Any = pipeline.destination_client() if writes_lake_files(pipeline) else None
    for name, table in _stored_tables(client).items() if client else ():
        if name in schemas and table.get("table_format") == "iceberg" and (iceberg := _iceberg_table(client, table)):
            if set(schemas[name].names) - set(iceberg.schema().column_names):
                with iceberg.update_schema() as update:
                    update.union_by_name(schemas[name])
                iceberg.append(iceberg.schema().as_arrow().empty_table())
            found[name] = iceberg.schema().as_arrow()
    return found


def _stored_tables(client: Any) -> dict[str, dict[str, Any]]:
    """Every table as dlt's stored schemas describe it, with the name of its `schema`; from the latest that names it.

    Pipelines that load some of the tables each store schemas of one name that hold only their own tables.
    """
    found: dict[str, dict[str, Any]] = {}
    paths = _list_files(client, VERSIONS_TABLE)
    for path in sorted(paths, key=lambda path: _stem(path).rsplit("__", 2)[1:2], reverse=True):
        version = json.loads(client.fs_client.read_text(path, encoding="utf-8"))
        for name, table in json.loads(version["schema"])["tables"].items():
            if not name.startswith("_dlt"):
                found.setdefault(name, {"columns": {}, **table, "name": name, "schema": version["schema_name"]})
    return found


def _list_files(client: Any, table: str, schema: str | None = None) -> list[str]:
    try:
        return sorted(client.list_table_files(table, schema_name=schema))
    except DestinationUndefinedEntity:
        return []


def _stem(path: str) -> str:
    return PurePosixPath(path.replace("\\", "/")).name.removesuffix(".jsonl")


def _read_delta(client: Any, table: Mapping[str, Any], columns: Iterable[str]) -> pa.Table | None:
    """Columns of a Delta table; None if it does not exist.

    Not a dataset of Arrow that DuckDB reads by itself: its filters lose the rows of files that lack a column.
    """
    import pyarrow as pa
    from deltalake import DeltaTable
    from dlt.common.libs.deltalake import deltalake_storage_options

    location = client.get_open_table_location("delta", table["name"], table["schema"])
    options = deltalake_storage_options(client.config.credentials, client.config.deltalake_storage_options)
    if not DeltaTable.is_deltatable(location, options):
        return None
    rows = DeltaTable(location, storage_options=options).to_pyarrow_dataset()
    read = rows.to_table(columns=[name for name in rows.schema.names if name in columns])
    # Arrow cannot compare views of strings with strings, so DuckDB could not filter such columns.
    plain = [one.with_type(pa.string()) if pa.types.is_string_view(one.type) else one for one in read.schema]
    return read.cast(pa.schema(plain))


def _iceberg_table(client: Any, table: Mapping[str, Any]) -> Any:
    """The pyiceberg table; None if it does not exist."""
    from dlt.common.libs.pyiceberg import evolve_table
    from pyiceberg.exceptions import NoSuchTableError

    name, catalog = f"{client.dataset_name}.{table['name']}", client.get_open_table_catalog("iceberg")
    location = client.get_open_table_location("iceberg", table["name"], table["schema"])
    try:
        return evolve_table(catalog, client.fs_client, client.config, name, location)
    except (NoSuchTableError, FileNotFoundError, DestinationUndefinedEntity):
        return None


def _read_iceberg(client: Any, table: Mapping[str, Any], columns: Iterable[str]) -> pa.Table | None:
    """Columns of an Iceberg table; None if it does not exist."""
    if (iceberg := _iceberg_table(client, table)) is None:
        return None
    names = [one for one in iceberg.schema().column_names if one in columns]
    return iceberg.scan(selected_fields=tuple(names or ("*",))).to_arrow()


_READERS: Mapping[str | None, Any] = {"delta": _read_delta, "iceberg": _read_iceberg}


def current_rows(source: str, table: Mapping[str, Any]) -> str:
    """A query for the rows that a merge would have left, of a table whose every version was added.

    Of the rows that share a primary key the latest counts: by the column with the `dedup_sort` hint, then by load
    package. Where there is a merge key, all rows of that key are replaced together. Rows that the `hard_delete` hint
    marks are left out.

    Args:
        source: Relation with all versions and the column `filename`.
        table: Its columns and their hints, in a schema of dlt.
    """
    columns = table["columns"]
    key, merge_key, sort, removes = ([name for name in columns if columns[name].get(hint)] for hint in _HINTS)
    # dlt does not store a schema again that it had before: the latest may be that of a `replace`.
    if table.get("write_disposition") not in ("merge", "replace") or not key:
        return f"SELECT * EXCLUDE ({_FILE}) FROM {source}"
    rows = f"SELECT * FROM {source}"
    if merge_key and sort:
        latest = quoted(sort[0])
        rows += f" QUALIFY {latest} = max({latest}) OVER (PARTITION BY {quoted(*merge_key)})"
    order = ", ".join([*(f"{quoted(name)} DESC NULLS LAST" for name in sort), f"{_FILE} DESC"])
    rows = f"SELECT * FROM ({rows}) QUALIFY row_number() OVER (PARTITION BY {quoted(*key)} ORDER BY {order}) = 1"
    kept = " AND ".join(
        f"{quoted(name)} IS {'NOT TRUE' if columns[name].get('data_type') == 'bool' else 'NULL'}" for name in removes
    )
    return f"SELECT * EXCLUDE ({_FILE}) FROM ({rows})" + (f" WHERE {kept}" if kept else "")


def quoted(*names: str) -> str:
    """Names in DuckDB's SQL, separated by commas."""
    return ", ".join('"' + name.replace('"', '""') + '"' for name in names)


def as_database_error(error: duckdb.Error) -> Exception:
    """The error that dlt's own SQL client raises for an error of DuckDB, such as `DatabaseUndefinedRelation`."""
    from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

    return DuckDbSqlClient._make_database_exception(error)
