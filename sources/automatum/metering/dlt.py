"""The push for dlt users: a resource that pushes usage of the warehouse and yields the results.

    pipeline = Target(database=Path("marketplace.duckdb")).pipeline()
    pipeline.run(my_usage, table_name="usage")                          # any resource, also an incremental one
    pipeline.run(metering_usage("usage", PushOptions(confirm=True)))    # the whole table, each line once

It pushes like `automatum push`. Accepted lines are not sent again, so a run can be repeated. A refused row is recorded
and logged; it does not fail the load. There is no destination that pushes: see `docs/internals/decisions.md`.
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
from .export import as_arrow, declare_resource, refuse_own_tables
from .ledger.entries import entry_figures
from .ledger.ledger import Ledger
from .ledger.location import find_ledger, ledger_owner
from .options import PushOptions
from .run import run_push

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
            pushes. `target` and `lock_wait` count only outside of a pipeline.
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
        pipeline = loading_pipeline()
        if pipeline is not None:
            refuse_own_tables(pipeline)
        result = run_push(usage, options, settings=own, clock=clock, pipeline=pipeline)
        for refusal in result.plan.refusals:
            logger.warning("usage: %d rows are not billed: %s", refusal.count, refusal.reason)
        logger.info("%s", result.line())
        url = find_ledger(own)
        with Ledger.open(url, clock or SystemClock(), ledger_owner(own)) as ledger:
            found = ledger.fetch([line.id for line in result.usage.lines]).values() if ledger.exists else ()
        if found:
            yield as_arrow(LINES, map(entry_figures, found), own.owner)
        for error in result.errors:
            raise error

    return declare_resource("metering_usage", LINES, lines, owner)
