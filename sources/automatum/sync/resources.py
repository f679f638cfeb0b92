"""The dlt resources of the tables: their hints, those of `automatum_source`, and the dlt source of one chunk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import dlt
import pyarrow as pa
from dlt.extract import DltResource

from ..api.session import ApiSession, connect
from ..config.settings import AutomatumSettings
from ..core.errors import ScopeMissing
from ..endpoints import Child, Endpoint
from ..schema.columns import DELETED_AT, EXTRA, LOAD_ID, POSITION, REMOVED, SYNCED_AT, VALID_FROM, history_table
from ..warehouse.dataset import check_organization_kind
from ..warehouse.dlt_internals import current_load_id, loading_pipeline
from ..warehouse.records import SCHEMA, stamp
from ..warehouse.sql import PAGES_TABLE, REJECTED_TABLE, SWEEPS_TABLE
from .key_check import check_keys
from .results import Chunk, Verdict
from .selection import Selection, select_rows
from .table_sync import TableSync

logger = logging.getLogger("automatum")

Tables = Iterator[tuple[str, pa.Table]]
Read = Callable[[Any], Tables]
_EXPECTED_WARNINGS = (
    # JSON columns are text in Arrow, which has no JSON type.
    "when merging arrow schema with dlt schema",
    # Where a destination cannot merge, the connector does it: see `warehouse.merge_strategy` and `lake_files`.
    "Falling back to `append`",
    "Merge key is not supported for this strategy",
    "hint is only applied when using the",
)


class _ExpectedWarnings(logging.Filter):
    """Drops dlt's warnings about differences that are intended."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not any(part in message for part in _EXPECTED_WARNINGS)


_drop_expected_warnings = _ExpectedWarnings()


def chunk_source(tables: Mapping[TableSync, Tables]) -> Any:
    """A dlt source of one chunk, which stamps the tables with the id of their load package.

    Args:
        tables: The tables of each run, in the order in which they are read.
    """

    @dlt.source(name=SCHEMA, section="automatum")
    def automatum() -> Iterable[DltResource]:
        return [_chunk_resource(run, read) for run, read in tables.items()]

    return automatum()


def source_resources(settings: AutomatumSettings) -> list[DltResource]:
    """The resources of `automatum_source`, one for each list and each report. Each reads its table when iterated.

    Args:
        settings: Resolved settings. `tables` names the tables, each of which the scopes must allow.

    Raises:
        ConfigurationError: A setting is missing or wrong. The message names the key.
    """
    session = connect(settings)
    named = tuple(settings.tables or ())
    chosen = session.select(named)
    selection = select_rows(settings)

    def extract(run: TableSync) -> Tables:
        # There is no summary: a missing scope and an incomplete result are warnings, an error is raised.
        if named:
            session.require_scopes(chosen)
        missing = session.missing_scopes((run.endpoint,))
        if missing:
            logger.warning("%s is skipped: %s", run.endpoint.table, ScopeMissing(missing, frozenset()).message)
            return
        pipeline = loading_pipeline()
        if pipeline:
            check_organization_kind(pipeline, bool(settings.organization))
            check_keys(pipeline, (run.endpoint,))
        yield from run.extract(pipeline, Chunk(), current_load_id())
        result = run.result
        if result.error:
            raise result.error
        if result.verdict != Verdict.COMPLETE and not result.skipped:
            logger.warning("%s is %s: %s", run.endpoint.table, result.verdict, result.reason or result.stopped)

    return [_fresh_resource(endpoint, session, selection, extract) for endpoint in chosen]


def _fresh_resource(
    endpoint: Endpoint, session: ApiSession, selection: Selection, extract: Callable[[TableSync], Tables]
) -> DltResource:
    """A resource that starts a new sync of its table each time it is iterated."""
    return declare_resource(
        endpoint,
        session.settings,
        lambda incremental: extract(TableSync(endpoint, session, selection.with_incremental(incremental))),
    )


def _chunk_resource(run: TableSync, tables: Tables) -> DltResource:
    def stamped(_: Any) -> Tables:
        load_id = current_load_id()
        for name, table in tables:
            yield name, stamp(stamp(table, load_id), load_id, LOAD_ID)

    return declare_resource(run.endpoint, run.settings, stamped)


def declare_resource(endpoint: Endpoint, settings: AutomatumSettings, read: Read) -> DltResource:
    """The dlt resource of an endpoint, with the hints of all tables that it yields.

    Args:
        endpoint: Endpoint of the table.
        settings: Resolved settings.
        read: Yields names and Arrow tables. Its argument is the `dlt.sources.incremental` over `updated_at`, or None.
    """
    logging.getLogger("dlt").addFilter(_drop_expected_warnings)
    hints = {child.table: _child_hints(endpoint, child) for child in endpoint.children}
    hints[REJECTED_TABLE] = _hints(REJECTED_TABLE, endpoint.key_with("table_name", "rejection_id"))
    hints[SWEEPS_TABLE] = _hints(SWEEPS_TABLE, endpoint.key_with("sweep_id"))
    hints[PAGES_TABLE] = _hints(PAGES_TABLE, endpoint.key_with("sweep_id", "page"))
    hints[history_table(endpoint)] = _history_hints(endpoint)
    # dlt takes the hints of a resource as the base for all tables that the resource yields. So the resource has the
    # shared hints only, and each table, the resource's own included, has its other hints as a variant.
    hints[endpoint.table] = _own_hints(endpoint, settings.deletes == "hard")
    table_format: Any = settings.table_format

    def rows(updated_at: Any = None) -> Iterator[Any]:
        for name, table in read(updated_at):
            yield dlt.mark.with_hints(table, hints[name], create_table_variant=True)

    return dlt.resource(
        rows,
        name=endpoint.table,
        primary_key=endpoint.key_with(endpoint.row_key),
        # Without a merge strategy dlt takes the best that the destination has, see `warehouse.merge_strategy`.
        write_disposition="merge",
        table_format=table_format,
        columns=[_json_column()],
    )


def _own_hints(endpoint: Endpoint, hard: bool) -> Any:
    # Each hint is stated in both directions: dlt keeps what an earlier run said in the schema that it stores.
    columns = [_json_column(), {"name": SYNCED_AT, "dedup_sort": "desc"}, {"name": DELETED_AT, "hard_delete": hard}]
    key = endpoint.key_with(endpoint.row_key)
    return dlt.mark.make_hints(table_name=endpoint.table, primary_key=key, columns=columns)


def _hints(table: str, key: tuple[str, ...]) -> Any:
    return dlt.mark.make_hints(table_name=table, primary_key=key, write_disposition="merge", columns=[_json_column()])


def _history_hints(endpoint: Endpoint) -> Any:
    return dlt.mark.make_hints(
        table_name=history_table(endpoint),
        write_disposition="merge",
        primary_key=endpoint.key_with(endpoint.row_key, VALID_FROM),
        columns=[_json_column(), {"name": SYNCED_AT, "dedup_sort": "desc"}],
    )


def _json_column() -> Any:
    return {"name": EXTRA, "data_type": "json"}


def _child_hints(endpoint: Endpoint, child: Child) -> Any:
    # The merge key replaces all rows of a parent. If one load package holds the same parent twice, the primary key
    # and `_removed` keep the rows of the later reading.
    return dlt.mark.make_hints(
        table_name=child.table,
        write_disposition="merge",
        primary_key=endpoint.key_with(child.parent_key, POSITION),
        merge_key=endpoint.key_with(child.parent_key),
        columns=[
            _json_column(),
            {"name": REMOVED, "data_type": "bool", "hard_delete": True},
            {"name": SYNCED_AT, "dedup_sort": "desc"},
        ],
    )
