"""One HTML page of answers, made from the views of `automatum models`: figures, definitions, and the rows behind them.

The page loads nothing and runs no script, so that it can be mailed and kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any, ClassVar

from dlt.destinations.exceptions import DatabaseException

from ..core.clock import utc
from ..core.errors import EXIT_COMPLETE, ConfigurationError
from ..core.extras import install_command
from ..core.process import MOST_DUCKDB_MEMORY
from ..endpoints import ORGANIZATION
from ..metering.model import exact
from ..warehouse.duckdb_file import is_duckdb
from ..warehouse.sql_client import sql_client
from .model_files import read_models

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

FIRST_ROWS, MOST_ROWS = 12, 100
"""Rows of a table that are shown, and rows that the page has. The others are counted; the view has them all."""
LONGEST_TEXT = 300
"""Characters of a name that the page has; the view has all."""


@dataclass(frozen=True)
class Question:
    """A section of the page before it is read.

    Attributes:
        model: The mart that answers it.
        title: Heading.
        query: `{schema}` stands for the dataset of the views. The rows that need attention come first.
        unit: What a row is, in the plural.
        total: Column whose sum by `currency` is the figure of the section; empty: the number of rows is.
        monthly: The figure is that of the last full month.
        chart: Name of the chart in `charts`; empty for none.
        by_day: The table has the rows of the last `day` only; the chart has all.
    """

    model: str
    title: str
    query: str
    unit: str
    total: str = ""
    monthly: bool = False
    chart: str = ""
    by_day: bool = False


QUESTIONS = (
    Question(
        "sync_health",
        "How fresh the data is",
        """
            SELECT table_name, organization_id, last_verdict, last_complete_at, days_old,
            incomplete_since_then, rows_listed, open_items FROM {schema}.sync_health ORDER BY CASE WHEN
            last_verdict = 'complete' THEN 1 ELSE 0 END, days_old DESC, table_name
        """,
        "tables",
    ),
    Question(
        "usage_by_month",
        "Usage that is not billed, or not known to be",
        """
            SELECT month, vendor, company_name, dimension, unresolved_lines, open_amount, over_billed_amount,
            refused_amount, measured_amount, currency FROM {schema}.usage_by_month WHERE unresolved_lines > 0 ORDER BY
            month, vendor, company_name, dimension
        """,
        "open sums",
        "open_amount",
    ),
    Question(
        "usage_by_month",
        "Usage by month",
        """
            SELECT month, vendor, currency, SUM(measured_amount) AS measured_amount, SUM(accepted_amount) AS
            accepted_amount, SUM(confirmed_amount) AS confirmed_amount, SUM(open_amount) AS open_amount,
            SUM(over_billed_amount) AS over_billed_amount, SUM(refused_amount) AS refused_amount,
            SUM(written_off_amount) AS written_off_amount FROM {schema}.usage_by_month
            GROUP BY month, vendor, currency ORDER BY month DESC, vendor, currency
        """,
        "sums",
        "measured_amount",
        monthly=True,
    ),
    Question(
        "revenue_monthly",
        "Revenue by month and marketplace",
        """
            SELECT month, vendor, currency, SUM(gross) AS gross, SUM(fee) AS fee, SUM(net) AS net,
            SUM(refunds) AS refunds, MAX(restated_days) AS restated_days, MAX(open_days) AS open_days FROM
            {schema}.revenue_monthly WHERE month IS NOT NULL GROUP BY month, vendor, currency ORDER BY month
            DESC, vendor, currency
        """,
        "sums",
        "net",
        monthly=True,
        chart="net_by_month",
    ),
    Question(
        "contract_value_daily",
        "Annual contract value",
        """
            SELECT day, vendor, currency, value, contracts, customers, contracts_left_out, basis FROM
            {schema}.contract_value_daily WHERE day >= (SELECT today - 365 FROM {schema}.model_settings)
            ORDER BY day, vendor, currency
        """,
        "sums",
        "value",
        chart="value_by_day",
        by_day=True,
    ),
    Question(
        "contracts_ending",
        "Contracts that end within 180 days",
        """
            SELECT ends_on, days_left, bucket, company_name, product_name, vendor, auto_renew, successor_id,
            annual_value, currency FROM {schema}.contracts_ending ORDER BY ends_on, company_name,
            entitlement_id
        """,
        "contracts",
        "annual_value",
        chart="value_by_bucket",
    ),
    Question(
        "offers_open",
        "Private offers that hang",
        """
            SELECT name, company_name, vendor, status, in_state_since, days_in_state, expires_on,
            total_contract_value, currency FROM {schema}.offers_open WHERE hangs ORDER BY days_in_state
            DESC, name, private_offer_id
        """,
        "offers",
        "total_contract_value",
    ),
    Question(
        "payments_due",
        "Payments that are due next",
        """
            SELECT due_on, days_left, company_name, name, vendor, billing_term, amount, currency,
            ended_before FROM {schema}.payments_due WHERE NOT is_over ORDER BY due_on, company_name,
            private_offer_id, position
        """,
        "payments",
        "amount",
        chart="amount_by_month",
    ),
    Question(
        "customers_left",
        "Customers who left in the last 365 days",
        """
            SELECT left_on, company_name, vendor, first_day, lost_value, currency, may_return FROM
            {schema}.customers_left WHERE days_ago <= 365 ORDER BY left_on DESC, company_name, customer_id
        """,
        "customers",
        "lost_value",
    ),
)
"""The sections, in the order of the page."""


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        question: What it answers.
        read: All rows of the answer; the chart draws them.
        month: The last full month, if the figure of the section is of a month.
    """

    question: Question
    read: list[dict[str, Any]]
    month: date | None = None

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of the table."""
        return [one for one in self.read if not self.question.by_day or one["day"] == self.read[-1]["day"]]

    @cached_property
    def totals(self) -> dict[str, Decimal]:
        """Currency to the sum of the section. Currencies are never added."""
        totals: dict[str, Decimal] = {}
        for row in self.rows if self.question.total else ():
            amount, currency = row[self.question.total], row["currency"] or "unknown currency"
            if amount is not None and self.month in (None, row.get("month")):
                totals[currency] = exact().add(totals.get(currency, Decimal(0)), amount)
        return totals

    @cached_property
    def columns(self) -> list[str]:
        """The columns that the page shows: the organization only if there are several."""
        names = list(self.rows[0]) if self.rows else []
        several = len({row.get(ORGANIZATION) for row in self.rows}) > 1
        return [name for name in names if name != ORGANIZATION or several]

    @property
    def definition(self) -> str:
        """What the numbers are, in the words of the model."""
        return read_models()[self.question.model].description


@dataclass
class Report:
    """What a dataset answers.

    Attributes:
        dataset: Dataset of the views.
        made_at: When.
        sections: The answers.
    """

    dataset: str
    made_at: datetime
    sections: list[Section] = field(default_factory=list)
    exit_code: ClassVar[int] = EXIT_COMPLETE

    def to_json(self) -> dict[str, Any]:
        """The report as one JSON object, with all rows."""
        return {
            "dataset": self.dataset,
            "made_at": self.made_at.isoformat(),
            "sections": [
                {
                    "title": one.question.title,
                    "model": one.question.model,
                    "definition": one.definition,
                    "totals": one.totals,
                    "rows": one.rows,
                }
                for one in self.sections
            ],
        }

    def to_html(self) -> str:
        """The report as one page.

        Raises:
            ConfigurationError: The packages of the extra `report` are missing.
        """
        try:
            from jinja2 import Environment, StrictUndefined

            from . import charts
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                "report", f"needs the package {error.name}.", install_command("jinja2", "matplotlib")
            ) from None
        environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        environment.filters |= {"shown": _shown, "words": _words, "money": _money}
        environment.tests["number"] = lambda value: isinstance(value, (Decimal, int)) and not isinstance(value, bool)
        environment.tests["day"] = lambda value: isinstance(value, date)
        template = environment.from_string(files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8"))
        drawn = {
            at: charts.DRAWN[one.question.chart](one.read, f"chart{at}")
            for at, one in enumerate(self.sections)
            if one.question.chart and one.read
        }
        return template.render(report=self, charts=drawn, first=FIRST_ROWS, most=MOST_ROWS)


def read_report(pipeline: SupportsPipeline, into: str | None, now: float) -> Report:
    """Read the answers from the views.

    Args:
        pipeline: The pipeline whose destination has the views.
        into: Dataset of the views. None: that of the tables.
        now: The present, in seconds since the epoch.

    Raises:
        ConfigurationError: The views are not there; or an amount is too large for the sums of one.
        DestinationError: The destination cannot be reached.
    """
    with sql_client(pipeline) as client:
        if is_duckdb(pipeline):  # A sync manages with little; views over 100,000 rows do not.
            client.execute_sql(f"SET memory_limit = '{MOST_DUCKDB_MEMORY // 10**6}MB'")
        dataset = into or str(client.dataset_name)
        there = client.execute_sql(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = %s AND table_type = 'VIEW'", dataset
        )
        missing = sorted({one.model for one in QUESTIONS} - {name for (name,) in there})
        if missing:
            raise ConfigurationError(
                "--into", f"{dataset} has no view {missing[0]}.", "Make the views first: automatum models create"
            )
        report = Report(dataset, utc(now))
        last_month = (report.made_at.date().replace(day=1) - timedelta(days=1)).replace(day=1)
        for question in QUESTIONS:
            try:
                rows = _read(client, question.query, dataset)
            except DatabaseException as error:
                if is_duckdb(pipeline) and "out of range" in str(error).lower():
                    raise _too_large(client, question.model) from None
                raise
            report.sections.append(Section(question, rows, last_month if question.monthly else None))
    return report


def _read(client: Any, query: str, dataset: str) -> list[dict[str, Any]]:
    with client.execute_query(query.format(schema=f'"{dataset}"')) as cursor:
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _too_large(client: Any, model: str) -> ConfigurationError:
    """The error for sums of more digits than DuckDB's decimals have; it names the amount that fills its column most."""
    columns = client.execute_sql(
        "SELECT table_name, column_name FROM duckdb_columns() "
        "JOIN duckdb_tables() USING (database_oid, table_oid, table_name) "
        "WHERE duckdb_columns.schema_name = %s AND data_type LIKE 'DECIMAL%%'",
        client.dataset_name,
    )
    most, table, column, value = 0, "", "", Decimal(0)
    for name, of_it in columns:
        query = f'SELECT "{of_it}" FROM {client.make_qualified_table_name(name)} ORDER BY abs("{of_it}") DESC LIMIT 1'  # noqa: S608
        for (found,) in client.execute_sql(query):
            digits = int("".join(map(str, found.as_tuple().digits))) if found is not None else 0
            if digits > most:
                most, table, column, value = digits, name, of_it, found
    return ConfigurationError(
        f"{table}.{column}",
        f"has {value}, with which the sums of {model} have more digits than DuckDB keeps.",
        f"Correct it at its source, and load it again. Its row is that of {client.dataset_name}.{table} with this "
        f"{column}.",
    )


def _words(name: str) -> str:
    return name.replace("_", " ")


def _money(amount: Decimal) -> str:
    return f"{amount:,.2f}"


def _shown(value: Any, name: str = "") -> str:
    """A value as a reader expects it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return _money(value)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, date):
        return value.isoformat() if name != "month" else f"{value:%Y-%m}"
    if isinstance(value, int):
        return f"{value:,}"
    text = str(value)
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
