"""Cost of the ledger: `python benchmarks/ledger.py [LINES]`, default 5000; `python benchmarks/ledger.py ages [HOURLY]`.

Plans, claims and settles usage lines in bodies of 25: in SQLite, in Postgres, and for comparison in SQLite without
disk sync. Prints microseconds a line, and the ratio to SQLite.

With `ages`: fills ledgers of 12 hours and of 30 days with so many lines an hour (default 50), and prints the size of
the file, and the time of a dry run of the next hour, of the numbers of `push status`, and of `push statement`.
"""

import sys
import tempfile
import time
from dataclasses import asdict, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from automatum.metering.ledger.attempts import Attempt, accepted_as_sent, insert_attempt
from sqlalchemy import event, update
from tests.support.clocks import FakeClock
from tests.support.postgres import running

from automatum.core.clock import SystemClock
from automatum.metering.checks import Checks
from automatum.metering.ledger import line_rows
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.ledger.tables import LINES
from automatum.metering.model import Line
from automatum.metering.push import push
from automatum.metering.statement import read_statement
from automatum.metering.usage.usage import read_usage

BODY = 25
STEPS = ("plan", "claim", "settle", "compare")


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


def measure(url: str, lines: list[Line], *, durable: bool = True) -> dict[str, float]:
    """Seconds of each step over all lines."""
    taken = dict.fromkeys(STEPS, 0.0)

    def timed(step, call):  # type: ignore[no-untyped-def]
        started = time.perf_counter()
        made = call()
        taken[step] += time.perf_counter() - started
        return made

    with Ledger.open(url, SystemClock(), create=True) as ledger:
        if not durable:
            event.listen(ledger.database.engine, "connect", lambda raw, record: raw.execute("PRAGMA synchronous = OFF"))
            ledger.close()
        with ledger.run() as run:
            timed("plan", lambda: run.plan(lines))
            for start in range(0, len(lines), BODY):
                batch = lines[start : start + BODY]
                attempt = timed("claim", lambda batch=batch: run.claim("body", batch))
                timed("settle", lambda attempt=attempt: run.settle(attempt, "accepted", status_code=202, response="{}"))
            assert len(timed("compare", lambda: ledger.compare(lines)).same) == len(lines)
        assert ledger.reader.counts()["accepted"] == len(lines)
    return taken


def fill(url: str, hours: int, hourly: int) -> list[Line]:
    """A ledger of accepted lines, one transaction an hour; returns the lines of the hour after."""
    start = datetime(2026, 10, 1, tzinfo=timezone.utc)
    first = [replace(line, starts_at=start) for line in make_lines(50 * BODY)[:hourly]]
    hour = first
    with Ledger.open(url, SystemClock(), create=True) as ledger:
        for number in range(hours):
            attempts = [
                Attempt(f"{number:08}-{position:08}", "body", "run", start, tuple(hour[position : position + BODY]))
                for position in range(0, len(hour), BODY)
            ]
            with ledger.database.write() as connection:
                line_rows.write_new(connection, hour, "planned", start)
                for attempt in attempts:
                    insert_attempt(connection, attempt)
                sent = {"state": "accepted", "attempts": 1, "settled_at": start, "settled_by": "api"}
                connection.execute(update(LINES).where(LINES.c.state == "planned").values(sent | accepted_as_sent()))
            hour = [replace(line, starts_at=start + timedelta(hours=number + 1)) for line in first]
    return hour


def measure_age(folder: str, hours: int, hourly: int) -> dict[str, float]:
    """MB of the file, and seconds of each command."""
    path = Path(folder) / f"{hours}.sqlite"
    url = f"sqlite:///{path}"
    lines = fill(url, hours, hourly)
    clock = FakeClock(epoch=(lines[0].starts_at + timedelta(hours=1, minutes=30)).timestamp())
    rows = [{**row, "usage_at": row["starts_at"], "units": "7"} for row in map(asdict, lines)]
    found = {"lines": hours * hourly, "MB": path.stat().st_size / 1e6}
    started = time.perf_counter()
    summary = push(None, read_usage(rows), url, clock, checks=Checks(unchecked=True))
    found["dry run"] = time.perf_counter() - started
    assert summary.lines["new"] + summary.lines["on_hold"] == len(lines), summary.lines
    with Ledger.open(url, clock, create=False) as ledger:
        started = time.perf_counter()
        assert ledger.reader.counts()["accepted"] == hours * hourly and not ledger.reader.unresolved()
        found["status"] = time.perf_counter() - started
        started = time.perf_counter()
        read_statement(ledger, "2026-10")
        found["statement"] = time.perf_counter() - started
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
