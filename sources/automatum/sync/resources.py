"""The dlt resources of `automatum_source`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
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
from ..warehouse.catalog import drop_views
from ..warehouse.compare import compare_tables
from ..warehouse.dataset import check_organization_kind
from ..warehouse.dlt_internals import current_load_id, loading_pipeline, take_over_limit
from ..warehouse.dlt_schema import Declared, declare_tables, extracted, make_resource
from .engine import TABLE_SYNCS
from .hints import TABLE_HINT, Hints, check_hints, read_hints
from .key_check import check_keys
from .results import Verdict
from .table_sync import tables_to_fill

logger = logging.getLogger("automatum")

Tables = Iterator[tuple[str, pa.Table]]


def source_resources(settings: AutomatumSettings) -> list[DltResource]:
    """The resources of `automatum_source`, one for each list and each report. Each reads its table when iterated.

    Args:
        settings: Resolved settings. `tables` names the tables, each of which the scopes must allow.

    Raises:
        ConfigurationError: A setting is missing or wrong. The message names the key.
    """
    session = connect(settings)
    chosen = session.select()
    declared = {table.name: (table, one.table) for one in chosen for table in tables_to_fill(one, settings)}
    declare_tables(dlt.current.source_schema(), declared)
    return [_resource(endpoint, chosen, declared, session) for endpoint in chosen]


def _resource(endpoint: Endpoint, chosen: tuple[Endpoint, ...], declared: Declared, session: ApiSession) -> DltResource:
    """A resource that starts a new sync of its table each time it is iterated."""
    own, settings, monotonic = declared[endpoint.table][0], session.settings, session.clock.monotonic

    def rows() -> Iterator[Any]:
        resource = dlt.current.resource()
        hints = read_hints(resource, endpoint, monotonic())
        if current_load_id():  # The resource may have left its source, and the schema with it.
            declare_tables(dlt.current.source_schema(), declared)
        with take_over_limit(resource), errors_name(settings.section):
            hints.check_whole(endpoint)
            check_hints(chosen, monotonic())
            tables = _extract(endpoint, session, hints) if _is_granted(endpoint, chosen, session, hints) else iter(())
            yield from extracted(own.name, declared, tables, partial(hints.for_table, endpoint))

    rows.__doc__ = own.description  # dagster-dlt shows it as the description of an asset
    resource = make_resource(own.name, declared, rows)
    return resource.apply_hints(additional_table_hints={TABLE_HINT: own.name})


def _is_granted(endpoint: Endpoint, chosen: tuple[Endpoint, ...], session: ApiSession, hints: Hints) -> bool:
    """Whether the scopes allow a table. There is no summary, so that they do not is a warning."""
    if session.settings.tables:
        session.require_scopes(chosen)
    if missing := session.missing_scopes((endpoint,)):
        error = ScopeMissing(missing, frozenset())
        if endpoint.table in hints.absent:
            raise error  # dlt would empty the table.
        logger.warning("%s is skipped: %s", endpoint.table, error.message)
    return not missing


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
    run = TABLE_SYNCS[endpoint.kind](endpoint, session, hints=hints)
    yield from run.extract(pipeline, hints.chunk)
    if pipeline:
        yield from run.create_tables({*lacking, *hints.dropped})
        drop_views(pipeline, [table for table in run.tables if table.name in hints.dropped])
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
