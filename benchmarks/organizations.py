"""Many organizations in one command: `python benchmarks/organizations.py [ORGANIZATIONS ...]`, default 10 50.

For each number, one `automatum sync` reads all four tables of that many organizations into one DuckDB file, and a
second sync finds nothing new. Each organization of the sandbox has its own rate limits. Checks that every sync is
complete, every page is requested once, no response is 429, each row has its organization, and each application has a
rate limit file. Prints one JSON object; `ratio` is the peak memory of the last number over that of the first.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import duckdb

from automatum_sandbox import AppConfig, Limits, OrganizationConfig, SandboxConfig, serve

SYNC = """
import resource, sys
from automatum.__main__ import run
code = run()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=sys.stderr)
sys.exit(code)
"""
ROWS = {"customers": 120, "entitlements": 150, "private_offers": 40, "days": 10}
PAGES = 2 + 2 + 1 + 1
"""Pages of one organization, including the report."""
SCALE = 0.05
"""Scale of the rate limit windows: a minute takes 3 s."""


def measure(count: int) -> dict[str, object]:
    """Peak memory (MB), seconds and requests of both syncs."""
    config = SandboxConfig(
        **ROWS,
        limits=Limits(),
        window_scale=SCALE,
        organizations=tuple(OrganizationConfig(seed=1 + at) for at in range(count)),
        apps=tuple(AppConfig(organization=at) for at in range(count)),
    )
    names = [f"org_{at}" for at in range(count)]
    figures: dict[str, object] = {"organizations": count}
    with serve(config) as served, tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "HOME": folder,
            "DLT_DATA_DIR": f"{folder}/dlt",
            "SOURCES__AUTOMATUM__BASE_URL": served.base_url,
            "SOURCES__AUTOMATUM__ORGANIZATIONS": json.dumps([{"name": name} for name in names]),
            "SOURCES__AUTOMATUM__APPLICATION_LIMITS": json.dumps([[50, 60 * SCALE], [1000, 3600 * SCALE]]),
        }
        for name in ("XDG_DATA_HOME", "XDG_STATE_HOME"):
            environment.pop(name, None)
        for name, app in zip(names, served.sandbox.apps, strict=True):
            environment[f"SOURCES__AUTOMATUM__{name.upper()}__CLIENT_ID"] = app.client_id
            environment[f"SOURCES__AUTOMATUM__{name.upper()}__CLIENT_SECRET"] = app.secret
        for run in ("first", "second"):
            served.sandbox.requests.clear()
            made = subprocess.run(
                [sys.executable, "-c", SYNC, "sync", "--json"],
                env=environment,
                capture_output=True,
                text=True,
                cwd=folder,
            )
            assert made.returncode == 0, made.stderr
            summary = json.loads(made.stdout)
            assert {organization["verdict"] for organization in summary["organizations"].values()} == {"complete"}
            entries = served.sandbox.requests.to("/api/v1/")
            assert {entry.status for entry in entries} == {200}
            requested = Counter((entry.app, entry.path, entry.page) for entry in entries)
            # Parts of a report are asked for once more, to prove that no row is missing; and a first page, to learn
            # whose rows an application reads that the dataset does not know.
            once_more = {"/api/v1/analytics/revenue", *(("/api/v1/customers",) if run == "first" else ())}
            assert {path for (_, path, _), times in requested.items() if times > 1} <= once_more
            assert (len(requested), len(entries)) == (count * PAGES, summary["requests"])
            new = sum(
                table["inserted"] + table["updated"] + table["deleted"]
                for organization in summary["organizations"].values()
                for table in organization["tables"].values()
            )
            assert (new > 0) == (run == "first")
            figures[run] = {"megabytes": int(made.stderr.split()[-1]), "seconds": summary["seconds"]}
        with duckdb.connect(f"{folder}/marketplace.duckdb", read_only=True) as connection:
            rows = connection.execute(
                "SELECT organization_id, count(*) FROM automatum.customers GROUP BY ALL"
            ).fetchall()
        assert [number for _, number in rows] == [ROWS["customers"]] * count
        assert len(list(Path(folder).rglob("quota-*.sqlite"))) == count
    return figures


def main() -> None:
    """Measure and print."""
    runs = [measure(int(count)) for count in sys.argv[1:] or ("10", "50")]
    first, last = (run["first"]["megabytes"] for run in (runs[0], runs[-1]))  # type: ignore[index]
    print(json.dumps({"runs": runs, "ratio": round(last / first, 3)}, indent=2))


if __name__ == "__main__":
    main()
