"""`run_push`: the one way to push usage, for the command line, schedulers, scripts and notebooks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..api.session import connect
from ..config.settings import AutomatumSettings, resolve_settings
from ..core.budget import Budget
from ..core.clock import Clock, SystemClock, utc
from ..warehouse.owners import use_stored_owner
from .checks import checks_of
from .eligibility import UNCHECKED, read_eligibility
from .ledger.location import find_ledger, ledger_owner
from .ledger.opening import require_ledger
from .options import PushOptions
from .push import push
from .restore import check_exported
from .summary import PushSummary
from .usage.usage import read_usage

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

_DEFAULTS = PushOptions()


def run_push(
    usage: Any,
    options: PushOptions = _DEFAULTS,
    *,
    settings: AutomatumSettings | None = None,
    clock: Clock | None = None,
    stop: threading.Event | None = None,
) -> PushSummary:
    """Report usage to the marketplaces. Each line is billed once. Nothing is sent without `confirm`.

    Args:
        usage: A `.csv` or `.parquet` file, the name of a table or view of the destination, `sql:SELECT ...`, an Arrow
            table, a pandas frame, or an iterable of dicts.
        options: What to do, such as `PushOptions(confirm=True)`.
        settings: Resolved settings; None to read them from dlt's configuration.
        clock: Time; None for the machine's clock.
        stop: Set this event to end the run before the next call.

    Returns:
        What was sent, or would be: `verdict`, `exit_code`, `lines`, `charged`, `as_json()`.

    Raises:
        AutomatumError: The push cannot begin.
    """
    settings = settings or resolve_settings(with_credentials=options.confirm, organization=options.organization)

    def open_pipeline(clock: Clock, budget: Budget) -> SupportsPipeline | None:
        if options.target.missing:
            return None
        return options.target.existing(clock, budget, options.lock_wait)

    return read_and_push(usage, options, settings, open_pipeline, clock, stop)


def read_and_push(
    usage: Any,
    options: PushOptions,
    settings: AutomatumSettings,
    open_pipeline: Callable[[Clock, Budget], SupportsPipeline | None],
    clock: Clock | None = None,
    stop: threading.Event | None = None,
) -> PushSummary:
    """Check that the ledger is the right one, read the usage and the synced tables, and push.

    Args:
        usage: As for `run_push`.
        options: What to do.
        settings: Resolved settings.
        open_pipeline: Gives the pipeline of the destination; None if there is no destination.
        clock: Time; None for the machine's clock.
        stop: Set this event to end the run before the next call.

    Raises:
        AutomatumError: The push cannot begin.
    """
    ledger_url, owner = find_ledger(settings, options.ledger_url), ledger_owner(settings)
    clock = clock or SystemClock(stop)
    seconds = None if options.max_minutes is None else options.max_minutes * 60
    budget = Budget(clock, max_seconds=seconds, stop=stop)
    session = connect(settings, clock=clock, budget=budget, max_wait=options.max_wait) if options.confirm else None
    if session:
        require_ledger(settings, ledger_url, clock, new=options.new_ledger)
    pipeline = open_pipeline(clock, budget)
    if pipeline is not None:
        use_stored_owner(pipeline, settings)
    if session and pipeline is not None:
        check_exported(ledger_url, clock, owner, pipeline, settings.owner)
    eligibility = UNCHECKED
    if pipeline is not None and not options.unchecked:
        eligibility = read_eligibility(pipeline, settings.owner)
    # Before the usage is read: what arrives meanwhile must not be missing in an hour that counts as closed.
    checks = checks_of(settings, options, usage, utc(clock.time()), eligibility)
    return push(
        session,
        read_usage(usage, pipeline=pipeline, mapping=options.mapping),
        ledger_url,
        clock,
        grain=options.grain,
        new_ledger=options.new_ledger,
        owner=owner,
        checks=checks,
    )
