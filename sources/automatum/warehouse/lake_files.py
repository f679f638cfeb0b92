"""Files as a destination that answers SQL: Parquet, Delta tables and Iceberg tables in a folder or bucket.

dlt reads them through DuckDB extensions (`httpfs`, `delta`, `iceberg`), which DuckDB downloads when they are first
needed, and through the schema of a working folder, which a fresh machine does not have. Change detection must not
depend on either. So this reads Parquet with DuckDB alone, over the file system that dlt writes with; Delta and Iceberg
with the libraries that dlt writes them with. Which tables there are, and what their keys are, it takes from the schemas
that dlt stored beside them.

Parquet files are only ever added to. What a merge would have left is computed on reading: see `current_rows`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as parquet
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.destinations.impl.filesystem.filesystem import FilesystemClient

from ..core.errors import ConfigurationError
from ..core.process import DUCKDB_MEMORY

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

_WORD = re.compile(r"\w+")
_LOADS = "_dlt_loads"
_VERSIONS = "_dlt_version"
_AT_A_TIME = 64
"""Files that are in memory at once while they are fetched."""
_FILE = "filename"
"""Column that DuckDB adds: path of the file that a row came from; dlt begins its name with the load package."""


@dataclass
class _Stored:
    """A table as dlt's stored schema describes it."""

    name: str
    schema: str
    columns: dict[str, Any]
    table_format: str | None
    merged: bool
    registered: set[str] = field(default_factory=set)

    def having(self, hint: str) -> list[str]:
        """Columns with this hint."""
        return [name for name, column in self.columns.items() if column.get(hint)]


def writes_lake_files(pipeline: SupportsPipeline) -> bool:
    """Whether a pipeline loads to files."""
    return pipeline.destination is not None and pipeline.destination.destination_type.endswith(".filesystem")


def table_formats(pipeline: SupportsPipeline) -> dict[str, str | None]:
    """Table to format, of all tables that a pipeline's working folder or its files know."""
    with open_lake_files(pipeline) as lake:
        found = lake.formats()
    for schema in pipeline.schemas.values():
        found.update({str(table["name"]): table.get("table_format") for table in schema.data_tables()})
    return found


@contextmanager
def open_lake_files(pipeline: SupportsPipeline) -> Iterator[LakeFiles]:
    """The files of a pipeline's dataset, to be asked.

    Args:
        pipeline: A pipeline with the destination `filesystem`.
    """
    client: Any = pipeline.destination_client()
    with duckdb.connect(":memory:", config={"memory_limit": DUCKDB_MEMORY}) as connection:
        yield LakeFiles(client, connection)


class LakeFiles:
    """Answers what dlt's `sql_client` is asked by us, in DuckDB's SQL.

    Args:
        client: dlt's client of the destination.
        connection: An empty in-memory database.
    """

    def __init__(self, client: FilesystemClient, connection: duckdb.DuckDBPyConnection) -> None:
        self._client = client
        self._connection = connection
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE SCHEMA {_quoted(client.dataset_name)}")
        connection.execute(f"SET search_path = {_literal(client.dataset_name)}")
        self._tables = self._stored_tables()

    def make_qualified_table_name(self, name: str) -> str:
        """A table's name in a query."""
        return f"{_quoted(self._client.dataset_name)}.{_quoted(name)}"

    def escape_column_name(self, name: str) -> str:
        """A column's name in a query."""
        return _quoted(name)

    @contextmanager
    def execute_query(self, text: str, *values: Any) -> Iterator[duckdb.DuckDBPyConnection]:
        """Run a query; `%s` in it stand for the values.

        Raises:
            DatabaseException: What dlt's own client raises: `DatabaseUndefinedRelation` for a table that is not there.
        """
        self._register(text)
        try:
            yield self._connection.execute(text.replace("%s", "?") if values else text, list(values) or None)
        except duckdb.Error as error:
            raise DuckDbSqlClient._make_database_exception(error) from error

    def formats(self) -> dict[str, str | None]:
        """Table to format."""
        return {name: stored.table_format for name, stored in self._tables.items()}

    # What there is

    def _stored_tables(self) -> dict[str, _Stored]:
        """Every table of every stored schema, as the latest version that names it has it.

        Pipelines that load some of the tables each store schemas of one name that hold their own tables alone.
        """
        found: dict[str, _Stored] = {}
        for path in sorted(self._list(_VERSIONS), key=lambda path: _name(path).rsplit("__", 2)[1:2], reverse=True):
            version = json.loads(self._client.fs_client.read_text(path, encoding="utf-8"))
            schema = json.loads(version["schema"])
            for name, table in schema["tables"].items():
                if name not in found and not name.startswith("_dlt"):
                    found[name] = _Stored(
                        name,
                        str(version["schema_name"]),
                        table.get("columns", {}),
                        table.get("table_format"),
                        table.get("write_disposition") == "merge",
                    )
        return found

    def _list(self, table: str, schema: str | None = None) -> list[str]:
        try:
            return sorted(self._client.list_table_files(table, schema_name=schema))
        except DestinationUndefinedEntity:
            return []

    # What a query names

    def _register(self, text: str) -> None:
        """Make the tables that a query may name known to DuckDB; with the columns that it may name."""
        words = set(_WORD.findall(text))
        if _LOADS in words:
            self._view(_LOADS, "SELECT * FROM _loads", _loads=self._loads())
        for name in words & self._tables.keys():
            stored = self._tables[name]
            wanted = set(stored.columns) if "*" in text else set(stored.columns) & words
            if not wanted <= stored.registered or not stored.registered:
                stored.registered |= wanted
                self._register_table(stored)

    def _register_table(self, stored: _Stored) -> None:
        if stored.table_format in _READERS:
            rows = _READERS[stored.table_format](self, stored)
            if rows is not None:
                known_as = f"{stored.table_format}:{stored.name}"
                self._view(stored.name, f"SELECT * FROM {_quoted(known_as)}", **{known_as: rows})
        elif paths := self._files(stored):
            if self._client.is_local_filesystem:
                files = ", ".join(map(_literal, paths))
                source = f"read_parquet([{files}], union_by_name = true, filename = true)"
                self._view(stored.name, current_rows(source, stored))
            else:
                known_as = f"files:{stored.name}"
                source = f"(SELECT * FROM {_quoted(known_as)})"
                self._view(stored.name, current_rows(source, stored), **{known_as: self._fetched(stored, paths)})

    def _view(self, name: str, text: str, **arrow: Any) -> None:
        for known_as, data in arrow.items():
            self._connection.register(known_as, data)
        self._connection.execute(f"CREATE OR REPLACE VIEW {self.make_qualified_table_name(name)} AS {text}")

    def _files(self, stored: _Stored) -> list[str]:
        """A table's Parquet files.

        Raises:
            ConfigurationError: There are files of another format.
        """
        paths = self._list(stored.name, stored.schema)
        if strange := [path for path in paths if not path.endswith(".parquet")]:
            raise ConfigurationError(
                f"table {stored.name}",
                f"{_name(strange[0])} is no Parquet file, and without types its values are not exact.",
                'Load it with `loader_file_format="parquet"`.',
            )
        return paths

    def _fetched(self, stored: _Stored, paths: Sequence[str]) -> pa.Table:
        """What is wanted of files that are far away: one request each, many at a time; DuckDB would take a dozen."""
        wanted = stored.registered.union(*map(stored.having, ("primary_key", "merge_key", "dedup_sort", "hard_delete")))
        tables = []
        for start in range(0, len(paths), _AT_A_TIME):
            contents = self._client.fs_client.cat(list(paths[start : start + _AT_A_TIME]), on_error="raise")
            for path, content in contents.items():
                file = parquet.ParquetFile(pa.BufferReader(content))
                read = file.read([name for name in file.schema_arrow.names if name in wanted])
                tables.append(read.append_column(_FILE, pa.array([path] * read.num_rows, pa.string())))
        return pa.concat_tables(tables, promote_options="default")

    def _delta(self, stored: _Stored) -> Any:
        from deltalake import DeltaTable
        from dlt.common.libs.deltalake import deltalake_storage_options

        config = self._client.config
        location = self._client.get_open_table_location("delta", stored.name, stored.schema)
        options = deltalake_storage_options(config.credentials, config.deltalake_storage_options)
        if not DeltaTable.is_deltatable(location, options):
            return None
        dataset = DeltaTable(location, storage_options=options).to_pyarrow_dataset()
        there = pa.schema([_readable(one) for one in dataset.schema if one.name in stored.registered])
        return dataset.to_table(columns=there.names).cast(there)

    def _iceberg(self, stored: _Stored) -> Any:
        table = self._open_iceberg(stored)
        if table is None:
            return None
        there = [one.name for one in table.schema().fields if one.name in stored.registered]
        return table.scan(selected_fields=tuple(there or ("*",))).to_arrow()

    def _open_iceberg(self, stored: _Stored) -> Any:
        from dlt.common.libs.pyiceberg import evolve_table
        from pyiceberg.exceptions import NoSuchTableError

        client = self._client
        try:
            return evolve_table(
                client.get_open_table_catalog("iceberg"),
                client.fs_client,
                client.config,
                f"{client.dataset_name}.{stored.name}",
                client.get_open_table_location("iceberg", stored.name, stored.schema),
            )
        except (NoSuchTableError, FileNotFoundError, DestinationUndefinedEntity):
            return None

    def grow(self, name: str, schema: pa.Schema) -> None:
        """Give an Iceberg table the columns that it lacks.

        dlt would, but pyiceberg (0.12) reads what it updates with the schema of the last snapshot, and fails for ever
        if that lacks a column of the rows that come.
        """
        stored = self._tables.get(name)
        table = self._open_iceberg(stored) if stored and stored.table_format == "iceberg" else None
        if table is not None and set(schema.names) - set(table.schema().column_names):
            with table.update_schema() as update:
                update.union_by_name(schema)
            table.append(table.schema().as_arrow().empty_table())

    def _loads(self) -> pa.Table:
        """Load packages that are in whole. dlt writes a file for each when it is, and the file's name says it all."""
        names = [_name(path).split("__") for path in self._list(_LOADS)]
        return pa.table(
            {
                "load_id": pa.array([parts[-1] for parts in names], pa.string()),
                "schema_name": pa.array(["__".join(parts[:-1]) for parts in names], pa.string()),
                "status": pa.array([0] * len(names), pa.int64()),
            }
        )


def _readable(one: pa.Field) -> pa.Field:
    """A field as DuckDB can filter it: for views of strings Arrow has no comparison with strings."""
    return one.with_type(pa.string()) if pa.types.is_string_view(one.type) else one


_READERS = {"delta": LakeFiles._delta, "iceberg": LakeFiles._iceberg}


def current_rows(source: str, table: _Stored) -> str:
    """The rows that a merge would have left, of a table whose every version was added.

    Of rows that share a primary key the latest counts: by the column with the `dedup_sort` hint, then by load package.
    Where there is a merge key, all rows of that key are replaced together. What is marked by the `hard_delete` hint is
    not there.

    Args:
        source: Where all versions are, with the column `filename`.
        table: Its columns and their hints.

    Returns:
        A query.
    """
    key, merge_key = table.having("primary_key"), table.having("merge_key")
    rows = f"SELECT * FROM {source}"
    if not table.merged or not key:
        return f"SELECT * EXCLUDE ({_FILE}) FROM {source}"
    sort = [f"{_quoted(name)} DESC NULLS LAST" for name in table.having("dedup_sort")]
    if merge_key and sort:
        latest = _quoted(table.having("dedup_sort")[0])
        rows += f" QUALIFY {latest} = max({latest}) OVER (PARTITION BY {_listed(merge_key)})"
    order = ", ".join([*sort, f"{_FILE} DESC"])
    rows = f"SELECT * FROM ({rows}) QUALIFY row_number() OVER (PARTITION BY {_listed(key)} ORDER BY {order}) = 1"
    removed = " AND ".join(
        f"{_quoted(name)} IS {'NOT TRUE' if table.columns[name].get('data_type') == 'bool' else 'NULL'}"
        for name in table.having("hard_delete")
    )
    return f"SELECT * EXCLUDE ({_FILE}) FROM ({rows})" + (f" WHERE {removed}" if removed else "")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(_quoted, names))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _name(path: str) -> str:
    return PurePosixPath(path.replace("\\", "/")).name.removesuffix(".jsonl")
