"""dlt resources of one table run: their hints, and the source that reads one chunk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import dlt
import pyarrow as pa
from dlt.extract import DltResource

from ..config.settings import AutomatumSettings
from ..endpoints import Child, Endpoint
from ..schema.arrow_tables import DELETED_AT, EXTRA, POSITION, REMOVED, SYNCED_AT
from ..warehouse.dlt_internals import current_load_id, loading_pipeline
from ..warehouse.sql import PAGES_TABLE, SWEEPS_TABLE
from .history import VALID_FROM, history_table
from .results import Chunk
from .table_sync import TableSync

_INTENDED = (
    # Our JSON columns travel as Arrow text: that is how Arrow carries JSON.
    "when merging arrow schema with dlt schema",
    # What a destination cannot merge by, we see to ourselves: see `merging` and `lake`.
    "Falling back to `append`",
    "Merge key is not supported for this strategy",
    "hint is only applied when using the",
)


class _IntendedDifference(logging.Filter):
    """Drops dlt's warnings about what is meant to be so."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not any(part in message for part in _INTENDED)


_quiet = _IntendedDifference()


def chunk_source(runs: Sequence[TableSync], chunk: Chunk) -> Any:
    """A source that reads one chunk of these runs; their results tell how it went.

    Args:
        runs: The tables, in their order.
        chunk: Bounds of the load package, shared by all of them.
    """

    @dlt.source(name="automatum", section="automatum")
    def automatum() -> Iterable[DltResource]:
        return [_of_a_run(run, chunk) for run in runs]

    return automatum()


Read = Callable[[Any], Iterator[tuple[str, pa.Table]]]


def _of_a_run(run: TableSync, chunk: Chunk) -> DltResource:
    """A resource that goes on with a run."""
    return _declared(run.endpoint, run.settings, lambda _: run.extract(loading_pipeline(), chunk, current_load_id()))


def _declared(endpoint: Endpoint, settings: AutomatumSettings, read: Read) -> DltResource:
    logging.getLogger("dlt").addFilter(_quiet)
    hints = {child.table: _child_hints(endpoint, child) for child in endpoint.children}
    hints[SWEEPS_TABLE] = _hints(SWEEPS_TABLE, endpoint.key_with("sweep_id"))
    hints[PAGES_TABLE] = _hints(PAGES_TABLE, endpoint.key_with("sweep_id", "page"))
    hints[history_table(endpoint)] = _history_hints(endpoint)
    # dlt starts the hints of a resource's other tables from the resource's own. So these are what all of them share,
    # and the table itself has the rest as a variant, like the others.
    hints[endpoint.table] = _own_hints(endpoint, settings.deletes == "hard")
    table_format: Any = settings.table_format

    def rows(updated_at: Any = None) -> Iterator[Any]:
        for name, table in read(updated_at):
            yield dlt.mark.with_hints(table, hints[name], create_table_variant=True)

    return dlt.resource(
        rows,
        name=endpoint.table,
        primary_key=endpoint.key_with(endpoint.row_key),
        # No strategy: dlt takes the best that the destination has, see `merging`.
        write_disposition="merge",
        table_format=table_format,
        columns=[_json_column()],
    )


def _own_hints(endpoint: Endpoint, hard: bool) -> Any:
    columns = [_json_column(), {"name": SYNCED_AT, "dedup_sort": "desc"}]
    if hard:
        columns.append({"name": DELETED_AT, "hard_delete": True})
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
    # By merge key all rows of a parent are replaced; by primary key and `_removed` those of an earlier reading of the
    # same parent in the same package give way to the later one.
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
