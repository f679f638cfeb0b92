"""Compares the statement of a month with a CSV file of the marketplace: a report, a data feed, or an export of a
dashboard.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import ConfigurationError
from ..core.text import letters_and_digits
from ..endpoints import CUSTOMERS
from ..warehouse.sql import read_column_names, stream_columns
from .model import exact
from .report_columns import NAMES
from .statement import Row, Statement, Sum

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

OPTION = "--compare"
KEYS = ("vendor", "customer_id", "listing_id", "dimension", "entitlement_id")
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?")
_ACCOUNTS = ("cloud_identifier", "aws_account_id", "azure_tenant_id")


@dataclass(frozen=True, slots=True)
class Difference:
    """A key whose amounts differ.

    Attributes:
        key: The compared columns and their values.
        ours: What the API took by the ledger.
        theirs: What the marketplace reports.
        amounts: Whether amounts were compared.
    """

    key: Mapping[str, str]
    ours: Sum
    theirs: Sum
    amounts: bool

    def as_json(self) -> dict[str, Any]:
        """For `automatum push statement --json`."""
        found: dict[str, Any] = {
            **self.key,
            "our_units": self.ours.units,
            "their_units": self.theirs.units,
            "difference": exact().subtract(self.theirs.units, self.ours.units),
        }
        if self.amounts:
            found |= {"our_amount": self.ours.amount, "their_amount": self.theirs.amount}
        return found


@dataclass(slots=True)
class Compared:
    """Result of a comparison.

    Attributes:
        keys: Columns by which the two were summed.
        amounts: Whether amounts were compared besides units.
        rows: Number of rows of the report in the month.
        differences: Keys whose sums differ, sorted.
        notes: What was not compared, and why.
    """

    keys: tuple[str, ...]
    amounts: bool
    rows: int
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For `automatum push statement --json`."""
        return {
            "keys": list(self.keys),
            "amounts": self.amounts,
            "rows": self.rows,
            "differences": [difference.as_json() for difference in self.differences],
            "notes": self.notes,
        }


def compare(
    statement: Statement,
    path: Path,
    columns: Mapping[str, str] | None = None,
    vendor: str | None = None,
    customers: Mapping[str, str] | None = None,
) -> Compared:
    """Compare what the API took with what the marketplace reports, by the columns that both have.

    Args:
        statement: The statement of the month.
        path: A CSV file with a header.
        columns: Our column to the report's, where its name is not known. Columns: those of `NAMES`.
        vendor: The marketplace of the report; None if it has a column for it, or the month has one marketplace.
        customers: Ids of accounts at the marketplace to ids of customers, from `read_accounts`.

    Raises:
        ConfigurationError: The file cannot be read, lacks units, or has a number or date that cannot be read; or the
            marketplace is not named.
    """
    header, rows = _read(path)
    places = _places(header, columns or {})
    if vendor is None and "vendor" not in places and len({row.named["vendor"] for row in statement.rows}) > 1:
        raise ConfigurationError("--vendor", "the month has usage of several marketplaces.", "Name that of the report.")
    ours = [row for row in statement.rows if vendor in (None, row.named["vendor"])]
    theirs = [row for row in _parse(rows, places, customers or {}) if _in_month(row, statement.month)]
    keys, notes = _keys(ours, theirs, places, columns or {})
    amounts = "amount" in places
    if not amounts:
        notes.append("the report has no column of amounts, so only units were compared")
    sums: dict[tuple[str, ...], tuple[Sum, Sum]] = defaultdict(lambda: (Sum(), Sum()))
    for our in ours:
        sums[tuple(our.named[name] for name in keys)][0].add(our.billed.units, our.billed.amount)
    for row in theirs:
        sums[tuple(row[name] for name in keys)][1].add(row["units"], row.get("amount") or Decimal(0))
    compared = Compared(keys, amounts, len(theirs), notes=notes)
    for key in sorted(sums):
        mine, other = sums[key]
        if mine.units != other.units or (amounts and mine.amount != other.amount):
            compared.differences.append(Difference(dict(zip(keys, key, strict=True)), mine, other, amounts))
    return compared


def read_accounts(pipeline: SupportsPipeline, organization_id: str | None = None) -> dict[str, str]:
    """Ids of accounts at the marketplaces to ids of customers, from the synced customers; empty if there are none."""
    there = read_column_names(pipeline, CUSTOMERS.table)
    names = [name for name in _ACCOUNTS if name in there]
    if not names:
        return {}
    found: dict[str, str] = {}
    for id_, *accounts in stream_columns(pipeline, CUSTOMERS.table, ("id", *names), organization_id=organization_id):
        found |= {str(account): id_ for account in accounts if account}
    return found


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file, strict=True) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(OPTION, f"{path} cannot be read: {error}.", "Give a CSV file in UTF-8.") from None
    if not rows:
        raise ConfigurationError(OPTION, f"{path} is empty.", "Give a CSV file with a header.")
    return rows[0], rows[1:]


def _places(header: Sequence[str], columns: Mapping[str, str]) -> dict[str, int]:
    """Our column to its position in the report."""
    plain = [letters_and_digits(name) for name in header]
    places: dict[str, int] = {}
    for ours, theirs in NAMES.items():
        wanted = (columns[ours],) if ours in columns else theirs
        for name in wanted:
            if letters_and_digits(name) in plain:
                places[ours] = plain.index(letters_and_digits(name))
                break
        else:
            if ours in columns:
                raise _lacking(f"{columns[ours]} ({ours})", header)
    if unknown := sorted(set(columns) - set(NAMES)):
        raise ConfigurationError(
            "--column", f"{', '.join(unknown)} is not a column of usage.", f"Columns: {', '.join(NAMES)}."
        )
    if "units" not in places:
        raise _lacking("units", header)
    return places


def _lacking(what: str, header: Sequence[str]) -> ConfigurationError:
    step = f"It has: {', '.join(header)}. Name the column with --column units=NAME."
    return ConfigurationError(OPTION, f"the report lacks {what}.", step)


def _parse(
    rows: Sequence[Sequence[str]], places: Mapping[str, int], customers: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    for number, cells in enumerate(rows, 2):
        row: dict[str, Any] = {
            name: cells[place].strip() if place < len(cells) else "" for name, place in places.items()
        }
        for name in ("units", "amount"):
            if name in row:
                row[name] = _number(row[name] or "0", name, number)
        if "vendor" in row:
            row["vendor"] = row["vendor"].lower()
        if "customer_id" in row:
            row["customer_id"] = customers.get(row["customer_id"], row["customer_id"])
        if row.get("day"):
            row["day"] = _day(row["day"], number)
        yield row


def _number(text: str, name: str, number: int) -> Decimal:
    if not _DECIMAL.fullmatch(text):  # a separator of thousands might be a decimal point
        raise ConfigurationError(OPTION, f"line {number}: {name}: {text!r} is not a number.", "Write it as -1234.56.")
    return Decimal(text)


def _day(text: str, number: int) -> date:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        pass
    match = re.match(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})", text)  # as Partner Center writes it
    if match:
        try:
            return date(int(match[3]), int(match[1]), int(match[2]))
        except ValueError:
            pass
    raise ConfigurationError(OPTION, f"line {number}: {text!r} is not a date.", "Write it as YYYY-MM-DD.")


def _in_month(row: Mapping[str, Any], month: str) -> bool:
    return not row.get("day") or f"{row['day']:%Y-%m}" == month


def _keys(
    ours: Sequence[Row], theirs: Sequence[Mapping[str, Any]], places: Mapping[str, int], columns: Mapping[str, str]
) -> tuple[tuple[str, ...], list[str]]:
    """The columns to compare by, and notes about those that are left out."""
    keys, notes = [], []
    for name in KEYS:
        if name not in places:
            continue
        known, given = {row.named[name] for row in ours}, {row[name] for row in theirs}
        if name in columns or not theirs or not ours or known & given:
            keys.append(name)
        else:
            example = next(iter(sorted(given)), "")
            notes.append(f"{name} was not compared: the ledger knows none of the report's values, such as {example!r}")
    return tuple(keys), notes
