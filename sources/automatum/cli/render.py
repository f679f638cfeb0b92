"""What a person sees: tables on stdout, progress, log and errors on stderr."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any

import orjson
from rich import box
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table as Grid

from ..api.session import ApiSession
from ..core.clock import instant
from ..core.errors import AutomatumError
from ..core.redaction import redact
from ..endpoints import PAGE_SIZE
from ..metering.model import format_decimal
from ..operations.check import CheckReport
from ..operations.plan import Plan
from ..operations.verify import Verification
from ..sync.summary import MultiOrgSummary, SyncSummary
from ..sync.table_sync import TableSync

if TYPE_CHECKING:
    from ..operations.demo import Demo

out = Console()
err = Console(stderr=True)

_STATE_STYLE = {"ok": "green", "complete": "green", "no scope": "yellow", "more_to_do": "yellow"}


def log_to_stderr(debug: bool, quiet: bool = False) -> None:
    """Show our log on stderr: what a run waits for and why; every request with `debug`; warnings alone if `quiet`."""
    logger = logging.getLogger("automatum")
    logger.setLevel(logging.DEBUG if debug else logging.WARNING if quiet else logging.INFO)
    handler: logging.Handler
    if err.is_terminal:
        handler = RichHandler(console=err, show_path=False, markup=False, rich_tracebacks=False)
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.handlers = [handler]
    logger.propagate = False


class Progress:
    """One bar a table: pages done of announced, and when the quota will let it finish. Off unless stderr is a terminal.

    Args:
        quiet: Off in a terminal, too.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._session: ApiSession | None = None
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._latest: TaskID | None = None
        if err.is_terminal and not quiet:
            self._bars = Bars(
                TextColumn("{task.description:<22}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("pages  {task.fields[left]}"),
                console=err,
                transient=True,
            )

    def on_page(self, run: TableSync) -> None:
        """Move a table's bar; the first page of another organization removes the bars of the one before."""
        if self._bars is None:
            return
        if run.api_session is not self._session:
            self._start(run.api_session)
        table, result = run.endpoint.table, run.result
        announced = result.announced
        pages = max(result.pages, -(-announced // PAGE_SIZE)) if announced is not None else None
        if table not in self._tasks:
            self._tasks[table] = self._bars.add_task(table, total=pages, left="")
        left = "" if pages is None else _duration(_seconds_left(run.api_session, pages - result.pages))
        self._latest = self._tasks[table]
        self._bars.update(self._latest, completed=result.pages, total=pages, left=left)

    def on_wait(self, seconds: float, reason: str) -> None:
        """Say beside the bar until when nothing moves, and why."""
        if self._bars is not None and self._latest is not None and self._session is not None:
            end = instant(self._session.clock.time() + seconds)
            self._bars.update(self._latest, left=f"waits until {end[11:]}: {reason}")

    def _start(self, session: ApiSession) -> None:
        self._session, self._latest = session, None
        session.client.limiter.on_wait = self.on_wait
        for task in self._tasks.values():
            self._bars.remove_task(task) if self._bars else None
        self._tasks = {}

    def __enter__(self) -> Progress:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()


def _seconds_left(session: ApiSession, requests: int) -> float:
    client = session.client
    return client.limiter.wait_for(requests, client.seconds_per_request) if requests > 0 else 0.0


def say(figures: dict[str, Any], as_json: bool, show: Callable[[], None]) -> None:
    """One JSON object, or what a person sees."""
    if as_json:
        option = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
        sys.stdout.write(orjson.dumps(figures, default=_digits, option=option).decode() + "\n")
    else:
        show()


def _digits(value: Any) -> Any:
    """Money: a number with exactly its digits, which a float would not have."""
    if isinstance(value, Decimal):
        return orjson.Fragment(format_decimal(value))
    raise TypeError(type(value).__name__)


def show_error(error: AutomatumError, about: str = "") -> None:
    """An error and its next step, on stderr; and what it is about, where that may be one of several."""
    _say("error:", "bold red", f"{about}: {error.message}" if about else error.message)
    if error.next_step:
        _say("next: ", "bold", error.next_step)


def show_fault(error: Exception) -> None:
    """An error that nobody foresaw."""
    _say("fault:", "bold red", f"{type(error).__name__}: {str(error)[:1000]}")
    _say("next: ", "bold", "This is a defect of the connector. Run again with --debug and report what it says.")


def say_line(text: str, trouble: bool = False) -> None:
    """One line, never wrapped: on stdout, or on stderr in trouble; in a file, as our log, with the time before it."""
    console = err if trouble else out
    stamp = "" if console.is_terminal else f"{instant(time.time())} "
    console.print(stamp + redact(text), markup=False, highlight=False, soft_wrap=True)


def _say(label: str, style: str, text: str) -> None:
    err.print(label, style=style, end=" ")
    # A terminal wraps; a log file is read by programs, a line an event.
    err.print(redact(text), markup=False, highlight=False, soft_wrap=not err.is_terminal)


def show_sync(summary: SyncSummary) -> None:
    """What a sync did: of one organization by table, of several by organization."""
    if not isinstance(summary, MultiOrgSummary):
        show_summary(summary)
        return
    grid = grid_of("organization", "verdict", *_FIGURES)
    for name, one in summary.organizations.items():
        tables = one.as_json()["tables"].values()
        # A sync that did not get to its tables has no figures; those of its requests are known.
        figures = {key: sum(table[key] for table in tables) for key in _FIGURES} | {"requests": one.requests}
        grid.add_row(name, _state(one.verdict), *(_number(figures[key]) for key in _FIGURES))
    out.print(grid)
    out.print(f"{summary.verdict}: {summary.requests} requests in {summary.seconds:.1f} s", highlight=False)


def show_summary(summary: SyncSummary) -> None:
    """The tables of a sync, and its verdict."""
    figures = summary.as_json()
    grid = grid_of("table", "verdict", *_FIGURES)
    for table, row in figures["tables"].items():
        grid.add_row(table, _state(row["verdict"]), *(_number(row[key]) for key in _FIGURES))
    out.print(grid)
    for table, row in figures["tables"].items():
        if row["reason"]:
            out.print(f"{table}: {row['reason']}", markup=False, highlight=False)
    for table, why in figures["skipped"].items():
        out.print(f"{table} skipped: {why}", markup=False, highlight=False)
    out.print(
        f"{figures['verdict']}: {figures['requests']} requests and {figures['token_requests']} for a token "
        f"in {figures['seconds']:.1f} s",
        highlight=False,
    )


_SHORT = {"distinct": "rows", "inserted": "new", "updated": "changed", "unchanged": "same"}
"""Headings that leave room on a terminal of 80 columns."""
_FIGURES = ("requests", "distinct", "inserted", "updated", "deleted", "unchanged")


def show_check(report: CheckReport) -> None:
    """Each table's answer, the scopes and the windows."""
    figures = report.as_json()
    grid = grid_of("table", "state", "announced")
    grid.add_column("scope")
    for table, row in figures["tables"].items():
        grid.add_row(table, _state(row["state"]), _number(row["announced"]), row["scope"])
    out.print(grid)
    granted = figures["granted_scopes"]
    out.print(f"granted: {'not said' if granted is None else ' '.join(granted) or 'nothing'}", highlight=False)
    out.print(f"push usage: {'yes' if figures['can_push'] else 'no (needs write:metering)'}", highlight=False)
    for window in figures["windows"]:
        out.print(
            f"{window['window']}: {window['used']} of {window['limit']} requests used in {window['seconds']:g} s",
            highlight=False,
        )


def show_status(figures: Mapping[str, Any]) -> None:
    """The last sweep of each table, and those under way; one organization after the other, where there are several."""
    if "organizations" in figures:
        for name, one in figures["organizations"].items():
            out.print(name, style="bold", markup=False, highlight=False)
            show_status(one)
        return
    grid = grid_of("table", "verdict", "age", "requests", "rows", "changed", "deleted")
    for table, row in figures["tables"].items():
        changed = (row["inserted"] or 0) + (row["updated"] or 0)
        numbers = (row["requests"], row["distinct_keys"], changed, row["deleted"])
        grid.add_row(table, _state(row["verdict"]), _age(row["age_seconds"]), *(_number(one) for one in numbers))
    out.print(grid if figures["tables"] else "No sweep has been recorded yet.")
    for table, row in figures["tables"].items():
        if row["reason"]:
            out.print(f"{table}: {row['reason']}", markup=False, highlight=False)
    for table, row in figures["under_way"].items():
        out.print(f"{table}: under way, {row['pages']} pages read, {_number(row['announced'])} rows announced")


def show_verification(found: Verification) -> None:
    """What was checked, and what is broken."""
    grid = grid_of("table", "broken")
    grid.add_column("rule")
    for one in found.findings:
        grid.add_row(one.table, f"[{'red' if one.broken else 'green'}]{one.broken}[/]", one.rule)
    out.print(grid)


def show_plan(plan: Plan) -> None:
    """What a sync will cost, and what it leaves."""
    grid = grid_of("table", "requests", "announced", "note")
    for one in plan.tables:
        grid.add_row(one.table, _number(one.requests), _number(one.announced), one.note)
    for table, why in plan.skipped.items():
        grid.add_row(table, "-", "-", f"skipped: {why}")
    out.print(grid)
    windows = grid_of("window", "used", "limit", "kept for metering")
    for row in plan.windows:
        windows.add_row(row["window"], _number(row["used"]), _number(row["limit"]), _number(row["reserved"]))
    out.print(windows)
    push = plan.left_for_push
    lines = [
        f"{plan.requests:,} requests and one for a token; at the present fill of the windows done in "
        f"{_duration(plan.seconds).removesuffix(' left')}, at {instant(plan.finishes_at)}.",
        f"Others have spent {plan.used_by_others:,} requests of the longest window; this forecast took {plan.spent}.",
        f"A push could send {push['now']:,} requests at once, {push['longest_window']:,} within the longest window.",
    ]
    schedule = plan.schedule
    if schedule:
        shortest = _span(schedule.shortest)
        verdict = "fits" if schedule.fits else f"does not fit; the shortest that does is every {shortest}"
        lines.append(f"Every {_span(schedule.every)}: {verdict}.")
    out.print("\n".join(lines), highlight=False)


def show_discovery(described: Mapping[str, Any]) -> None:
    """Every table with its columns."""
    for name, table in described["tables"].items():
        standing = "documented" if table["documented"] else "assumed"
        grid = Grid(title=f"{name}  ({standing}; {table['path']}; {table['scope']})", title_justify="left")
        for heading in ("column", "type", "origin", "from"):
            grid.add_column(heading)
        for column, facts in table["columns"].items():
            mark = " (key)" if column in table["key"] else ""
            grid.add_row(column + mark, facts["type"], facts["origin"], ", ".join(facts["from"]))
        out.print(grid)


def show_demo(demo: Demo) -> None:
    """What the demo did and found."""
    figures = demo.as_json()
    grid = grid_of("table", "rows")
    for table, rows in figures["rows"].items():
        grid.add_row(table, _number(rows))
    out.print(grid)
    out.print("\nThen some rows were changed at the API, and synced again:", highlight=False)
    grid = grid_of("table", "requests", "inserted", "updated", "deleted", "unchanged")
    for table, row in figures["second_sync"]["tables"].items():
        grid.add_row(table, *(_number(row[key]) for key in ("requests", "inserted", "updated", "deleted", "unchanged")))
    out.print(grid)
    for answer in figures["answers"]:
        grid = Grid(title=answer["question"], title_justify="left")
        for heading in answer["columns"]:
            grid.add_column(heading)
        for row in answer["rows"]:
            grid.add_row(*(str(value) for value in row))
        out.print(grid)
    out.print(
        f"{figures['requests']} requests in {figures['seconds']:.1f} s against {figures['api']}, a local stand-in for "
        f"the vendor's API. Look around: duckdb {figures['database']}",
        highlight=False,
    )


def show_sandbox(base_url: str, client_id: str, client_secret: str) -> None:
    """How to reach the stand-in."""
    out.print("A local stand-in for the vendor's API; what it assumes is at its root page. In another shell:")
    out.print(
        f"export SOURCES__AUTOMATUM__BASE_URL={base_url}\n"
        f"export SOURCES__AUTOMATUM__CLIENT_ID={client_id}\n"
        f"export SOURCES__AUTOMATUM__CLIENT_SECRET={client_secret}\n"
        "automatum sync",
        soft_wrap=True,
        highlight=False,
    )


def grid_of(first: str, *numbers: str) -> Grid:
    """A plain table: words, then numbers."""
    grid = Grid(box=box.SIMPLE, padding=(0, 1), pad_edge=False)
    grid.add_column(first, no_wrap=True)
    for heading in numbers:
        grid.add_column(
            _SHORT.get(heading, heading), justify="left" if heading in ("verdict", "state", "note") else "right"
        )
    return grid


def _state(word: str) -> str:
    return f"[{_STATE_STYLE.get(word, 'red')}]{word}[/]"


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _age(seconds: int) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _span(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d} left" if minutes >= 60 else f"{minutes}:{rest:02d} left"
