"""A whole sync: chunk after chunk until every table has its verdict, and what came of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dlt.common.pipeline import SupportsPipeline

from ..api.session import ApiSession
from ..core.clock import instant, utc
from ..core.errors import (
    EXIT_ACCESS,
    EXIT_COMPLETE,
    EXIT_CONFIGURATION,
    EXIT_INCOMPLETE,
    EXIT_MORE_TO_DO,
    EXIT_SOFTWARE,
    EXIT_UNREACHABLE,
    AutomatumError,
    MoreToDo,
    ScopeMissing,
)
from ..core.result_line import format_changes, result_line
from ..warehouse.dataset import delete_page_records, prepare_dataset
from ..warehouse.load import Loader
from ..warehouse.merge_strategy import check_table_format, merge_strategy_of
from .resources import chunk_source
from .results import Chunk, Counts, Verdict
from .resume import SyncSession, take_up
from .selection import Selection, select_rows
from .table_sync import TableSync

logger = logging.getLogger("automatum")


@dataclass
class Summary:
    """What a sync did.

    Attributes:
        verdict: `complete`, `incomplete` or `more_to_do`.
        requests: API requests sent, retries included.
        token_requests: Requests for a token.
        seconds: From start to end.
        runs: What came of each table.
        skipped: Group or table to the reason why it did not run.
        errors: What went wrong, worst first.
        metering: Rows of the ledger's tables that were brought up to date; None if that was not asked for.
    """

    verdict: Verdict = "complete"
    requests: int = 0
    token_requests: int = 0
    seconds: float = 0.0
    runs: list[TableSync] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    errors: list[AutomatumError] = field(default_factory=list)
    metering: dict[str, int] | None = None

    @property
    def exit_code(self) -> int:
        """What the process says to whoever started it."""
        codes = {error.exit_code for error in self.errors}
        for code in (EXIT_CONFIGURATION, EXIT_ACCESS, EXIT_SOFTWARE, EXIT_UNREACHABLE):
            if code in codes:
                return code
        return {"complete": EXIT_COMPLETE, "incomplete": EXIT_INCOMPLETE, "more_to_do": EXIT_MORE_TO_DO}[self.verdict]

    @property
    def resume_at(self) -> float | None:
        """Epoch seconds at which to come back for the rest; None if any time will do, or nothing is left."""
        stops = [run.result.stopped for run in self.runs if run.result.verdict == "more_to_do"]
        stops += [error for error in self.errors if isinstance(error, MoreToDo)]
        return max((stop.resume_at for stop in stops if stop and stop.resume_at is not None), default=None)

    def take_over(self, earlier: Summary) -> None:
        """Take over what an earlier run of the same sync did, so that this tells of both.

        Args:
            earlier: Its summary.
        """
        known = {run.endpoint.table: run for run in earlier.runs}
        for run in self.runs:
            before = known.get(run.endpoint.table)
            if before and not run.result.settled:
                run.result.requests += before.result.requests
        self.runs = [
            known.get(run.endpoint.table, run) if run.result.settled else run for run in self.runs
        ] or earlier.runs
        self.requests = max(self.requests, earlier.requests)
        self.token_requests = max(self.token_requests, earlier.token_requests)
        self.seconds += earlier.seconds

    @property
    def named_errors(self) -> list[tuple[str, AutomatumError]]:
        """The errors, each with an empty text in place of the organization, as there is but one."""
        return [("", error) for error in self.errors]

    @property
    def changed(self) -> bool:
        """Whether any row was inserted, updated or deleted."""
        counted = [run.result.counts for run in self.runs]
        return any(counts.inserted or counts.updated or counts.deleted for counts in counted)

    def line(self, brief: bool = False) -> str:
        """The summary in one line, such as `automatum sync: complete; customers +3 ~2 -1; 11 requests, 4.2 s`.

        Args:
            brief: Without what a server or the destination said, which may hold customers' data.
        """
        tables = self.as_json()["tables"]
        reasons = [f"{one}: {said['reason']}" for one, said in tables.items() if said["verdict"] == "incomplete"]
        reasons += list(dict.fromkeys(run.result.stopped.message for run in self.runs if run.result.stopped))[:1]
        return result_line(
            "sync",
            self.verdict,
            self.exit_code,
            changes=format_changes(tables),
            cost=f"{self.requests} requests, {self.seconds:.1f} s",
            reasons=reasons,
            errors=self.named_errors,
            resume_at=self.resume_at,
            brief=brief,
        )

    def as_json(self) -> dict[str, Any]:
        """The summary as one JSON object; reports are summed under `analytics` and listed there."""
        groups: dict[str, list[TableSync]] = {}
        for run in self.runs:
            if not run.result.skipped:
                groups.setdefault(run.endpoint.group, []).append(run)
        tables: dict[str, Any] = {}
        for group, runs in groups.items():
            tables[group] = _figures(runs)
            if runs[0].endpoint.kind == "report":
                tables[group]["reports"] = {run.endpoint.table: _figures([run]) for run in runs}
        return {
            "verdict": self.verdict,
            "requests": self.requests,
            "token_requests": self.token_requests,
            "seconds": round(self.seconds, 3),
            "resume_at": None if self.resume_at is None else instant(self.resume_at),
            "tables": tables,
            "skipped": self.skipped,
            "errors": [error.as_json() for error in self.errors],
            **({} if self.metering is None else {"metering": self.metering}),
        }


def sync(
    connection: ApiSession,
    pipeline: SupportsPipeline,
    names: Sequence[str] = (),
    *,
    selection: Selection | None = None,
    on_page: Callable[[TableSync], None] | None = None,
    free: Callable[[], None] = lambda: None,
) -> Summary:
    """Bring the destination up to date.

    Args:
        connection: The API.
        pipeline: The dlt pipeline that loads.
        names: Tables or groups; empty for the configured ones, or else for all that the scopes allow.
        selection: Which rows, and what may be done about missing ones; None for what the settings say.
        on_page: Called after each page, with the run it belongs to.
        free: Waits until no other program holds the destination, or raises; see `Warehouse.written_by`.

    Returns:
        What was done. Errors of single tables are in it; the others were synced all the same.

    Raises:
        ConfigurationError: An unknown name.
        AccessError: The credentials are refused.
        ApiUnreachable: The token endpoint gives no answer.
        Busy: Another program holds the destination; what was read is loaded by the next run.
        DestinationError: The destination refuses.
    """
    started = connection.clock.monotonic()
    summary = Summary()
    settings = connection.settings
    selection = selection or select_rows(settings)
    named = tuple(names) or tuple(settings.tables or ())
    chosen = connection.select(named, "argument TABLE" if names else "sources.automatum.tables")
    merge_strategy_of(pipeline, settings)  # what the destination cannot do is said before a request is spent
    missing = connection.missing_scopes(chosen)
    prepare_dataset(pipeline, bool(settings.organization))
    check_table_format(pipeline, settings, [one.table for one in chosen])
    load = Loader(pipeline, connection.clock, free)
    left_behind = load.load_pending(f"{settings.base_url} {settings.client_id}")
    granted = [one.table for one in chosen if one.group not in missing]
    session = _session(connection, pipeline, granted, selection, left_behind)
    summary.runs = [TableSync(endpoint, connection, selection, on_page, session) for endpoint in chosen]
    _leave_out(missing, connection, summary, asked_for=bool(named))
    for run in summary.runs:
        if session and run.endpoint.table in session.settled:
            run.settle(session.settled[run.endpoint.table])
    while todo := [run for run in summary.runs if not run.done]:
        chunk = Chunk(settings.chunk_rows, connection.clock.monotonic() + settings.chunk_seconds)
        load.run(chunk_source(todo, chunk))
    over = [run.endpoint.table for run in summary.runs if run.left_pages and run.result.verdict != "more_to_do"]
    if over:
        delete_page_records(pipeline, over, settings.owner)
    _conclude(connection, summary, started)
    for run in summary.runs:
        run.forget()
    return summary


def _session(
    connection: ApiSession,
    pipeline: SupportsPipeline,
    tables: Sequence[str],
    selection: Selection,
    left_behind: bool,
) -> SyncSession | None:
    """The sync that this run belongs to; None where it reads a part only, or no table at all."""
    if not tables or not selection.everything or selection.ranged:
        return None
    now, owner = utc(connection.clock.time()), connection.settings.owner
    session = take_up(pipeline, tables, now, left_behind, owner)
    if session.settled:
        logger.info("going on with an interrupted sync; finished already: %s", ", ".join(sorted(session.settled)))
    return session


def _leave_out(missing: dict[str, str], connection: ApiSession, summary: Summary, asked_for: bool) -> None:
    """Skip what is not granted; an error if it was asked for, or if nothing is left: least privilege is none."""
    for run in summary.runs:
        if run.endpoint.group in missing:
            run.skip(f"needs scope {missing[run.endpoint.group]}, which is not granted")
    if missing and (asked_for or all(run.result.skipped for run in summary.runs)):
        summary.errors.append(ScopeMissing(missing, connection.client.tokens.scopes() or frozenset()))


def _conclude(connection: ApiSession, summary: Summary, started: float) -> None:
    budget = connection.budget
    summary.requests, summary.token_requests = budget.requests, budget.token_requests
    summary.seconds = connection.clock.monotonic() - started
    skipped_groups = {run.endpoint.group: run.result.skipped for run in summary.runs if run.result.skipped}
    ran_groups = {run.endpoint.group for run in summary.runs if not run.result.skipped}
    for run in summary.runs:
        if run.result.skipped:
            group = run.endpoint.group
            name = run.endpoint.table if group in ran_groups else group
            summary.skipped[name] = run.result.skipped if group in ran_groups else skipped_groups[group]
        elif run.result.error:
            summary.errors.append(run.result.error)
    verdicts = [run.result.verdict for run in summary.runs if not run.result.skipped]
    if "more_to_do" in verdicts:
        summary.verdict = "more_to_do"
    if summary.errors or "incomplete" in verdicts or None in verdicts:
        summary.verdict = "more_to_do" if "more_to_do" in verdicts and not summary.errors else "incomplete"


def _figures(runs: Sequence[TableSync]) -> dict[str, Any]:
    results = [run.result for run in runs]
    counts = Counts()
    for result in results:
        counts.inserted += result.counts.inserted
        counts.updated += result.counts.updated
        counts.deleted += result.counts.deleted
        counts.unchanged += result.counts.unchanged
    verdicts = [result.verdict or "incomplete" for result in results]
    worst = next((one for one in ("incomplete", "more_to_do") if one in verdicts), "complete")
    announced = [result.announced for result in results]
    reasons = [result.reason or str(result.error or result.stopped or "") for result in results]
    return {
        "verdict": worst,
        "reason": "; ".join(reason for reason in reasons if reason),
        "requests": sum(result.requests for result in results),
        "pages": sum(result.pages for result in results),
        "announced": sum(one or 0 for one in announced) if any(one is not None for one in announced) else None,
        "distinct": sum(result.distinct for result in results),
        "inserted": counts.inserted,
        "updated": counts.updated,
        "deleted": counts.deleted,
        "unchanged": counts.unchanged,
    }
