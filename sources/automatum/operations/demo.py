"""The whole product in a few seconds, against the sandbox, a local server of the vendor's API."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dlt
import duckdb

from automatum_sandbox import Sandbox, SandboxConfig, Serving, serve

from ..api.session import connect
from ..config.settings import AutomatumSettings
from ..core.errors import ConfigurationError, worst_exit_code
from ..sync.engine import sync
from ..sync.summary import OrganizationSummary
from ..warehouse.pipeline import open_pipeline

DATASET = "automatum"
_PRESENTABLE = 1e9
QUESTIONS = (
    (
        "Active entitlement value per marketplace",
        """
        SELECT vendor AS marketplace, currency, count(*) AS entitlements, sum(value)::DECIMAL(38, 2) AS value
        FROM entitlements WHERE status = 'active' AND value IS NOT NULL
        GROUP BY ALL ORDER BY marketplace, value DESC
        """,
    ),
    (
        "Private offers by status",
        "SELECT status, count(*) AS offers FROM private_offers GROUP BY ALL ORDER BY offers DESC, status",
    ),
    (
        "Active entitlements that end within 90 days (the next five)",
        """
        SELECT e.end_date, c.company_name, e.product_name, e.value::DECIMAL(38, 2) AS value, e.currency
        FROM entitlements AS e LEFT JOIN customers AS c ON c.id = e.customer_id
        WHERE e.status = 'active' AND e.end_date BETWEEN current_date AND current_date + 90
        ORDER BY e.end_date, e.id LIMIT 5
        """,
    ),
)


@dataclass
class Demo:
    """What the demo did and found.

    Attributes:
        api: URL of the sandbox.
        database: DuckDB file.
        first: The first sync.
        second: The second, after some rows were changed.
        rows: Table to number of rows, after the second.
        answers: Question, columns and rows.
        seconds: From start to end.
    """

    api: str
    database: Path
    first: OrganizationSummary
    second: OrganizationSummary
    rows: dict[str, int] = field(default_factory=dict)
    answers: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """Exit code of the worse sync."""
        return worst_exit_code([self.first.exit_code, self.second.exit_code])

    def as_json(self) -> dict[str, Any]:
        """The demo as one JSON object."""
        return {
            "api": self.api,
            "database": str(self.database),
            "rows": self.rows,
            "first_sync": self.first.as_json(),
            "second_sync": self.second.as_json(),
            "answers": self.answers,
            "requests": self.first.requests + self.second.requests,
            "seconds": round(self.seconds, 3),
        }


def run_demo(database: Path) -> Demo:
    """Sync, change some rows, sync again, ask.

    Args:
        database: DuckDB file; replaced.

    Raises:
        ConfigurationError: The file cannot be replaced.
    """
    started = time.monotonic()
    _remove(database)
    config = SandboxConfig(customers=250, entitlements=410, private_offers=130, days=40)
    with serve(config) as served, tempfile.TemporaryDirectory() as folder:
        # The demo must not use what is configured for the real API.
        settings = AutomatumSettings(
            base_url=served.base_url, client_id=served.client_id, client_secret=served.client_secret
        )
        settings.resolve()
        _make_presentable(served.sandbox)
        pipeline = open_pipeline(dlt.destinations.duckdb(str(database)), DATASET, folder)
        first = sync(connect(settings), pipeline)
        _change_some(served.sandbox)
        demo = Demo(served.base_url, database, first, _second(settings, pipeline))
    _ask(demo)
    demo.seconds = time.monotonic() - started
    return demo


def serve_sandbox(port: int, seed: int, customers: int, entitlements: int, private_offers: int, days: int) -> Serving:
    """Serve the sandbox.

    Args:
        port: Port on 127.0.0.1; 0 for a free one.
        seed: Seed of the data.
        customers: Number of customers.
        entitlements: Number of entitlements.
        private_offers: Number of private offers.
        days: Days of analytics, today included.

    Raises:
        ConfigurationError: The port is taken.
    """
    config = SandboxConfig(
        seed=seed, customers=customers, entitlements=entitlements, private_offers=private_offers, days=days
    )
    try:
        return serve(config, port)
    except OSError as error:
        raise ConfigurationError(
            "--port", f"{port}: {error.strerror}.", "Choose another port, or 0 for a free one."
        ) from None


def _make_presentable(sandbox: Sandbox) -> None:
    """Replace the huge amounts among the sandbox's test data, which would make a sum look absurd."""
    for row in sandbox.rows("entitlements"):
        if row.get("value") is not None and float(row["value"]) > _PRESENTABLE:
            sandbox.change("entitlements", row["id"], {"value": "48000.00"})


def _second(settings: AutomatumSettings, pipeline: dlt.Pipeline) -> OrganizationSummary:
    return sync(connect(settings), pipeline)


def _change_some(sandbox: Sandbox) -> None:
    customers = sandbox.ids("customers")
    for id_ in customers[:5]:
        sandbox.change("customers", id_, {"status": "inactive"})
    sandbox.insert("customers", count=3)
    for id_ in sandbox.ids("entitlements")[10:14]:
        sandbox.change("entitlements", id_, {"status": "expired"})
    for id_ in sandbox.ids("private_offers")[-2:]:
        sandbox.change("private_offers", id_, {"status": "accepted"})


def _ask(demo: Demo) -> None:
    with duckdb.connect(str(demo.database), read_only=True) as connection:
        connection.execute(f"USE {DATASET}")
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = ? ORDER BY ALL", [DATASET]
        ).fetchall()
        for (table,) in tables:
            if not table.startswith("_"):
                (demo.rows[table],) = connection.execute(f'SELECT count(*) FROM "{table}"').fetchall()[0]
        for question, query in QUESTIONS:
            answer = connection.execute(query)
            columns = [one[0] for one in answer.description or ()]
            rows = [["" if value is None else str(value) for value in row] for row in answer.fetchall()]
            demo.answers.append({"question": question, "columns": columns, "rows": rows})


def _remove(database: Path) -> None:
    if not database.parent.is_dir():
        raise ConfigurationError("--database", f"there is no folder {database.parent}.", "Create it first.")
    try:
        for path in (database, database.with_name(database.name + ".wal")):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError("--database", f"{database}: {error.strerror}.") from None
