"""The parts of dlt's destination `filesystem` that the connector reads files with, checked with dlt 1.31.

See `dlt_internals`: the same test checks them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.common.pipeline import SupportsPipeline

from .dlt_internals import LOADS_TABLE, VERSIONS_TABLE

if TYPE_CHECKING:
    import duckdb


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


def list_complete_loads(client: Any) -> list[tuple[str, str]]:
    """Schema name and load id of each complete load package. dlt writes an empty file for each, named after it."""
    names = [file_stem(path).split("__") for path in list_table_files(client, LOADS_TABLE)]
    return [("__".join(parts[:-1]), parts[-1]) for parts in names]


def file_stem(path: str) -> str:
    """Name of a file without its folder and `.jsonl`."""
    return PurePosixPath(path.replace("\\", "/")).name.removesuffix(".jsonl")


def open_delta_table(client: Any, table: str, schema: str) -> Any:
    """The `deltalake.DeltaTable` of a table; None if it does not exist."""
    from deltalake import DeltaTable
    from dlt.common.libs.deltalake import deltalake_storage_options

    config = client.config
    location = client.get_open_table_location("delta", table, schema)
    options = deltalake_storage_options(config.credentials, config.deltalake_storage_options)
    return DeltaTable(location, storage_options=options) if DeltaTable.is_deltatable(location, options) else None


def open_iceberg_table(client: Any, table: str, schema: str) -> Any:
    """The pyiceberg table of a table; None if it does not exist."""
    from dlt.common.libs.pyiceberg import evolve_table
    from pyiceberg.exceptions import NoSuchTableError

    try:
        return evolve_table(
            client.get_open_table_catalog("iceberg"),
            client.fs_client,
            client.config,
            f"{client.dataset_name}.{table}",
            client.get_open_table_location("iceberg", table, schema),
        )
    except (NoSuchTableError, FileNotFoundError, DestinationUndefinedEntity):
        return None


def as_database_error(error: duckdb.Error) -> Exception:
    """The error that dlt's own SQL client raises for an error of DuckDB, such as `DatabaseUndefinedRelation`."""
    from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

    return DuckDbSqlClient._make_database_exception(error)
