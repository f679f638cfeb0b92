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
from typing import TYPE_CHECKING, Any

import dlt
from dlt.extract import DltResource

from ..api.session import open_session
from ..config.settings import AutomatumSettings, resolve_settings
from ..core.clock import Clock, SystemClock, utc
from ..warehouse.dlt_internals import loading_pipeline
from .checks import checks_of
from .eligibility import read_eligibility
from .export import LINES_KEY, entries_table, owner_of
from .ledger.ledger import Ledger
from .ledger.location import find_ledger, ledger_owner
from .ledger.opening import require_ledger
from .options import PushOptions
from .push import push
from .restore import check_exported
from .rules import late_ok_of
from .summary import PushSummary
from .usage.usage import read_usage

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

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
    owner = owner_of(settings.owner if settings else None)

    def lines() -> Iterator[Any]:
        pipeline = loading_pipeline()
        summary = _push(usage, options, settings, clock, pipeline)
        _log(summary, "usage")
        own = settings or resolve_settings(with_credentials=options.confirm, organization=options.organization)
        with Ledger.open(find_ledger(own, options.ledger_url), clock or SystemClock(), create=False) as ledger:
            found = list(ledger.reader.fetch(summary.line_ids).values())
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
    # Before the usage is read: what arrives meanwhile must not be missing in an hour that counts as closed.
    checks = checks_of(settings, options, usage, utc(clock.time()))
    return push(
        session,
        read_usage(usage, pipeline=pipeline, mapping=options.mapping),
        find_ledger(settings, options.ledger_url),
        clock,
        grain=options.grain,
        late_ok=late_ok_of(settings.metering_documented_window, options.late_ok),
        eligibility=eligibility,
        unchecked=options.unchecked,
        new_ledger=options.new_ledger,
        owner=ledger_owner(settings),
        checks=checks,
    )


def _log(summary: PushSummary, table: str) -> None:
    """Each row that is not billed, with its reason; and the totals."""
    for refusal in summary.classification.refused:
        logger.warning("%s, row %d is not billed: %s", table, refusal.row, refusal.reason)
    logger.info("%s: %s, %s, charged %s", table, summary.verdict, summary.lines, summary.charged)
