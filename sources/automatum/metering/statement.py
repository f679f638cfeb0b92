"""The statement of a month, and its comparison with a CSV report of the marketplace. Both are SQL over the lines of the
ledger (`sql/statement.sql`, `sql/comparison.sql`), run by DuckDB in memory.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from ..core.errors import ConfigurationError
from ..core.text import letters_and_digits
from ..endpoints import CUSTOMERS
from ..warehouse.sql import column_names, organization_filter, read_rows
from .export import open_view, read_sql

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

    from .ledger.ledger import Ledger

KEYS = ("vendor", "customer_id", "listing_id", "dimension", "entitlement_id", "currency")
COLUMNS = (
    "measured", "carried_in", "accepted", "confirmed", "carried_out", "unknown", "unbilled", "difference",
    "written_off",
)  # fmt: skip
"""Columns of a statement, each in units and as an amount. Those from `accepted` on add up to the first two."""
NAMES: Mapping[str, tuple[str, ...]] = {
    # Ours first; then AWS's daily usage feed and reports, and Azure's usage download of Partner Center.
    "vendor": ("vendor", "marketplace"),
    "customer_id": (
        "customer_id", "customer aws account id", "customer aws account number", "subscriber aws account id",
        "end user account id", "buyer account id", "payer account id", "customer identifier",
        "marketplace subscription id", "customer id",
    ),
    "listing_id": ("listing_id",),
    "dimension": ("dimension", "dimension key", "custom dimension", "meter dimension", "usage dimension", "meter id"),
    "entitlement_id": ("entitlement_id",),
    "currency": ("currency", "currency code"),
    "units": ("units", "usage quantity", "usage units", "quantity", "metered usage", "normalized usage", "raw usage"),
    "amount": ("amount", "charged", "estimated usage revenue", "estimated revenue", "gross revenue",
               "estimated extended charge"),
    "day": ("day", "usage date", "reporting date", "date"),
}  # fmt: skip
"""Our column to the names that reports give it, in the order of preference; case and punctuation do not matter."""
_ACCOUNTS = ("cloud_identifier", "aws_account_id", "azure_tenant_id")
_OPTION = "--compare"
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
_NUMBER = (
    r"CASE WHEN regexp_full_match({0}, '(-?\d{{1,20}}(\.\d{{1,12}})?)?') "
    r"THEN CAST(COALESCE(NULLIF({0}, ''), '0') AS DECIMAL(38, 12)) END AS {0}"
)
_DAY = (
    r"COALESCE(TRY_STRPTIME(day[:10], '%Y-%m-%d'), "
    r"TRY_STRPTIME(regexp_extract(day, '^\d+/\d+/\d{4}'), '%m/%d/%Y')) AS day"
)
_VENDOR = "COALESCE(LOWER(vendor), ?) AS vendor"


@dataclass(frozen=True)
class Statement:
    """The statement of a month.

    Attributes:
        month: Such as `2026-11`: the UTC month of the hours and days of use. A line that carries late usage counts in
            the month of the hour in which it is billed.
        rows: By the names of `KEYS`, `lines`, and `COLUMNS` with `_units` and `_amount`; sorted by key.
        compared: What the comparison with a report found: `keys` by which both sides were summed, `amounts`: whether
            they were compared besides units, `rows` of the report in the month, `differences`, and `notes` about what
            was not compared. None without a report.
    """

    month: str
    rows: Sequence[Mapping[str, Any]]
    compared: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """For `automatum push statement --json`; amounts are numbers with exactly their digits."""
        found: dict[str, Any] = {"month": self.month, "rows": list(self.rows)}
        return found | ({"compared": self.compared} if self.compared else {})


def read_statement(
    ledger: Ledger,
    month: str,
    report: Path | None = None,
    columns: Mapping[str, str] | None = None,
    vendor: str | None = None,
    accounts: Mapping[str, str] | None = None,
) -> Statement:
    """Make the statement of a month from the ledger, and compare it with a report.

    Args:
        ledger: The ledger.
        month: Such as `2026-11`.
        report: A CSV file of the marketplace, with a header; None to compare nothing.
        columns: Our column to the report's, where its name is not in `NAMES`.
        vendor: The marketplace of the report; None if it has a column for it, or the month has one marketplace.
        accounts: Ids of accounts at the marketplace to ids of customers, from `read_accounts`.

    Raises:
        ConfigurationError: `month` is no month; or the report cannot be read, lacks units, or has a number or date that
            cannot be read; or its marketplace is not named.
        DestinationError: The ledger cannot be read.
    """
    start, end = month_bounds(month)
    with open_view("statement", ledger.entries(starts_in=(start, end))) as connection:
        found = _rows(connection, f"SELECT * EXCLUDE (month) FROM metering_statement ORDER BY {', '.join(KEYS)}")
        compared = None
        if report:
            given, places = _read(report, columns or {}, accounts or {})
            compared = _compare(connection, month, given, places, vendor)
    return Statement(month, found, compared)


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    found = connection.execute(query)
    names = [one[0] for one in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def month_bounds(month: str) -> tuple[datetime, datetime]:
    """Start and end of a month, in UTC.

    Raises:
        ConfigurationError: It is no month.
    """
    match = _MONTH.fullmatch(month)
    if match is None or month < "0001":
        raise ConfigurationError("--month", f"{month!r} is not a month.", "Write it as YYYY-MM, such as 2026-11.")
    start = datetime(int(match[1]), int(match[2]), 1, tzinfo=timezone.utc)
    return start, start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)


def _compare(
    connection: duckdb.DuckDBPyConnection, month: str, given: pa.Table, present: Collection[str], vendor: str | None
) -> dict[str, Any]:
    """Compare what the API took with the report, by all columns that the report has.

    None is left out because its values are strange: an account that is no customer's is what there is to find.
    """
    vendors = _values(connection, "vendor")
    if "vendor" not in present and vendor is None and len(vendors) > 1:
        step = "Name that of the report."
        raise ConfigurationError("--vendor", "the month has usage of several marketplaces.", step)
    connection.register("given", given)
    values = ", ".join([*(_NUMBER.format(name) for name in ("units", "amount")), _DAY, _VENDOR])
    query = f"CREATE TABLE report AS SELECT * REPLACE ({values}) FROM given"
    connection.execute(query, [vendor or next(iter(vendors), "")])
    _refuse_unread(connection)
    connection.execute("DELETE FROM report WHERE strftime(day, '%Y-%m') <> ?", [month])
    by_currency = "currency" in present or len(_values(connection, "currency")) < 2
    amounts, notes = "amount" in present and by_currency, []
    if not amounts:
        lacks = "currencies" if "amount" in present else "amounts"
        notes.append(f"the report has no column of {lacks}, so only units were compared")
    keys = [name for name in KEYS if name in present or name == "vendor"]
    text = read_sql("comparison").replace("{keys}", ", ".join(keys)).replace("{amounts}", str(amounts).upper())
    differences = _rows(connection, text)
    if vendor is not None:
        differences = [row for row in differences if row["vendor"] == vendor]
    (count,) = connection.execute("SELECT COUNT(*) FROM report").fetchone() or (0,)
    return {"keys": keys, "amounts": amounts, "rows": count, "differences": differences, "notes": notes}


def _values(connection: duckdb.DuckDBPyConnection, column: str) -> list[str]:
    query = f"SELECT DISTINCT {column} FROM metering_statement ORDER BY 1"
    return [row[0] for row in connection.execute(query).fetchall()]


def _refuse_unread(connection: duckdb.DuckDBPyConnection) -> None:
    """Raise for the first line of the report with a number or a date that cannot be read."""
    number = "is not a number.", "Write it as -1234.56."
    words = {"units": number, "amount": number, "day": ("is not a date.", "Write it as YYYY-MM-DD.")}
    for name, (problem, step) in words.items():
        query = f"SELECT line, given.{name} FROM given JOIN report USING (line) WHERE report.{name} IS NULL"
        row = connection.execute(f"{query} AND given.{name} <> '' ORDER BY line LIMIT 1").fetchone()
        if row:
            raise ConfigurationError(_OPTION, f"line {row[0]}: {name}: {row[1]!r} {problem}", step)


def _read(path: Path, columns: Mapping[str, str], accounts: Mapping[str, str]) -> tuple[pa.Table, Collection[str]]:
    """The columns of `NAMES` of a report as text, with the number of the line; and which of them it has."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            places = _places(next(reader, []), columns)
            rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        step = "Give a CSV file in UTF-8, with a header."
        raise ConfigurationError(_OPTION, f"{path} cannot be read: {error}", step) from None
    found: dict[str, list[str | None]] = {name: [None] * len(rows) for name in NAMES}
    for name, place in places.items():
        cells = (row[place].strip() if place < len(row) else "" for _, row in rows)
        found[name] = [accounts.get(cell, cell) if name == "customer_id" else cell for cell in cells]
    texts = {name: pa.array(cells, pa.string()) for name, cells in found.items()}
    return pa.table({"line": pa.array([line for line, _ in rows], pa.int64()), **texts}), set(places)


def _places(header: Sequence[str], columns: Mapping[str, str]) -> dict[str, int]:
    """Our column to its position in the report."""
    if unknown := sorted(set(columns) - set(NAMES)):
        raise ConfigurationError(
            "--column", f"{', '.join(unknown)} is not a column of usage.", f"Columns: {', '.join(NAMES)}."
        )
    there = [letters_and_digits(name) for name in header]
    has = f"It has: {', '.join(header)}. Name the column with --column units=NAME."
    places = {}
    for name, known in NAMES.items():
        wanted = (columns[name],) if name in columns else known
        place = next((there.index(key) for one in wanted if (key := letters_and_digits(one)) in there), None)
        if place is not None:
            places[name] = place
        elif name in columns or name == "units":
            raise ConfigurationError(_OPTION, f"the report lacks {columns.get(name, name)}.", has)
    return places


def read_accounts(pipeline: SupportsPipeline, organization_id: str | None = None) -> dict[str, str]:
    """Ids of accounts at the marketplaces to ids of customers, from the synced customers; empty if there are none."""
    there = column_names(pipeline, CUSTOMERS.table)
    names = [name for name in _ACCOUNTS if name in there]
    if not names:
        return {}
    rows = read_rows(pipeline, CUSTOMERS.table, ("id", *names), organization_filter(organization_id))
    return {str(account): str(row[0]) for row in rows for account in row[1:] if account}
