"""The push for dlt users: a resource that pushes usage of the warehouse and yields the results.

    pipeline = Target(database=Path("marketplace.duckdb")).pipeline()
    pipeline.run(my_usage, table_name="usage")                          # any resource, also an incremental one
    pipeline.run(metering_usage("usage", PushOptions(confirm=True)))    # the whole table, each line once

It pushes like `automatum push`. Accepted lines are not sent again, so a run can be repeated. A refused row is recorded
and logged; it does not fail the load. There is no destination that pushes: see `docs/decisions.md`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from dlt.extract import DltResource

from ..config.settings import AutomatumSettings, resolve_settings
from ..core.clock import Clock, SystemClock
from ..schema.metering_tables import LINES
from ..warehouse.dlt_internals import loading_pipeline
from .export import declare_resource, entries_table
from .ledger.ledger import Ledger
from .ledger.location import find_ledger
from .options import PushOptions
from .run import read_and_push
from .summary import PushSummary

logger = logging.getLogger("automatum")

_DEFAULTS = PushOptions()


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
    owner = settings.owner if settings else None

    def lines() -> Iterator[Any]:
        own = settings or resolve_settings(with_credentials=options.confirm, organization=options.organization)
        summary = read_and_push(usage, options, own, lambda *_: loading_pipeline(), clock)
        _log(summary)
        with Ledger.open(find_ledger(own, options.ledger_url), clock or SystemClock(), create=False) as ledger:
            found = list(ledger.reader.fetch(summary.line_ids).values())
        if found:
            yield entries_table(LINES, [entry.as_row() for entry in found], own.owner)
        for error in summary.errors:
            raise error

    return declare_resource("metering_usage", LINES, lines, owner, (LINES.name,))


def _log(summary: PushSummary) -> None:
    """Log each row that is not billed, with its reason; and the totals."""
    for refusal in summary.classification.refused:
        logger.warning("usage, row %d is not billed: %s", refusal.row, refusal.reason)
    logger.info("usage: %s, %s, charged %s", summary.verdict, summary.lines, summary.charged)
