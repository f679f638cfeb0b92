"""Processes that spend one quota together, to be killed at any moment. Forked from a server that has imported all."""

import itertools
import json
import multiprocessing
import os
import time
from bisect import bisect_right
from pathlib import Path

from tests.support.desk import await_

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["automatum.api.session", "redis", "platformdirs", "tests.support.quota_processes"])

PATH = "customers"


def optimum(limits, costs):
    """Seconds from the first request's sending to the last one's answer, if nothing but sliding windows held them up.

    Of [N, W] follows that the k-th request is at least W later than the (k - N)-th: otherwise some stretch of W held
    N + 1 of them. Sending each as early as these rules allow breaks none, and by induction nobody is earlier with any
    k-th request, as each rule only grows with the times of those before. A server of fixed windows allows more to
    somebody who knows when they begin, which no client does.

    Args:
        limits: Pairs of requests and seconds.
        costs: Of each request, the seconds from its sending to the next one's, if no window held it up: 0 for the
            windows' own optimum. A request counts from its answer, as nobody knows when before that it was counted.
    """
    sent = []
    for place in range(len(costs)):
        rules = [sent[place - limit] + costs[place - limit] + seconds for limit, seconds in limits if place >= limit]
        sent.append(max([sent[-1] + costs[place - 1], *rules]) if sent else 0.0)
    return sent[-1] + costs[-1]


def worst(times, limits):
    """Requests beyond a limit in the worst stretch of any window, sliding or fixed at whatever phase; 0 if there are
    none: every fixed window lies within the stretch of the same length that ends with its last request."""
    times, over = sorted(times), 0
    for limit, seconds in limits:
        for place, moment in enumerate(times):
            over = max(over, place + 1 - bisect_right(times, moment - seconds) - limit)
    return over


def spend(settings: dict, home: str, report: str, count: int | None, until: float | None) -> None:
    """GET a page again and again, and write down how far it got. Runs in the child.

    Args:
        settings: Explicit settings.
        home: Home folder, which holds the state folder.
        report: File to write to, a line each time: `ready`, then for each request `sending` and the monotonic time of
            its answer, and `done`.
        count: Requests; None for any number.
        until: Seconds from the start after which no more is sent; None for no end.
    """
    os.environ["HOME"] = home
    from automatum.api import oauth
    from automatum.api.session import connect
    from automatum.config.settings import resolve_settings
    from automatum.core.budget import Budget
    from automatum.core.clock import SystemClock
    from automatum.core.errors import MoreToDo

    class TellingBudget(Budget):
        def charge_request(self):
            super().charge_request()
            told.write("sending\n")

    go = Path(report).with_suffix(".go")
    with Path(report).open("w", buffering=1) as told:
        told.write("ready\n")
        await_(go.exists, 60)
        clock = SystemClock()
        budget = TellingBudget(clock, max_requests=count, max_seconds=until)
        # Shares are counted over the whole limit.
        oauth.METERING_RESERVE = 0.0
        session = connect(resolve_settings(settings), clock=clock, budget=budget)
        try:
            for page in itertools.cycle((1, 2)):
                session.client.get(PATH, {"page": str(page), "limit": "1"})
                told.write(f"{time.monotonic()}\n")
        except MoreToDo:
            told.write("done\n")
        finally:
            session.client.limiter.close()


class Spender:
    """A process that spends the quota.

    Args:
        settings: Explicit settings.
        home: Home folder: processes with the same one are on one machine.
        folder: Where it reports.
        name: Its own.
        count: Requests to send; None for any number.
        until: Seconds after which it sends no more; None for no end.
    """

    def __init__(self, settings, home: Path, folder: Path, name, count=None, until=None) -> None:
        self._report = folder / f"{name}.txt"
        self.count = count
        home.mkdir(exist_ok=True)
        # A daemon: what a failed test leaves running ends with pytest, instead of keeping it from ending.
        self.process = _CONTEXT.Process(
            target=spend, args=(settings, str(home), str(self._report), count, until), daemon=True
        )
        self.process.start()

    @property
    def lines(self):
        """What it wrote down so far, whole lines only."""
        return self._report.read_text().split("\n")[:-1] if self._report.exists() else []

    @property
    def answers(self):
        """The monotonic times of its answers."""
        return [float(line) for line in self.lines if line not in ("ready", "sending", "done")]

    @property
    def holds_a_ticket(self):
        """Whether it has sent a request and has no answer."""
        return self.lines[-1:] == ["sending"]

    @property
    def done(self):
        """Whether it sent all that it was to send."""
        return self.lines[-1:] == ["done"]

    def await_ready(self):
        """Wait until it could begin."""
        await_(lambda: bool(self.lines) or not self.process.is_alive())
        assert self.lines, f"it ended with {self.process.exitcode}"

    def go(self):
        """Let it begin."""
        self._report.with_suffix(".go").touch()

    def kill(self):
        """With -9."""
        self.process.kill()
        self.process.join(30)

    def join(self, within):
        """Wait for its end; fail after so many seconds."""
        self.process.join(within)
        assert not self.process.is_alive(), f"not done within {within:.1f} s: {len(self.answers)} answers"
        assert self.process.exitcode == 0, f"it ended with {self.process.exitcode}"
        assert self.done


def finish(spenders, within):
    """Start all at once, and wait for their ends."""
    for one in spenders:
        one.await_ready()
    for one in spenders:
        one.go()
    end = time.monotonic() + within
    for one in spenders:
        one.join(max(0.1, end - time.monotonic()))


def to_json(figures):
    """A line of figures for a log."""
    return json.dumps({key: round(one, 4) if isinstance(one, float) else one for key, one in figures.items()})
