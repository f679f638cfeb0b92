"""Peak memory of a sync, by the number of rows: `python benchmarks/memory.py [ROWS ...]`, default 30000 300000.

Each sync (`automatum sync customers`) and the sandbox are separate processes. Each size syncs twice: the first sync
loads every row, the second finds every row unchanged. Prints one JSON object; `ratio` is the peak memory of the last
size over that of the first.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SERVE = """
import sys
from automatum_sandbox import SandboxConfig, serve
with serve(SandboxConfig(customers=int(sys.argv[1]), entitlements=0, private_offers=0, days=0, limits=None)) as served:
    print(served.base_url, served.client_id, served.client_secret, flush=True)
    sys.stdin.read()
"""
SYNC = """
import resource, sys
from automatum.__main__ import run
code = run()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=sys.stderr)
sys.exit(code)
"""
LIMITS = "[[1000000, 1]]"


def measure(rows: int) -> dict[str, object]:
    """Peak resident memory (MB) and seconds of two syncs of this number of customers."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(rows)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout and server.stdin
    url, client_id, secret = server.stdout.readline().split()
    environment = {
        **os.environ,
        "SOURCES__AUTOMATUM__BASE_URL": url,
        "SOURCES__AUTOMATUM__CLIENT_ID": client_id,
        "SOURCES__AUTOMATUM__CLIENT_SECRET": secret,
        "SOURCES__AUTOMATUM__APPLICATION_LIMITS": LIMITS,
    }
    figures: dict[str, object] = {"rows": rows}
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["sync", "customers", "--json", "--database", f"{folder}/m.duckdb"]
        for name in ("first", "second"):
            started = time.monotonic()
            made = subprocess.run(
                [sys.executable, "-c", SYNC, *arguments], env=environment, capture_output=True, text=True, cwd=folder
            )
            summary = json.loads(made.stdout)
            # The page behind a full last page shows that the list ends there.
            past_end = int(rows % 100 == 0)
            assert (made.returncode, summary["requests"]) == (0, -(-rows // 100) + past_end), made.stderr
            assert summary["tables"]["customers"]["inserted"] == (rows if name == "first" else 0)
            peak = int(made.stderr.split()[-1])
            figures[name] = {"peak_mb": peak, "seconds": round(time.monotonic() - started, 1)}
        figures["file_mb"] = Path(folder, "m.duckdb").stat().st_size >> 20
    server.stdin.close()
    server.wait()
    return figures


def main() -> None:
    """Measure and print."""
    sizes = [int(size) for size in sys.argv[1:]] or [30_000, 300_000]
    measured = [measure(rows) for rows in sizes]
    peaks = [figures["first"]["peak_mb"] for figures in measured]  # type: ignore[index]
    seconds = [figures["first"]["seconds"] for figures in measured]  # type: ignore[index]
    rates = [1e6 * second / rows for second, rows in zip(seconds, sizes, strict=True)]
    print(
        json.dumps(
            {
                "measured": measured,
                "ratio": round(peaks[-1] / peaks[0], 3),
                "microseconds_a_row": [round(rate, 1) for rate in rates],
                "self_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
