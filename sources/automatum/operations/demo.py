"""The whole product in a few seconds, against the sandbox, a local server of the vendor's API."""

from __future__ import annotations

import tempfile
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from automatum_sandbox import SandboxConfig, Serving, change_some, parse_limits, serve

from ..api.session import connect
from ..config.settings import AutomatumSettings
from ..core.defaults import DEFAULT_DATASET
from ..core.errors import ConfigurationError, worst_exit_code
from ..core.private_files import check_own
from ..core.redaction import Secret
from ..sync.engine import sync
from ..warehouse.target import Target, open_pipeline
from .model_files import USER_TABLES
from .models import Models

QUESTIONS = (
    (
        "Net revenue in USD of the last six months",
        """
        SELECT strftime(month, '%Y-%m') AS month, sum(net) FILTER (vendor = 'aws')::DECIMAL(38, 2) AS aws,
               sum(net) FILTER (vendor = 'azure')::DECIMAL(38, 2) AS azure, sum(net)::DECIMAL(38, 2) AS total
        FROM revenue_monthly
        WHERE currency = 'USD' AND month < date_trunc('month', current_date)
          AND month >= date_trunc('month', current_date) - INTERVAL 6 MONTH
        GROUP BY ALL ORDER BY month
        """,
    ),
    (
        "Customers who left, and the annual value that they had",
        """
        SELECT vendor AS marketplace, currency, count(*) AS customers, sum(lost_value) AS lost_value
        FROM customers_left GROUP BY ALL ORDER BY ALL
        """,
    ),
    (
        "Contracts to renew by hand within 90 days (the next five)",
        """
        SELECT ends_on, company_name, product_name, value::DECIMAL(38, 2) AS value, currency
        FROM contracts_ending
        WHERE days_left <= 90 AND successor_id IS NULL AND auto_renew IS DISTINCT FROM true
        ORDER BY ends_on, entitlement_id LIMIT 5
        """,
    ),
    (
        "Private offers that wait for an answer",
        """
        SELECT status, count(*) AS offers, count(*) FILTER (hangs) AS hang, max(days_in_state) AS longest_days
        FROM offers_open GROUP BY ALL ORDER BY offers DESC, status
        """,
    ),
)


@dataclass
class Demo:
    """What the demo did and found.

    Attributes:
        figures: As one JSON object.
        exit_code: Of the worse sync.
    """

    figures: dict[str, Any]
    exit_code: int

    def to_json(self) -> dict[str, Any]:
        """The demo as one JSON object."""
        return self.figures


def run_demo(database: Path) -> Demo:
    """Sync, change some rows, sync again, ask.

    Args:
        database: DuckDB file; replaced.

    Raises:
        ConfigurationError: The file cannot be replaced.
    """
    started = time.monotonic()
    check_own(database)
    _remove(database)
    with (
        serve(SandboxConfig(customers=250, entitlements=410, private_offers=130)) as served,
        tempfile.TemporaryDirectory() as folder,
    ):
        # The demo must not use what is configured for the real API.
        settings = AutomatumSettings(
            base_url=served.base_url, client_id=served.client_id, client_secret=Secret(served.client_secret)
        )
        pipeline = open_pipeline(Target(database=database).open(), DEFAULT_DATASET, folder)
        first = sync(connect(settings), pipeline)
        change_some(served.sandbox)
        second = sync(connect(settings), pipeline)
        Models(pipeline).create()
    figures = {
        "api": served.base_url,
        "database": str(database),
        "first_sync": first.to_json(),
        "second_sync": second.to_json(),
        "requests": first.requests + second.requests,
        **_ask(database),
        "seconds": round(time.monotonic() - started, 3),
    }
    return Demo(figures, worst_exit_code([first.exit_code, second.exit_code]))


def serve_sandbox(port: int, limits: Sequence[str], customers: int) -> Serving:
    """Serve the sandbox, with 1.64 entitlements and 0.52 private offers for each customer.

    Args:
        port: Port on 127.0.0.1; 0 for a free one.
        limits: Rate limits in the form of `parse_limits`; none for those of the vendor.
        customers: Number of customers.

    Raises:
        ConfigurationError: The port is taken, or a limit has another form.
    """
    try:
        config = SandboxConfig(
            customers=customers,
            entitlements=customers * 41 // 25,
            private_offers=customers * 13 // 25,
            limits=parse_limits(limits),
        )
    except ValueError as error:
        raise ConfigurationError("--limit", f"{error}.", "Write 20/minute, 500/hour or none.") from None
    try:
        return serve(config, port)
    except OSError as error:
        raise ConfigurationError(
            "--port", f"{port}: {error.strerror}.", "Choose another port, or 0 for a free one."
        ) from None


def _ask(database: Path) -> dict[str, Any]:
    """The number of rows of each table, and the answers to the questions."""
    counts, answers = {}, []
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute(f"USE {DEFAULT_DATASET}")
        tables = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = ? ORDER BY ALL", [DEFAULT_DATASET]
        ).fetchall()
        for (table,) in tables:
            if not table.startswith("_") and table not in USER_TABLES:
                ((counts[table],),) = connection.execute(f'SELECT count(*) FROM "{table}"').fetchall()
        for question, query in QUESTIONS:
            sql = textwrap.dedent(query).strip()
            answer = connection.execute(sql)
            columns = [one[0] for one in answer.description or ()]
            rows = [["" if value is None else str(value) for value in row] for row in answer.fetchall()]
            answers.append({"question": question, "sql": sql, "columns": columns, "rows": rows})
    return {"rows": counts, "answers": answers}


def _remove(database: Path) -> None:
    if not database.parent.is_dir():
        raise ConfigurationError("--database", f"there is no folder {database.parent}.", "Create it first.")
    try:
        for path in (database, database.with_name(database.name + ".wal")):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError("--database", f"{database}: {error.strerror}.") from None
