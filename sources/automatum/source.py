"""The dlt source: one resource a list, one a report.

    pipeline = dlt.pipeline("automatum", destination="duckdb", dataset_name="marketplace")
    pipeline.run(automatum_source())
    pipeline.run(automatum_source().with_resources("customers"))
    tables = list(automatum_source().customers)     # pyarrow tables, without a pipeline

Each resource yields Arrow tables and merges them by key. Child tables (`entitlement_dimensions`,
`private_offer_payments`) come from the resource of their parent, in the same load package.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import dlt
import pyarrow as pa
from dlt.common.configuration.container import Container
from dlt.common.pipeline import SupportsPipeline
from dlt.common.storages.load_package import LoadPackageStateInjectableContext
from dlt.common.typing import TSecretStrValue
from dlt.extract import DltResource

from .connection import Connection, connect
from .dataset import PAGES_TABLE, SWEEPS_TABLE
from .destination import refuse_other_kind
from .endpoints import Child, Endpoint
from .errors import ScopeMissing
from .history import VALID_FROM, history_table
from .outcome import Chunk
from .reading import TableRun
from .records import DELETED_AT, EXTRA, POSITION, REMOVED, SYNCED_AT
from .selection import Selection
from .settings import DEFAULT_BASE_URL, AskedFor, AutomatumSettings

logger = logging.getLogger("automatum")


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


@dlt.source(name="automatum", section="automatum", spec=AutomatumSettings)
def automatum_source(
    client_id: str = dlt.config.value,
    client_secret: TSecretStrValue = dlt.secrets.value,
    base_url: str = DEFAULT_BASE_URL,
    tables: list[str] | None = None,
    since: str | None = None,
    settings: AutomatumSettings = None,  # type: ignore[assignment]
) -> Iterable[DltResource]:
    """Customers, entitlements, private offers and analytics reports of an Automatum organization.

    Args:
        client_id: OAuth client id (`app_...`); from `sources.automatum.client_id` or `AUTOMATUM_CLIENT_ID`.
        client_secret: OAuth client secret; from `sources.automatum.client_secret` or `AUTOMATUM_CLIENT_SECRET`.
        base_url: Root of the host.
        tables: Tables to read; all that the token grants by default. A table named here must be granted.
        since: First day of the reports, ISO date; 365 days ago by default.
        settings: All settings at once; the other arguments win over it.

    Returns:
        A dlt source with the resources `customers`, `entitlements`, `private_offers` and one for each analytics report
        (`analytics_revenue`).

    Raises:
        ConfigurationError: A setting is missing or wrong; the key is named.
    """
    connection = connect(settings)
    named = tuple(settings.tables or ())
    chosen = connection.select(named)
    selection = select_rows(settings)

    def alone(run: TableRun) -> Iterator[tuple[str, pa.Table]]:
        # A resource that is run by itself speaks for itself: what it lacks is a warning, what breaks is raised.
        if named:
            connection.require_scopes(chosen)
        missing = connection.missing_scopes((run.endpoint,))
        if missing:
            logger.warning("%s is skipped: %s", run.endpoint.table, ScopeMissing(missing, frozenset()).message)
            return
        pipeline = loading_pipeline()
        if pipeline:
            refuse_other_kind(pipeline, bool(settings.organization))
        yield from run.extract(pipeline, Chunk(), load_id())
        outcome = run.outcome
        if outcome.error:
            raise outcome.error
        if outcome.verdict != "complete" and not outcome.skipped:
            logger.warning("%s is %s: %s", run.endpoint.table, outcome.verdict, outcome.reason or outcome.stopped)

    return [_by_itself(endpoint, connection, selection, alone) for endpoint in chosen]


# Of a source's own specification, dlt writes a placeholder for every secret, also for one with a default, and complains
# of each at every run.
automatum_source.ref.SPEC = AskedFor


def select_rows(settings: AutomatumSettings) -> Selection:
    """The filters that the settings name."""
    filters = {"vendor": settings.vendor, "status": settings.status}
    return Selection({name: value for name, value in filters.items() if value})


def chunk_source(runs: Sequence[TableRun], chunk: Chunk) -> Any:
    """A source that reads one chunk of these runs; their outcomes tell how it went.

    Args:
        runs: The tables, in their order.
        chunk: Bounds of the load package, shared by all of them.
    """

    @dlt.source(name="automatum", section="automatum")
    def automatum() -> Iterable[DltResource]:
        return [_of_a_run(run, chunk) for run in runs]

    return automatum()


Read = Callable[[Any], Iterator[tuple[str, pa.Table]]]


def _by_itself(
    endpoint: Endpoint,
    connection: Connection,
    selection: Selection,
    extract: Callable[[TableRun], Iterator[tuple[str, pa.Table]]],
) -> DltResource:
    """A resource that starts a new run of its table each time it is iterated."""
    settings = connection.settings
    return _declared(
        endpoint,
        settings,
        lambda bounds: extract(TableRun(endpoint, connection, selection.within(bounds))),
    )


def _of_a_run(run: TableRun, chunk: Chunk) -> DltResource:
    """A resource that goes on with a run."""
    return _declared(run.endpoint, run.settings, lambda _: run.extract(loading_pipeline(), chunk, load_id()))


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


def loading_pipeline() -> SupportsPipeline | None:
    """The pipeline that is extracting right now; None when a resource is iterated by itself.

    A pipeline that was merely used before in this process does not count: rows must not be held against it.
    """
    return dlt.current.pipeline() if LoadPackageStateInjectableContext in Container() else None


def load_id() -> str:
    """Id of the load package that is being extracted; empty outside of a pipeline."""
    container = Container()
    if LoadPackageStateInjectableContext not in container:
        return ""
    return str(container[LoadPackageStateInjectableContext].load_id)
