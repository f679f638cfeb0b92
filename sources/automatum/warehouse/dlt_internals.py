"""The undocumented parts of dlt that the connector uses to load and to query, checked with dlt 1.31.

dlt may change them in any release. `tests/unit/warehouse/test_dlt_internals.py` names each part that is missing after
an upgrade, and lets no other module use undocumented parts but these:

- `duckdb_file` has those of dlt's DuckDB destination.
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

import dlt
from dlt.common.configuration import configspec, resolve_configuration
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.configuration.utils import get_resolved_traces
from dlt.common.destination.client import WithStagingDataset
from dlt.common.pipeline import SupportsPipeline
from dlt.common.storages.load_package import LoadPackageStateInjectableContext
from dlt.common.storages.load_package import create_load_id as create_load_id
from dlt.extract import DltResource

LOADS_TABLE = "_dlt_loads"


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


def forget_configuration_log() -> None:
    """Empty dlt's log of the settings that this thread has resolved, as dlt does at the end of each run of its own.

    Its entries keep errors, and the frames of these the session, with its connection and its files.
    """
    get_resolved_traces().clear()


@configspec
class _Loading(BaseConfiguration):
    raise_on_failed_jobs: bool = True


def hides_failed_jobs() -> bool:
    """Whether dlt's settings let the pipeline that extracts now record rows that the destination refuses as loaded."""
    return not resolve_configuration(_Loading(), sections=("load",)).raise_on_failed_jobs


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
        client: The client of a destination.
        force: Compare the tables also if the schema is stored: a user may have dropped one.
    """
    schema = client.schema
    if force:
        client.initialize_storage()
    names = {*schema.data_table_names(seen_data_only=True), *schema.dlt_table_names()}
    client.update_stored_schema(only_tables=names, force=force)


def drop_staging(client: Any, tables: Collection[str]) -> None:
    """Delete tables of the staging dataset, which the next load makes again: they may be of another schema.

    A schema of that name may have tables of others, such as dbt's, which stay.
    """
    if not isinstance(client, WithStagingDataset):
        return
    opened: Any = client
    with client.with_staging_dataset():
        if opened.is_storage_initialized():
            opened.drop_tables(*tables, opened.schema.version_table_name, delete_schema=False)


def print_paths_without_sqlalchemy() -> None:
    """Let dlt write URLs without SQLAlchemy, whose import is a tenth of a short sync; for the command line only."""
    from dlt.common.libs import sql_alchemy_shims

    sys.modules.setdefault("dlt.common.libs.sql_alchemy_compat", sql_alchemy_shims)
