"""The dlt resources of the tables: those of `automatum_source`, and those of one chunk of a sync."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import dlt
import pyarrow as pa
from dlt.extract import DltResource

from ..api.session import ApiSession, connect
from ..config.settings import AutomatumSettings
from ..config.source_section import errors_name
from ..core.errors import ScopeMissing, Unproven
from ..endpoints import Endpoint
from ..schema.stored import StoredTable
from ..warehouse.catalog import drop_views
from ..warehouse.compare import compare_tables
from ..warehouse.dataset import check_organization_kind
from ..warehouse.dlt_internals import current_load_id, loading_pipeline, take_over_limit
from ..warehouse.dlt_schema import Declared, declare_tables, extracted, make_resource
from .hints import TABLE_HINT, Hints, check_hints, read_hints
from .key_check import check_keys
from .results import Verdict
from .table_sync import TableSync, tables_to_fill

logger = logging.getLogger("automatum")

Tables = Iterator[tuple[str, pa.Table]]
Read = Callable[[Hints], Tables]


def source_resources(settings: AutomatumSettings) -> list[DltResource]:
    """The resources of `automatum_source`, one for each list and each report. Each reads its table when iterated.

    Args:
        settings: Resolved settings. `tables` names the tables, each of which the scopes must allow.

    Raises:
        ConfigurationError: A setting is missing or wrong. The message names the key.
    """
    session = connect(settings)
    chosen = session.select()
    declared = _declare({one.table: tables_to_fill(one, settings) for one in chosen}, settings)

    def extract(endpoint: Endpoint, hints: Hints) -> Tables:
        check_hints(chosen, session.clock.monotonic(), settings.table_format)
        # There is no summary: a missing scope and an incomplete result are warnings, an error is raised.
        if settings.tables:
            session.require_scopes(chosen)
        missing = session.missing_scopes((endpoint,))
        if missing:
            error = ScopeMissing(missing, frozenset())
            if endpoint.table in hints.absent:
                raise error  # dlt would empty the table.
            logger.warning("%s is skipped: %s", endpoint.table, error.message)
            return
        yield from _extract(endpoint, session, hints)

    return [_fresh_resource(endpoint, declared, session, extract) for endpoint in chosen]


def _extract(endpoint: Endpoint, session: ApiSession, hints: Hints) -> Tables:
    """All tables of a run that stands alone."""
    pipeline, absent, lacking = loading_pipeline(), hints.absent, set[str]()
    if pipeline:
        if not absent:
            check_organization_kind(pipeline, bool(session.settings.organization))
        check_keys(pipeline, [one for one in (endpoint,) if one.table not in absent])
        tables = tables_to_fill(endpoint, session.settings)
        compared = compare_tables(pipeline, [table for table in tables if table.name not in absent])
        compared.check(tables)
        lacking = compared.lacking
    run = TableSync(endpoint, session, hints=hints)
    yield from run.extract(pipeline, hints.chunk)
    if pipeline:
        yield from run.create_tables({*lacking, *hints.dropped})
        drop_views(pipeline, [table for table in run.tables() if table.name in hints.dropped])
    result, table = run.result, endpoint.table
    if result.error:
        raise result.error
    if result.verdict is not Verdict.COMPLETE:
        why = str(result.reason or result.skipped or result.stopped or "")
        if table in absent:
            raise Unproven(
                f"{table} is {result.verdict or 'skipped'}: {why}. Nothing was loaded, because the load would have "
                "dropped what the destination has.",
                "Run it again, or run it without refresh and replace.",
            )
        if not result.skipped:
            logger.warning("%s is %s: %s", table, result.verdict, why)


def _fresh_resource(
    endpoint: Endpoint,
    declared: Declared,
    session: ApiSession,
    extract: Callable[[Endpoint, Hints], Tables],
) -> DltResource:
    """A resource that starts a new sync of its table each time it is iterated."""

    def read(hints: Hints) -> Tables:
        with errors_name(session.settings.section):
            hints.check_whole(endpoint)
            yield from extract(endpoint, hints)

    return declare_resource(endpoint, declared, session.settings, read, session.clock.monotonic)


def _declare(tables: Mapping[str, Sequence[StoredTable]], settings: AutomatumSettings) -> Declared:
    """Put the tables of each resource into the schema of the source that is made now."""
    declared = {table.name: (table, resource) for resource, found in tables.items() for table in found}
    declare_tables(dlt.current.source_schema(), declared, settings.table_format)
    return declared


def declare_resource(
    endpoint: Endpoint,
    declared: Declared,
    settings: AutomatumSettings,
    read: Read,
    monotonic: Callable[[], float],
) -> DltResource:
    """The dlt resource of an endpoint.

    Args:
        endpoint: Endpoint of the table.
        declared: All tables of the source.
        settings: Resolved settings.
        read: Yields names and Arrow tables, whose ids of the load are null. Its argument is the hints.
        monotonic: Clock for `add_limit`.
    """
    own, table_format = declared[endpoint.table][0], settings.table_format

    def rows() -> Iterator[Any]:
        resource = dlt.current.resource()
        hints = read_hints(resource, endpoint, monotonic(), table_format)
        if current_load_id():  # The resource may have left its source, and the schema with it.
            declare_tables(dlt.current.source_schema(), declared, table_format)
        with take_over_limit(resource):
            yield from extracted(own.name, declared, table_format, read(hints), partial(hints.for_table, endpoint))

    rows.__doc__ = own.description  # dagster-dlt shows it as the description of an asset
    resource = make_resource(own.name, declared, table_format, rows)
    return resource.apply_hints(additional_table_hints={TABLE_HINT: own.name})
