"""The one way to push usage, to decide about lines and to apply events, for commands, schedulers and scripts."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..api.session import connect
from ..config.settings import AutomatumSettings, find_webhook_secret, resolve_settings
from ..core.budget import Budget
from ..core.clock import Clock, SystemClock, utc
from ..core.process import user_name
from ..warehouse.dataset import use_stored_owner
from ..warehouse.duckdb_file import open_when_free
from .export import refuse_older
from .ledger.events import apply_events, read_events
from .ledger.ledger import Ledger
from .ledger.location import find_ledger, ledger_owner, problem_of_missing
from .options import PushOptions
from .push import PushResult, push
from .settle import Decision, SettleResult, settle
from .status import read_status
from .usage.sql import read_relation_or_query
from .usage.usage import read_usage
from .webhook_signature import verified_events

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
    pipeline: SupportsPipeline | None = None,
) -> PushResult:
    """Report usage to the marketplaces. Each line is billed once. Nothing is sent without `confirm`.

    Args:
        usage: A `.csv` or `.parquet` file, the name of a table or view of the destination, `sql:SELECT ...`, an Arrow
            table, a pandas frame, or an iterable of dicts.
        options: What to do, such as `PushOptions(confirm=True)`.
        settings: Resolved settings; None to read them from dlt's configuration.
        clock: Time; None for the machine's clock.
        stop: Set this event to end the run before the next call.
        pipeline: The pipeline of the destination; None for that of the options' target.

    Returns:
        What was sent, or would be: `verdict`, `exit_code`, `lines`, `charged`, `to_json()`.

    Raises:
        AutomatumError: The push cannot begin.
    """
    settings = settings or resolve_settings(with_credentials=options.confirm, organization=options.organization)
    clock = clock or SystemClock(stop)
    budget = _budget(clock, options, stop)
    session = connect(settings, clock=clock, budget=budget, max_wait=options.max_wait) if options.confirm else None
    begin = options.new_ledger and options.confirm
    with _open(settings, options, clock, begin=begin) as ledger:
        if session:
            ledger.require()
        elif not ledger.exists and (lost := problem_of_missing(ledger.location, ledger.path, begin=True)):
            raise lost
        with _reading(settings, options, clock, budget, pipeline) as place:
            if session and place is not None:
                refuse_older(ledger, place, settings.owner)
            # Before the usage is read: what arrives meanwhile must not be missing in an hour that counts as closed.
            now = utc(clock.time())
            found = read_usage(
                usage,
                pipeline=place,
                grain=options.grain,
                until=now - timedelta(minutes=settings.metering_grace_minutes),
                now=now,
                mapping=options.mapping,
                source=options.source,
                organization_id=settings.owner,
                unchecked=options.unchecked,
                clock=clock,
            )
        return push(session, found, ledger, _limited(options, settings), user_name())


def run_settle(
    ids: Collection[str],
    decision: Decision,
    options: PushOptions = _DEFAULTS,
    *,
    send: bool = False,
    reason: str = "",
    stop: threading.Event | None = None,
) -> SettleResult:
    """Decide about lines of the ledger, or close other open items. Nothing is written or sent without `confirm`.

    Args:
        ids: Ids of lines; or of journal items, to close them.
        decision: See `settle`.
        options: Of the push, whose checks and limits hold here, too.
        send: With `not_billed`: send the line now.
        reason: Why, for people.
        stop: Set this event to end the run before the next call.

    Raises:
        AutomatumError: The ledger cannot be used, or the decision is not possible.
    """
    sends = options.confirm and (send or decision == "carry")
    settings = resolve_settings(with_credentials=sends, organization=options.organization)
    clock = SystemClock(stop)
    budget = _budget(clock, options, stop)
    session = connect(settings, clock=clock, budget=budget, max_wait=options.max_wait) if sends else None
    with _open(settings, options, clock) as ledger:
        ledger.require_tables()
        pipeline = _pipeline(settings, options, clock, budget) if send or decision == "carry" else None
        if session and pipeline is not None:
            refuse_older(ledger, pipeline, settings.owner)
        return settle(
            ledger,
            session,
            ids,
            decision,
            _limited(options, settings),
            pipeline=None if options.unchecked else pipeline,
            organization_id=settings.owner,
            send=send,
            reason=reason.strip(),
            by=user_name(),
            clock=clock,
        )


def run_events(source: str, options: PushOptions = _DEFAULTS) -> dict[str, Any]:
    """Apply the vendor's `metering.*` webhook events to the lines of their calls.

    Args:
        source: A file of JSON lines; or a table or view of the destination, or `sql:SELECT ...`, whose rows are events.
        options: The ledger, the organization and the destination.

    Returns:
        See `EventsResult.to_json`; and `unresolved`: what waits for a person, by kind.

    Raises:
        AutomatumError: The ledger cannot be used, or the events cannot be read; or one of them has no valid signature.
    """
    settings = resolve_settings(with_credentials=False, organization=options.organization)
    clock = SystemClock()
    if source.lower().endswith((".json", ".jsonl", ".ndjson")) or Path(source).is_file():
        stored: Iterable[Mapping[str, Any]] = read_events(Path(source))
    else:
        pipeline = options.target.existing(clock, Budget(clock), options.lock_wait)
        forms = "Name a file of JSON lines, a table or view, or 'sql:SELECT ...'."
        batches = read_relation_or_query(pipeline, source, forms)
        stored = (dict(zip(names, row, strict=True)) for names, rows in batches for row in rows)
    # All of them before the first is used: one that is forged makes the others suspect.
    events = list(verified_events(stored, find_webhook_secret()))
    with Ledger.open(find_ledger(settings), clock, ledger_owner(settings), write=True) as ledger:
        ledger.require_tables()
        applied = apply_events(ledger, events)
        return {**applied.to_json(), "unresolved": read_status(ledger, utc(clock.time())).unresolved}


def _budget(clock: Clock, options: PushOptions, stop: threading.Event | None) -> Budget:
    seconds = None if options.max_minutes is None else options.max_minutes * 60
    return Budget(clock, max_seconds=seconds, stop=stop)


def _open(settings: AutomatumSettings, options: PushOptions, clock: Clock, *, begin: bool = False) -> Ledger:
    url = find_ledger(settings)
    return Ledger.open(url, clock, ledger_owner(settings), begin=begin, write=options.confirm)


@contextmanager
def _reading(
    settings: AutomatumSettings,
    options: PushOptions,
    clock: Clock,
    budget: Budget,
    given: SupportsPipeline | None,
) -> Iterator[SupportsPipeline | None]:
    """The pipeline, whose DuckDB file stays open: another push would take it between two queries."""
    target = options.target
    file = None if given or target.missing else target.file
    with closing(open_when_free(file, wait=options.lock_wait, clock=clock, budget=budget)) if file else nullcontext():
        yield _pipeline(settings, options, clock, budget, given)


def _pipeline(
    settings: AutomatumSettings,
    options: PushOptions,
    clock: Clock,
    budget: Budget,
    given: SupportsPipeline | None = None,
) -> SupportsPipeline | None:
    """The given pipeline, or that of the options' target; None if its DuckDB file does not exist."""
    target = options.target
    pipeline = given or (None if target.missing else target.existing(clock, budget, options.lock_wait))
    if pipeline is not None:
        use_stored_owner(pipeline, settings)
    return pipeline


def _limited(options: PushOptions, settings: AutomatumSettings) -> PushOptions:
    """The options with the limit of the settings, if they have none."""
    return replace(options, max_amount=settings.metering_max_amount) if options.max_amount is None else options
