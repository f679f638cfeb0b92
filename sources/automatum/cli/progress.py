"""Progress bars of a sync, on stderr."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column

from ..core.clock import format_duration, instant
from .console import err

if TYPE_CHECKING:
    from ..api.session import ApiSession
    from ..sync.table_sync import TableSync


class Progress:
    """A bar for each table: its pages, and how long the rate limits let it take. Off unless stderr is a terminal.

    Args:
        quiet: Off in a terminal, too.
        console: The terminal.
    """

    def __init__(self, quiet: bool = False, console: Console = err) -> None:
        self._session: ApiSession | None = None
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._latest: TaskID | None = None
        if console.is_terminal and not console.is_dumb_terminal and not quiet:
            self._bars = Bars(*_columns(console.width), console=console, transient=True)

    def on_page(self, run: TableSync) -> None:
        """Move a table's bar; the first page of another organization removes the bars of the one before."""
        if self._bars is None:
            return
        if run.session is not self._session:
            self._session, self._latest, self._tasks = run.session, None, {}
            run.session.client.limiter.on_wait = self.on_wait
            for task in self._bars.task_ids:
                self._bars.remove_task(task)
        table, result = run.endpoint.table, run.result
        announced = result.announced
        pages = max(result.pages, -(-announced // run.endpoint.paging.size)) if announced is not None else None
        if table not in self._tasks:
            self._tasks[table] = self._bars.add_task(table, total=pages, count="", left="")
        left = "" if pages is None else _time_left(run.session, pages - result.pages)
        self._latest = self._tasks[table]
        count = f"{result.pages}/{'?' if pages is None else pages}"
        self._bars.update(self._latest, completed=result.pages, total=pages, count=count, left=left)

    def on_wait(self, seconds: float, reason: str) -> None:
        """Say beside the bar until when nothing moves. The log says why."""
        if self._bars is not None and self._latest is not None and self._session is not None:
            self._bars.update(self._latest, left=f"until {instant(self._session.clock.time() + seconds)[11:16]}")

    def __enter__(self) -> Progress:
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()


def _columns(width: int) -> list[ProgressColumn]:
    """Name, bar, count and time, so wide together that the terminal shows each of them."""
    bar, count, left = max(5, min(40, width - 48)), 9, 11
    name = max(6, min(24, width - bar - count - left - 4))
    return [
        TextColumn("{task.description}", table_column=Column(width=name, no_wrap=True, overflow="ellipsis")),
        BarColumn(bar, table_column=Column(width=bar)),
        TextColumn("{task.fields[count]}", table_column=Column(width=count, no_wrap=True), justify="right"),
        TextColumn("{task.fields[left]}", table_column=Column(width=left, no_wrap=True)),
    ]


def _time_left(session: ApiSession, requests: int) -> str:
    client = session.client
    return format_duration(client.limiter.wait_for(requests, client.seconds_per_request) if requests > 0 else 0.0)
