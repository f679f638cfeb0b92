"""The undocumented parts of dlt that the connector uses to load and to query, checked with dlt 1.31.

dlt may change them in any release. `tests/unit/warehouse/test_dlt_internals.py` names each part that is missing after
an upgrade, and lets no other module use undocumented parts but these four:

- `duckdb_file` has those of dlt's DuckDB destination, `lake_files` those of its destination `filesystem`.
- `config.dlt_internals` has those of dlt's configuration. `config` is below this package and cannot import it.
- `schema.columns` writes names as dlt does.

All other modules use what dlt documents: `dlt.pipeline`, `dlt.current`, `DltResource`, `SupportsPipeline`,
`pipeline.sql_client()`, and dlt's exceptions.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import dlt
from dlt.common.configuration.container import Container
from dlt.common.destination.client import WithStagingDataset
from dlt.common.pipeline import SupportsPipeline
from dlt.common.storages.load_package import LoadPackageStateInjectableContext
from dlt.common.storages.load_package import create_load_id as create_load_id
from dlt.destinations.job_client_impl import SqlJobClientBase
from dlt.extract import DltResource

LOADS_TABLE = "_dlt_loads"
VERSIONS_TABLE = "_dlt_version"
shared_clients: WeakKeyDictionary[SupportsPipeline, Any] = WeakKeyDictionary()
"""Pipeline to the client that `sql_client.one_client` shares."""


# The pipeline


def loading_pipeline() -> SupportsPipeline | None:
    """The pipeline that extracts now, or None. `dlt.current.pipeline()` also returns one that was used before."""
    return dlt.current.pipeline() if LoadPackageStateInjectableContext in Container() else None


def current_load_id() -> str:
    """Id of the load package that is being extracted; empty outside of a pipeline."""
    context, container = LoadPackageStateInjectableContext, Container()
    return str(container[context].load_id) if context in container else ""


def waiting_package_states(pipeline: SupportsPipeline) -> Iterator[Mapping[str, Any]]:
    """The stored state of each load package of a pipeline that is not loaded yet, during an extraction.

    dlt extracts all sources of a run before it loads the first; those with another schema to another package.
    """
    opened: Any = pipeline
    for packages in (
        Container()[LoadPackageStateInjectableContext].storage,
        opened._get_normalize_storage().extracted_packages,
        opened._get_load_storage().normalized_packages,
    ):
        if packages.storage.has_folder("."):
            yield from (packages.get_load_package_state(load_id) for load_id in packages.list_packages())


def failed_table(error: BaseException) -> str | None:
    """The table of the job that failed; None if the error names none."""
    # The id of a job is `table.file.format`; that of a normalize job has the retry count before the format.
    job_id = str(getattr(error, "job_id", None) or "")
    return job_id.split(".")[0] or None


# The resource


def set_table_hints(resource: DltResource, hints: Any) -> None:
    """Set the hints of a further table of a resource: `apply_hints` would give it the columns of the first one."""
    resource._set_hints(hints, create_table_variant=True)


def in_pool_of_threads() -> bool:
    """Whether `parallelize()` runs this in dlt's pool: a client there would replace the extraction's configuration."""
    return threading.current_thread().name.startswith(Container.thread_pool_prefix().partition("-pool-")[0] + "-pool-")


@contextmanager
def take_over_limit(resource: DltResource) -> Iterator[None]:
    """Let `add_limit` count nothing during a block: dlt would close the resource, which counts itself, in a page."""
    limit = resource.limit
    if limit is None:
        yield
        return
    before = limit.max_items, limit.max_time
    limit.max_items, limit.max_time = -1, None
    try:
        yield
    finally:
        limit.max_items, limit.max_time = before


# The destination


@contextmanager
def destination_client(pipeline: SupportsPipeline) -> Iterator[Any]:
    """Dlt's client of a pipeline's destination, connected: the shared one, or else a new one."""
    if pipeline in shared_clients:
        yield shared_clients[pipeline]
        return
    with pipeline.destination_client() as client:
        yield client


def locate_destination(destination: Any) -> str:
    """Name and location of a destination, without user and secrets; its name alone if it is not configured."""
    name = str(destination.destination_name)
    try:
        config = destination.configuration(None, accept_partial=True)
        return f"{name} {config.data_location() or config}"
    except Exception:
        # The configuration is incomplete. The first connection says so.
        return name


def use_schema(pipeline: SupportsPipeline, schema: dlt.Schema) -> None:
    """Make this the default schema of a pipeline, so that its clients, dlt's commands and readers use it."""
    opened: Any = pipeline
    with opened.managed_state():
        opened._inject_schema(schema)


def create_tables(client: Any, force: bool) -> None:
    """Create what the tables of a client's schema lack in the destination, and store the schema.

    Args:
        client: The client of a destination. Nothing happens if it writes files.
        force: Compare the tables also if the schema is stored: a user may have dropped one.
    """
    if isinstance(client, SqlJobClientBase):
        schema = client.schema
        if force:
            client.initialize_storage()
        names = {*schema.data_table_names(seen_data_only=True), *schema.dlt_table_names()}
        client.update_stored_schema(only_tables=names, force=force)


def missing_in_storage(pipeline: SupportsPipeline, tables: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
    """Columns that the destination lacks: all of a table that does not exist. Files have all columns of their tables.

    Args:
        pipeline: The pipeline; its dataset exists.
        tables: Table name to the names of its columns.

    Returns:
        Table name to missing columns; empty for destinations that do not say which tables they have.
    """
    with destination_client(pipeline) as opened:
        client: Any = opened
        if not hasattr(client, "get_storage_tables"):
            return {}
        found = {name: set(columns) for name, columns in client.get_storage_tables(tables)}
        if not isinstance(client, SqlJobClientBase):
            found = {name: set(tables[name]) for name, columns in found.items() if columns}
    missing = {name: set(columns) - found.get(name, set()) for name, columns in tables.items()}
    return {name: columns for name, columns in missing.items() if columns}


def drop_staging(pipeline: SupportsPipeline) -> None:
    """Delete the staging dataset, which the next load makes again; its tables may be of another schema."""
    try:
        with destination_client(pipeline) as client:
            if isinstance(client, SqlJobClientBase) and isinstance(client, WithStagingDataset):
                with client.with_staging_dataset():
                    if client.is_storage_initialized():
                        client.drop_storage()
    except Exception:
        return  # The next load says what is wrong with the destination.


def print_paths_without_sqlalchemy() -> None:
    """Let dlt write URLs without SQLAlchemy, whose import is a tenth of a short sync; for the command line only."""
    from dlt.common.libs import sql_alchemy_shims

    sys.modules.setdefault("dlt.common.libs.sql_alchemy_compat", sql_alchemy_shims)
