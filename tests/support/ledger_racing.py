"""Pushes in processes of their own, to race each other and to be killed. Forked from a server that has imported all."""

import multiprocessing
import os
import threading
from pathlib import Path

from tests.support.metering_lines import make_line

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.support.ledger_racing", "automatum.metering.ledger.ledger", "psycopg2"])
BODY = 5


def all_lines(count):
    return [make_line(number) for number in range(count)]


def note(path, text):
    """Append a line to a file, as an API would that has taken a call: no kill of the caller takes it back."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, (text + "\n").encode())
    os.close(handle)


def push(url, count, variant, started, go, api):
    """Send all lines in bodies; the API is a file that says which process sent which line.

    The API takes its time, so that most kills hit a call and no process is done before the other has begun. Variant
    `backwards`: in the other order.
    """
    from automatum.core.clock import SystemClock
    from automatum.metering.ledger.entries import Outcome

    lines = all_lines(count)
    if variant == "backwards":
        lines.reverse()
    wait = threading.Event().wait
    with open_ledger(url, SystemClock()) as ledger, ledger.run("usage.csv", lines) as run:
        started.set()
        go.wait(60)
        for start in range(0, len(lines), BODY):
            attempt = run.claim("body", lines[start : start + BODY])
            if attempt is None:
                continue
            wait(0.003)
            note(api, " ".join([run.id, *(line.id for line in attempt.lines)]))
            wait(0.003)
            run.answer(attempt, {line.id: Outcome("accepted") for line in attempt.lines}, status_code=202)
        run.end(complete=True)


def claim_grain(url, count, grain, started, go, api):
    """Claim one grain of each date, one line at a time, and note what was claimed."""
    from automatum.core.clock import SystemClock
    from automatum.metering.ledger.entries import Outcome

    with open_ledger(url, SystemClock()) as ledger, ledger.run("usage.csv", []) as run:
        started.set()
        go.wait(60)
        for day in range(count):
            line = make_line(24 * day, grain=grain)
            if attempt := run.claim("body", [line]):
                note(api, f"{day} {grain}")
                run.answer(attempt, {line.id: Outcome("accepted")})
        run.end(complete=True)


def open_ledger(url, clock):
    """The ledger, begun unless another process has done so, and has sent from it."""
    from automatum.core.errors import ConfigurationError
    from automatum.metering.ledger.ledger import Ledger

    try:
        return Ledger.open(url, clock, begin=True, write=True)
    except ConfigurationError:
        return Ledger.open(url, clock, write=True)


def _with_environment(environment, target, *arguments):
    """The server that forks has the environment of the first test, and with it that test's notes of ledgers."""
    os.environ.clear()
    os.environ.update(environment)
    target(*arguments)


class Racer:
    """A process that waits for a common start."""

    def __init__(self, target, url, count, variant, go, api):
        self._started = CONTEXT.Event()
        arguments = (url, count, variant, self._started, go, str(api))
        self.process = CONTEXT.Process(target=_with_environment, args=(dict(os.environ), target, *arguments))
        self.process.start()

    def ready(self):
        assert self._started.wait(60)
        return self

    def end(self):
        self.process.join(120)
        assert self.process.exitcode == 0
        self.process.close()

    def kill(self, after):
        """Kill -9 after so many seconds; whether it was still running."""
        self.process.join(after)
        alive = self.process.is_alive()
        self.process.kill()
        self.process.join(60)
        self.process.close()
        return alive


def taken(api):
    """What the API has seen: pairs of run and line ids, in order."""
    lines = Path(api).read_text().splitlines() if Path(api).exists() else []
    return [(one.split()[0], one.split()[1:]) for one in lines]
