"""Cost of the ledger: `python benchmarks/ledger.py [LINES]`, default 5000; `python benchmarks/ledger.py ages [HOURLY]`.

Claims and answers usage lines in bodies of 25, and compares them with the ledger: in SQLite, in Postgres, and for
comparison in SQLite without disk sync. Prints microseconds a line, and the ratio to SQLite.

With `ages`: fills ledgers of 12 hours and of 30 days with so many lines an hour (default 50), and prints the size of
the file, and the time of a dry run of the next hour, of `push status`, and of `push statement`.
"""

import sys
import tempfile
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlalchemy import event
from tests.support.clocks import FakeClock
from tests.support.postgres import running

from automatum.core.clock import SystemClock
from automatum.metering.ledger.entries import Outcome
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.model import Line
from automatum.metering.options import PushOptions
from automatum.metering.plan import make_plan
from automatum.metering.push import push
from automatum.metering.statement import read_statement
from automatum.metering.status import read_status
from automatum.metering.usage.usage import Usage

BODY = 25
STEPS = ("run", "claim", "answer", "compare")


def make_lines(count: int) -> list[Line]:
    """Lines of 25 dimensions, hour by hour."""
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    return [
        Line(
            vendor="aws",
            listing_id="lst_1",
            customer_id=f"cust_{number // BODY % 50}",
            dimension=f"dimension_{number % BODY}",
            grain="hour",
            starts_at=start + timedelta(hours=number // BODY // 50),
            units=Decimal(number) / 8,
            price=Decimal("0.0125"),
            title="API calls",
        )
        for number in range(count)
    ]


def usage_of(lines: list[Line]) -> Usage:
    """Lines as a push reads them."""
    return Usage(tuple(lines), (), open_rows=0, rows=len(lines), zeros=(), unknown_vendors=(), missing=(), source="u")


def accept(run, lines: list[Line], timed=lambda step, call: call()) -> None:  # type: ignore[no-untyped-def]
    """Claim lines in bodies, and record that each was accepted."""
    for start in range(0, len(lines), BODY):
        batch = lines[start : start + BODY]
        attempt = timed("claim", lambda batch=batch: run.claim("body", batch))
        outcomes = {line.id: Outcome("accepted") for line in batch}
        timed("answer", lambda attempt=attempt, outcomes=outcomes: run.answer(attempt, outcomes, status_code=202))
    run.end(complete=True)


def measure(url: str, lines: list[Line], *, durable: bool = True) -> dict[str, float]:
    """Seconds of each step over all lines."""
    taken = dict.fromkeys(STEPS, 0.0)

    def timed(step, call):  # type: ignore[no-untyped-def]
        started = time.perf_counter()
        made = call()
        taken[step] += time.perf_counter() - started
        return made

    with Ledger.open(url, SystemClock(), None, begin=True, write=True) as ledger:
        if not durable:
            event.listen(ledger.engine, "connect", lambda raw, record: raw.execute("PRAGMA synchronous = OFF"))
            ledger.close()
        started = time.perf_counter()
        with ledger.run("u", lines, "") as run:
            taken["run"] = time.perf_counter() - started
            accept(run, lines, timed)
        plan = timed("compare", lambda: make_plan(usage_of(lines), ledger, PushOptions(), ledger.now()))
        assert plan.same == len(lines) == ledger.counts()["accepted"]
    return taken


def fill(url: str, hours: int, hourly: int) -> list[Line]:
    """A ledger of accepted lines; returns the lines of the hour after."""
    start = datetime(2026, 10, 1, tzinfo=timezone.utc)
    first = [replace(line, starts_at=start) for line in make_lines(50 * BODY)[:hourly]]
    with Ledger.open(url, FakeClock(epoch=start.timestamp()), None, begin=True, write=True) as ledger:
        event.listen(ledger.engine, "connect", lambda raw, record: raw.execute("PRAGMA synchronous = OFF"))
        ledger.close()
        for number in range(hours):
            hour = [replace(line, starts_at=start + timedelta(hours=number)) for line in first]
            with ledger.run("u", hour, "") as run:
                accept(run, hour)
    return [replace(line, starts_at=start + timedelta(hours=hours)) for line in first]


def measure_age(folder: str, hours: int, hourly: int) -> dict[str, float]:
    """MB of the file, and seconds of each command."""
    path = Path(folder) / f"{hours}.sqlite"
    url = f"sqlite:///{path}"
    lines = fill(url, hours, hourly)
    clock = FakeClock(epoch=(lines[0].starts_at + timedelta(hours=1, minutes=30)).timestamp())
    found = {"lines": hours * hourly, "MB": path.stat().st_size / 1e6}

    def timed(name, call):  # type: ignore[no-untyped-def]
        started = time.perf_counter()
        made = call()
        found[name] = time.perf_counter() - started
        return made

    with Ledger.open(url, clock, None) as ledger:
        planned = timed("dry run", lambda: push(None, usage_of(lines), ledger, PushOptions()))
        assert planned.lines["to_send"] == len(lines), planned.lines
        status = timed("status", lambda: read_status(ledger, ledger.now()))
        assert status.lines["accepted"] == hours * hourly and not status.unresolved
        timed("statement", lambda: read_statement(ledger, "2026-10"))
    return found


def show_ages(hourly: int) -> None:
    """Measure ledgers of two ages, and print."""
    print(f"{hourly} lines an hour; seconds")
    with tempfile.TemporaryDirectory() as folder:
        for name, hours in (("12 hours", 12), ("30 days", 720)):
            found = measure_age(folder, hours, hourly)
            print(f"{name:10}" + "".join(f"{what} {number:10.2f}   " for what, number in found.items()))


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["ages"]:
        show_ages(int(sys.argv[2]) if len(sys.argv) > 2 else 50)
        return
    lines = make_lines(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
    server = running()
    with tempfile.TemporaryDirectory() as folder:
        found = {
            "sqlite": measure(f"sqlite:///{folder}/ledger", lines),
            "sqlite, no sync": measure(f"sqlite:///{folder}/fast", lines, durable=False),
            "postgres": measure(server.url(server.new_database()), lines),
        }
    print(f"{len(lines)} lines in bodies of {BODY}; µs a line")
    print(f"{'':16}" + "".join(f"{step:>10}" for step in (*STEPS, "sum", "ratio")))
    base = sum(found["sqlite"].values())
    for name, taken in found.items():
        cells = [f"{1e6 * taken[step] / len(lines):10.1f}" for step in STEPS]
        whole = sum(taken.values())
        print(f"{name:16}" + "".join(cells) + f"{1e6 * whole / len(lines):10.1f}{whole / base:10.2f}")


if __name__ == "__main__":
    main()
