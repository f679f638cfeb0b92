"""Progress bars of a sync, on stderr."""

from __future__ import annotations

from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

from ..api.session import ApiSession
from ..core.clock import instant
from ..endpoints import PAGE_SIZE
from ..sync.table_sync import TableSync
from .console import err


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
        left = "" if pages is None else format_time_left(_seconds_left(run.api_session, pages - result.pages))
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


def format_time_left(seconds: float) -> str:
    """Seconds as `1:02:03 left` or `2:03 left`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d} left" if minutes >= 60 else f"{minutes}:{rest:02d} left"
