"""`automatum push statement`: the books of a month, and a comparison with the marketplace's report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.defaults import DEFAULT_DATABASE, DEFAULT_DATASET, DUCKDB, LOCK_WAIT
from ..core.errors import EXIT_COMPLETE, EXIT_INCOMPLETE, ConfigurationError
from ..core.text import plural
from ..metering.report_columns import NAMES
from .console import say, say_text
from .ledger import open_ledger
from .options import (
    Database,
    Dataset,
    Debug,
    DestinationName,
    Json,
    LockWait,
    OrganizationName,
    guarded,
    open_existing,
    target_of,
)
from .push_options import LedgerUrl, parse_mapping
from .tables import TextTable

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

    from ..metering.marketplace_report import Compared
    from ..metering.statement import Statement
    from ..warehouse.target import Target

EXAMPLES = (
    "automatum push statement --month 2026-11",
    "automatum push statement --month 2026-11 --csv > 2026-11.csv",
    "automatum push statement --month 2026-11 --vendor aws --compare daily_usage.csv",
)
_MOST_SHOWN = 20

Month = Annotated[str, typer.Option("--month", help="UTC month of the usage: YYYY-MM.")]
AsCsv = Annotated[bool, typer.Option("--csv", rich_help_panel="Output", help="Print CSV on stdout, with all columns.")]
CompareFile = Annotated[
    Path | None,
    typer.Option("--compare", help="A CSV report of the marketplace. Exit code 65 if its sums differ from the ledger."),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="OURS=THEIRS",
        help=f"Name of a column of the report, if it is not known: {', '.join(NAMES)}. Repeatable.",
    ),
]
Vendor = Annotated[str | None, typer.Option(help="Marketplace of the report: aws, azure.")]


def push_statement(
    month: Month,
    as_csv: AsCsv = False,
    compare_file: CompareFile = None,
    column: Columns = None,
    vendor: Vendor = None,
    destination: DestinationName = DUCKDB,
    database: Database = DEFAULT_DATABASE,
    dataset: Dataset = DEFAULT_DATASET,
    ledger_url: LedgerUrl = None,
    organization: OrganizationName = None,
    lock_wait: LockWait = LOCK_WAIT,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what was measured in a month, and what became of it, by customer, listing and dimension. Sends nothing.

    The columns add up to the ledger to the last digit. The synced entitlements name the currencies.
    """

    def work() -> int:
        from ..config.settings import resolve_settings
        from ..metering.eligibility import UNCHECKED, read_eligibility
        from ..metering.marketplace_report import compare, read_accounts
        from ..metering.statement import month_bounds, read_statement
        from ..warehouse.owners import use_stored_owner

        if as_csv and as_json:
            raise ConfigurationError("--csv", "cannot be combined with --json.", "Leave out one of them.")
        month_bounds(month)
        columns = parse_mapping(column or [], "--column", "units=Quantity")
        settings = resolve_settings(with_credentials=False, organization=organization)
        pipeline = _existing(target_of(destination, dataset, database), lock_wait)
        if pipeline:
            use_stored_owner(pipeline, settings)
        eligibility = read_eligibility(pipeline, settings.owner) if pipeline else UNCHECKED
        with open_ledger(ledger_url, organization, needed=True) as ledger:
            statement = read_statement(ledger, month, eligibility)
        compared = None
        if compare_file:
            accounts = read_accounts(pipeline, settings.owner) if pipeline else {}
            compared = compare(statement, compare_file, columns, vendor.lower() if vendor else None, accounts)
        if as_csv:
            sys.stdout.write(statement.as_csv())
        else:
            figures = {**statement.as_json(), "compared": compared.as_json() if compared else None}
            say(figures, as_json, lambda: _show(statement, compared))
        return EXIT_INCOMPLETE if compared and compared.differences else EXIT_COMPLETE

    guarded(work, as_json, debug)


def _existing(target: Target, lock_wait: float) -> SupportsPipeline | None:
    """A pipeline of the destination; None for a DuckDB file that does not exist: then no currency is known."""
    return None if target.missing else open_existing(target, lock_wait)


def _show(statement: Statement, compared: Compared | None) -> None:
    from ..metering.model import UNKNOWN_CURRENCY, format_decimal
    from ..metering.statement import COLUMNS, Sum

    if not statement.rows:
        say_text(f"The ledger holds no usage of {statement.month}.")
    used = [name for name in COLUMNS if any(row.sums[name] != Sum() for row in statement.rows)]
    headings = [name.replace("_", " ") for name in used]
    words = ("vendor", "listing", "dimension", "currency")
    for title in ("Units", "Amount") if used else ():
        is_money = title == "Amount"
        table = TextTable("customer", *headings, words=words, title=f"{title} of {statement.month} (UTC)")
        for row in statement.rows:
            key, sums = row.named, [row.sums[name] for name in used]
            numbers = [format_decimal(cell.amount if is_money else cell.units) for cell in sums]
            listing = key["listing_id"] + (f" ({key['entitlement_id']})" if key["entitlement_id"] else "")
            table.add(key["customer_id"], *numbers, key["vendor"], listing, key["dimension"], key["currency"])
        if is_money:
            for currency, totals in statement.totals.items():
                numbers = [format_decimal(totals[name].amount) for name in used]
                table.add("in all", *numbers, "", "", "", currency)
        table.show()
    if any(row.named["currency"] == UNKNOWN_CURRENCY for row in statement.rows):
        say_text("The currency is unknown where the synced entitlements name none, or several.")
    if compared:
        _show_compared(compared)


def _show_compared(compared: Compared) -> None:
    from ..metering.model import format_decimal

    for note in compared.notes:
        say_text(f"Note: {note}.")
    by = ", ".join(compared.keys) or "the whole month"
    if not compared.differences:
        say_text(f"The report agrees with the ledger: {plural(compared.rows, 'row')}, by {by}.")
        return
    table = TextTable("key", "our units", "their units", "our amount", "their amount", title=f"Differences, by {by}")
    for difference in compared.differences[:_MOST_SHOWN]:
        amounts: list[Any] = [difference.ours.amount, difference.theirs.amount] if difference.amounts else []
        numbers = [format_decimal(number) for number in (difference.ours.units, difference.theirs.units, *amounts)]
        table.add(" ".join(difference.key.values()) or "all", *numbers, *[""] * (4 - len(numbers)))
    table.show()
    if len(compared.differences) > _MOST_SHOWN:
        say_text(f"  and {len(compared.differences) - _MOST_SHOWN:,} more; --json lists all")
