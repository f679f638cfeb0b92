"""Cost of the ledger: `python benchmarks/ledger.py [LINES]`, default 5000.

Plans, claims and settles usage lines in bodies of 25: in SQLite, in Postgres, and for comparison in SQLite without
disk sync. Prints microseconds a line, and the ratio to SQLite.
"""

import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlalchemy import event
from tests.support.postgres import running

from automatum.core.clock import SystemClock
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.model import Line

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
        assert ledger.counts()["accepted"] == len(lines)
    return taken


def main() -> None:
    """Measure and print."""
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
