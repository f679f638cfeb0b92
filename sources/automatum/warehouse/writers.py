"""The two writers of a chunk: one transaction on DuckDB, a dlt load package for every other destination.

A load package takes dlt half a second and two dozen statements. A transaction leaves what a package would leave: dlt
creates the tables, stores the schema and records the load. A kill leaves all of it or nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import dlt
import pyarrow as pa
from dlt.extract import DltResource
from dlt.pipeline.exceptions import PipelineStepFailed

from ..schema.columns import DLT_LOAD_ID
from .dlt_internals import create_load_id, create_tables, destination_client, drop_staging, failed_table, use_schema
from .dlt_schema import SCHEMA, declare_tables, extracted, make_resource, stamp
from .load import ChunkTables, WriteFailed
from .sql import column_names

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

    from ..schema.stored import StoredTable

_ROWS = "automatum_rows"
"""Name of the Arrow table in queries."""


class DuckDbWriter:
    """Writes chunks in one transaction each. A chunk is in memory, as Arrow, until it is written.

    Args:
        pipeline: The pipeline of the destination.
    """

    def __init__(self, pipeline: SupportsPipeline) -> None:
        self._pipeline = pipeline
        self._rows: dict[str, pa.Table] = {}

    def read(self, chunk: ChunkTables) -> None:
        """Collect the tables; see `Writer`."""
        parts: dict[str, list[pa.Table]] = {}
        try:
            for name, table in chain.from_iterable(chunk.tables.values()):
                parts.setdefault(name, []).append(table)
        except Exception as error:
            raise WriteFailed("extract", error) from error
        self._rows = {name: pa.concat_tables(tables) for name, tables in parts.items()}

    def write(self, chunk: ChunkTables, creates: bool) -> None:
        """Write the tables, and dlt's record of the load; see `Writer`."""
        if not self._rows:
            return
        schema = dlt.Schema(SCHEMA)
        declare_tables(schema, chunk.declared, existing=chunk.existing)
        use_schema(self._pipeline, schema)
        name = None
        try:
            with destination_client(self._pipeline) as client:
                create_tables(client, force=creates)
                load_id = create_load_id()
                with client.sql_client.begin_transaction():
                    for name, rows in self._rows.items():
                        if len(rows):
                            _merge(client.sql_client, chunk.declared[name][0], stamp(rows, load_id), load_id)
                    client.complete_load(load_id)
        except Exception as error:
            raise WriteFailed("load", error, name) from error
        self.drop()

    def drop(self) -> None:
        """Free the rows."""
        self._rows = {}


def _merge(client: Any, table: StoredTable, rows: pa.Table, load_id: str) -> None:
    """Insert rows in place of those of the same keys, as a merge of dlt by `delete-insert` does."""
    target, quoted = client.make_qualified_table_name(table.name), client.escape_column_name

    def listed(columns: Iterable[str]) -> str:
        return ", ".join(map(quoted, columns))

    names = values = listed(rows.column_names)
    # Columns of dlt that the user's settings have added.
    added = column_names(client, table.name) - set(rows.column_names)
    for name, value in ((DLT_LOAD_ID, f"'{load_id}'"), ("_dlt_id", "uuid()")):
        if name in added:
            names, values = f"{names}, {quoted(name)}", f"{values}, {value}"
    source = f"SELECT * FROM {_ROWS}"
    if _repeats(rows, table.key):
        latest = listed(one.name for one in table.columns if one.latest_first)
        order = f" ORDER BY {latest} DESC" if latest else ""
        source += f" QUALIFY row_number() OVER (PARTITION BY {listed(table.key)}{order}) = 1"
    removes = {one.name: "NOT TRUE" if one.type == "bool" else "NULL" for one in table.columns if one.hard_delete}
    kept = " AND ".join(f"{quoted(name)} IS {value}" for name, value in removes.items()) or "TRUE"
    same = listed(table.merge_key or table.key)
    client.native_connection.register(_ROWS, rows)
    try:
        client.execute_sql(f"DELETE FROM {target} WHERE ({same}) IN (SELECT ({same}) FROM {_ROWS})")
        client.execute_sql(f"INSERT INTO {target} ({names}) SELECT {values} FROM ({source}) WHERE {kept}")
    finally:
        client.native_connection.unregister(_ROWS)


def _repeats(rows: pa.Table, key: Sequence[str]) -> bool:
    """Whether two rows have one key. Arrow's `group_by` takes 30 MB and twice the time for 100,000 rows."""
    values = [rows[name].to_pylist() for name in key]
    return len(set(values[0] if len(values) == 1 else zip(*values, strict=True))) < len(rows)


class PackageWriter:
    """Writes chunks as load packages. dlt's extraction writes the rows to files as they are read.

    Args:
        pipeline: The pipeline of the destination.
    """

    def __init__(self, pipeline: SupportsPipeline) -> None:
        # Until the next load, dlt would keep copies of the rows that were loaded last, even after their deletion.
        for setting in ("TRUNCATE_STAGING_DATASET", "DELETE_COMPLETED_JOBS"):
            os.environ.setdefault(f"{pipeline.pipeline_name.upper()}__LOAD__{setting}", "true")
        self._pipeline: Any = pipeline

    def read(self, chunk: ChunkTables) -> None:
        """Extract the tables; see `Writer`."""

        def resource(name: str) -> DltResource:
            def rows() -> Iterator[Any]:
                yield from extracted(name, chunk.declared, chunk.table_format, chunk.tables[name])

            return make_resource(name, chunk.declared, chunk.table_format, rows)

        @dlt.source(name=SCHEMA, section="automatum")
        def automatum() -> Iterable[DltResource]:
            declare_tables(dlt.current.source_schema(), chunk.declared, chunk.table_format, chunk.existing)
            return [resource(name) for name in chunk.tables]

        _step(lambda: self._pipeline.extract(automatum()))

    def write(self, chunk: ChunkTables, creates: bool) -> None:
        """Normalize and load the package; see `Writer`."""
        _step(self._pipeline.normalize)
        if creates:
            with destination_client(self._pipeline) as client:
                create_tables(client, force=True)
        _step(self._pipeline.load)

    def drop(self) -> None:
        """Drop the package and what dlt knows: a new schema may be what the destination takes."""
        self._pipeline.drop()
        drop_staging(self._pipeline)


def _step(run: Callable[[], Any]) -> None:
    try:
        run()
    except PipelineStepFailed as error:
        cause = error.__context__ or error.__cause__ or error
        raise WriteFailed(error.step, cause, failed_table(cause)) from error
