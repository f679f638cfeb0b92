"""The push for dlt users: a destination that any resource can feed, and a resource that tells what came of it.

    pipeline = dlt.pipeline("usage", destination=metering_destination(confirm=True))
    pipeline.run(my_usage)                                     # rows with the columns of `automatum push --usage`

    pipeline = dlt.pipeline("automatum", destination="duckdb", dataset_name="marketplace")
    pipeline.run(metering_usage("sql:SELECT * FROM usage_by_hour", confirm=True))

Both are `push`: what was accepted is not sent again, so that a load job may be repeated; a row that is refused is
written down and told, and does not make the job fail.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import dlt
from dlt.common.destination.exceptions import DestinationTerminalException, DestinationTransientException
from dlt.common.schema import TTableSchema
from dlt.extract import DltResource

from ..api.session import connect
from ..config.settings import AutomatumSettings, resolve_settings
from ..core.clock import Clock, SystemClock
from ..core.errors import ApiUnreachable, AutomatumError, MoreToDo
from ..warehouse.dlt_internals import loading_pipeline
from .eligibility import read_eligibility
from .export import LINES_KEY, entries_table, owner_of
from .ledger.ledger import Ledger
from .ledger.location import find_ledger
from .model import Grain
from .push import PushSummary, push
from .usage.usage import read_usage

logger = logging.getLogger("automatum")


def metering_destination(
    *,
    confirm: bool = False,
    grain: Grain = "hour",
    late_ok: bool = False,
    ledger_url: str | None = None,
    mapping: Mapping[str, str] | None = None,
    settings: AutomatumSettings | None = None,
    clock: Clock | None = None,
) -> Any:
    """A dlt destination that reports the rows of its tables to the marketplaces.

    A line is summed from the rows of one load file; dlt writes one file a table and load, unless it is told to rotate
    them (`data_writer.file_max_items`). Rows of an hour that went out in an earlier file show as a conflict.

    Args:
        confirm: Send. Without it each file is only looked over, and the log says what it would mean.
        grain: Sum by the hour or by the day.
        late_ok: Send what is past the strictest known limit, too.
        ledger_url: Where it is kept what was sent; None for what the settings say.
        mapping: Our name of a column to the name in the rows.
        settings: Resolved settings; None to read them from dlt's configuration.
        clock: Time; None for the machine's.

    Returns:
        A destination for `dlt.pipeline`.
    """

    @dlt.destination(batch_size=0, loader_file_format="parquet", name="automatum_metering")
    def report(items: Any, table: TTableSchema) -> None:
        try:
            summary = _push(items, mapping, confirm, grain, late_ok, ledger_url, settings, clock)
        except (ApiUnreachable, MoreToDo) as error:
            raise DestinationTransientException(str(error)) from None
        except AutomatumError as error:
            raise DestinationTerminalException(str(error)) from None
        _tell(summary, str(table.get("name")))
        for stop in summary.errors:
            # What was not sent is planned in the ledger: the repeated job, or the next push, goes on with it.
            if isinstance(stop, (ApiUnreachable, MoreToDo)):
                raise DestinationTransientException(str(stop))
            raise DestinationTerminalException(str(stop))

    return report()


def metering_usage(
    usage: Any,
    *,
    confirm: bool = False,
    grain: Grain = "hour",
    late_ok: bool = False,
    ledger_url: str | None = None,
    mapping: Mapping[str, str] | None = None,
    settings: AutomatumSettings | None = None,
    clock: Clock | None = None,
) -> DltResource:
    """A resource that pushes usage and yields what the ledger then says of its lines, as `metering_lines`.

    Args:
        usage: What `automatum push --usage` takes, or an Arrow table, a pandas frame, or an iterable of dicts.
            Relations are read from the destination of the pipeline that runs the resource.
        confirm: Send. Without it nothing is sent and nothing yielded but what earlier pushes came to.
        grain: Sum by the hour or by the day.
        late_ok: Send what is past the strictest known limit, too.
        ledger_url: Where it is kept what was sent; None for what the settings say.
        mapping: Our name of a column to the name in the usage.
        settings: Resolved settings; None to read them from dlt's configuration.
        clock: Time; None for the machine's.

    Returns:
        A resource, merged by `line_id`.

    Raises:
        AutomatumError: What ended the push, when it is iterated; after the lines that it came to.
    """
    owner = owner_of(settings.owner if settings else None)

    def lines() -> Iterator[Any]:
        summary = _push(usage, mapping, confirm, grain, late_ok, ledger_url, settings, clock, check=True)
        _tell(summary, "usage")
        own = settings or resolve_settings(with_credentials=confirm)
        with Ledger.open(find_ledger(own, ledger_url), clock or SystemClock(), create=False) as ledger:
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


def _push(
    usage: Any,
    mapping: Mapping[str, str] | None,
    confirm: bool,
    grain: Grain,
    late_ok: bool,
    ledger_url: str | None,
    settings: AutomatumSettings | None,
    clock: Clock | None,
    *,
    check: bool = False,
) -> PushSummary:
    settings = settings or resolve_settings(with_credentials=confirm)
    clock = clock or SystemClock()
    pipeline = loading_pipeline() if check else None
    return push(
        connect(settings, clock=clock) if confirm else None,
        read_usage(usage, pipeline=pipeline, mapping=mapping),
        find_ledger(settings, ledger_url),
        clock,
        grain=grain,
        late_ok=late_ok,
        entitled=read_eligibility(pipeline, settings.owner) if pipeline else None,
    )


def _tell(summary: PushSummary, table: str) -> None:
    """Each row that is not billed, with its reason; and the sums."""
    for refusal in summary.intake.refused:
        logger.warning("%s, row %d is not billed: %s", table, refusal.row, refusal.reason)
    logger.info("%s: %s, %s, charged %s", table, summary.verdict, summary.lines, summary.charged)
