"""The views and the report over 100,000 entitlements: `python -m benchmarks.answers [duckdb] [postgres] [--digests]`.

Syncs a sandbox, repeats its rows until there are enough of them, and prints one JSON object for each destination: rows
by table, seconds by mart, seconds of the report and the size of its page. `--digests` also prints a digest of the rows
of each mart, to compare two versions of the models.
"""

import hashlib
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.support.answers import plain
from tests.support.answers_stage import Stage, change, entries
from tests.support.destinations.places import DuckDb, Postgres

from automatum.operations.model_files import read_models
from automatum.operations.report import read_report

PLACES = {"duckdb": DuckDb, "postgres": Postgres}
VOLUME = {"customers": 250, "entitlements": 400, "private_offers": 130, "days": 400}
COPIES = {"entitlements": 248, "customers": 248, "private_offers": 248, "private_offer_payments": 100}
COPIES |= {"analytics_revenue": 24, "metering_lines": 1000}
KEYS = {
    "entitlements": ("id", "customer_id", "private_offer_id"),
    "customers": ("id",),
    "private_offers": ("id", "customer_id"),
    "private_offer_payments": ("private_offer_id",),
    "analytics_revenue": ("_row_key", "customer_id"),
    "metering_lines": ("line_id", "customer_id"),
}


def repeat(stage: Stage, table: str) -> int:
    """Repeat the rows of a table under other keys; the number of its rows."""
    with stage.pipeline.sql_client() as client:
        found = client.execute_sql(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'automatum' AND table_name = %s",
            table,
        )
        names = [f'"{name}"' for (name,) in found]
        values = [f"{name} || '_' || n" if name.strip('"') in KEYS[table] else name for name in names]
        client.execute_sql(
            f"INSERT INTO automatum.{table} ({', '.join(names)}) SELECT {', '.join(values)} "
            f"FROM automatum.{table} CROSS JOIN generate_series(1, {COPIES[table] - 1}) AS r(n)"
        )
        return int(client.execute_sql(f"SELECT COUNT(*) FROM automatum.{table}")[0][0])


def measure(kind: str, digests: bool) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(PLACES[kind](kind, ""), Path(folder), volume=VOLUME)
        try:
            stage.sync()
            change(stage)
            stage.export(*entries())
            stage.models().create()
            stage.fill()
            figures: dict[str, object] = {"destination": kind, "rows": {one: repeat(stage, one) for one in COPIES}}
            stage.execute("ANALYZE")
            seconds, texts = {}, {}
            for model in (one for one in read_models().values() if one.kind == "mart"):
                start = time.perf_counter()
                query = f"SELECT * FROM automatum.{model.name}"
                with stage.pipeline.sql_client() as client, client.execute_query(query) as cursor:
                    names, rows = [one[0] for one in cursor.description], cursor.fetchall()
                seconds[model.name] = round(time.perf_counter() - start, 2)
                if digests:
                    lines = plain([dict(zip(names, row, strict=True)) for row in rows], names)
                    texts[model.name] = f"{len(lines)} {hashlib.sha256(repr(lines).encode()).hexdigest()[:12]}"
            figures["seconds"] = seconds
            start = time.perf_counter()
            page = read_report(stage.pipeline, None, stage.clock.time()).to_html()
            figures["report"] = {"seconds": round(time.perf_counter() - start, 2), "bytes": len(page.encode())}
            return {**figures, **({"digests": texts} if digests else {})}
        finally:
            stage.close()


if __name__ == "__main__":
    for kind in [one for one in PLACES if one in sys.argv] or PLACES:
        print(json.dumps(measure(kind, "--digests" in sys.argv)), flush=True)
