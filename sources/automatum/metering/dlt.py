"""The push for dlt users: a destination for the rows of any resource, and a resource that yields the results.

    pipeline = dlt.pipeline("usage", destination=metering_destination(PushOptions(confirm=True)))
    pipeline.run(my_usage)                                     # rows with the columns of `automatum push --usage`

    pipeline = Target(database=Path("marketplace.duckdb")).pipeline()
    pipeline.run(metering_usage("sql:SELECT * FROM usage_by_hour", PushOptions(confirm=True)))

Both push like `automatum push`. Accepted lines are not sent again, so a load job can be repeated. A refused row is
recorded and logged; it does not fail the job.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dlt
from dlt.common.destination.exceptions import DestinationTerminalException, DestinationTransientException
from dlt.common.schema import TTableSchema
from dlt.extract import DltResource

from ..api.session import open_session
from ..config.settings import AutomatumSettings, resolve_settings
from ..core.clock import Clock, SystemClock
from ..core.errors import ApiUnreachable, AutomatumError, MoreToDo
from ..warehouse.dlt_internals import loading_pipeline
from .eligibility import read_eligibility
from .export import LINES_KEY, entries_table, owner_of
from .ledger.ledger import Ledger
from .ledger.location import find_ledger, ledger_owner
from .ledger.opening import require_ledger
from .options import PushOptions
from .push import push
from .restore import check_exported
from .summary import PushSummary
from .usage.usage import read_usage

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

logger = logging.getLogger("automatum")

_DEFAULTS = PushOptions()


def metering_destination(
    options: PushOptions = _DEFAULTS, *, settings: AutomatumSettings | None = None, clock: Clock | None = None
) -> Any:
    """A dlt destination that reports the rows of its tables to the marketplaces.

    A line is summed from the rows of one load file. dlt writes one file per table and load, unless it is configured to
    rotate files (`data_writer.file_max_items`). Rows of an hour that was sent from an earlier file become a conflict.

    Args:
        options: What to do. Without `confirm` each file is only checked, and the log says what would be sent. The rows
            are not checked against synced tables, so `target` and `unchecked` have no effect.
        settings: Resolved settings; None to read them from dlt's configuration.
        clock: Time; None for the machine's clock.

    Returns:
        A destination for `dlt.pipeline`.
    """
    first = _Once(options)

    @dlt.destination(batch_size=0, loader_file_format="parquet", name="automatum_metering")
    def report(items: Any, table: TTableSchema) -> None:
        try:
            summary = _push(items, first.options(settings, clock), settings, clock)
        except (ApiUnreachable, MoreToDo) as error:
            raise DestinationTransientException(str(error)) from None
        except AutomatumError as error:
            raise DestinationTerminalException(str(error)) from None
        _log(summary, str(table.get("name")))
        for stopped in summary.errors:
            # What was not sent is planned in the ledger: the repeated job, or the next push, goes on with it.
            if isinstance(stopped, (ApiUnreachable, MoreToDo)):
                raise DestinationTransientException(str(stopped))
            raise DestinationTerminalException(str(stopped))

    return report


def metering_usage(
    usage: Any,
    options: PushOptions = _DEFAULTS,
    *,
    settings: AutomatumSettings | None = None,
    clock: Clock | None = None,
) -> DltResource:
    """A resource that pushes usage and yields the ledger's entries of its lines, as `metering_lines`.

    Args:
        usage: What `automatum push --usage` takes, or an Arrow table, a pandas frame, or an iterable of dicts. Tables
            and queries are read from the destination of the pipeline that runs the resource.
        options: What to do. Without `confirm` nothing is sent, and the resource yields only the results of earlier
            pushes. `target` and `lock_wait` have no effect.
        settings: Resolved settings; None to read them from dlt's configuration.
        clock: Time; None for the machine's clock.

    Returns:
        A resource, merged by `line_id`.

    Raises:
        AutomatumError: The push ended early. It is raised during iteration, after the lines.
    """
    owner = owner_of(settings.owner if settings else None)

    def lines() -> Iterator[Any]:
        pipeline = loading_pipeline()
        summary = _push(usage, options, settings, clock, pipeline)
        _log(summary, "usage")
        own = settings or resolve_settings(with_credentials=options.confirm, organization=options.organization)
        with Ledger.open(find_ledger(own, options.ledger_url), clock or SystemClock(), create=False) as ledger:
            found = list(ledger.fetch(summary.line_ids).values())
        if found:
            yield entries_table([{**owner, **entry.as_row()} for entry in found], LINES_KEY)
        for error in summary.errors:
            raise error

    return dlt.resource(
        lines,
        name="metering_usage",
        table_name="metering_lines",
        write_disposition="merge",
        primary_key=[*owner, "line_id"],
    )


class _Once:
    """Begins the ledger in the first job of a destination; the other jobs need it, and so do repeated ones."""

    def __init__(self, options: PushOptions) -> None:
        self._options = options
        self._lock = threading.Lock()

    def options(self, settings: AutomatumSettings | None, clock: Clock | None) -> PushOptions:
        """The options of a job, without `new_ledger`."""
        with self._lock:
            options = self._options
            if options.confirm and options.new_ledger:
                settings = settings or resolve_settings(organization=options.organization)
                url, clock = find_ledger(settings, options.ledger_url), clock or SystemClock()
                require_ledger(settings, url, clock, new=True)
                Ledger.open(url, clock, create=True).close()
            self._options = replace(options, new_ledger=False)
            return self._options


def _push(
    usage: Any,
    options: PushOptions,
    settings: AutomatumSettings | None,
    clock: Clock | None,
    pipeline: SupportsPipeline | None = None,
) -> PushSummary:
    settings = settings or resolve_settings(with_credentials=options.confirm, organization=options.organization)
    clock = clock or SystemClock()
    session = None
    if options.confirm:
        session = open_session(settings, clock, max_minutes=options.max_minutes, max_wait=options.max_wait)
        require_ledger(settings, find_ledger(settings, options.ledger_url), clock, new=options.new_ledger)
    if options.confirm and pipeline is not None:
        url = find_ledger(settings, options.ledger_url)
        check_exported(url, clock, ledger_owner(settings), pipeline, settings.owner)
    eligibility = None
    if pipeline is not None and not options.unchecked:
        eligibility = read_eligibility(pipeline, settings.owner)
    return push(
        session,
        read_usage(usage, pipeline=pipeline, mapping=options.mapping),
        find_ledger(settings, options.ledger_url),
        clock,
        grain=options.grain,
        late_ok=options.late_ok,
        eligibility=eligibility,
        unchecked=options.unchecked,
        new_ledger=options.new_ledger,
        owner=ledger_owner(settings),
    )


def _log(summary: PushSummary, table: str) -> None:
    """Each row that is not billed, with its reason; and the totals."""
    for refusal in summary.classification.refused:
        logger.warning("%s, row %d is not billed: %s", table, refusal.row, refusal.reason)
    logger.info("%s: %s, %s, charged %s", table, summary.verdict, summary.lines, summary.charged)
