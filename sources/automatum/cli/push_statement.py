"""`automatum push statement`: the books of a month, and a comparison with the marketplace's report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.errors import EXIT_COMPLETE, EXIT_INCOMPLETE, ConfigurationError
from ..metering.options import read_pairs
from .console import say
from .declared import END, PLACE, declared
from .ledger import open_ledger
from .options import guarded, open_existing, target_of

Month = Annotated[str, typer.Option("--month", help="UTC month of the usage: YYYY-MM.")]
AsCsv = Annotated[bool, typer.Option("--csv", rich_help_panel="Output", help="Print CSV on stdout, with all columns.")]
Report = Annotated[
    Path | None,
    typer.Option("--compare", help="A CSV report of the marketplace. Exit code 65 if its sums differ from the ledger."),
]
_COLUMN = "Name of a column of the report, if it is not known. Repeatable."
Columns = Annotated[list[str] | None, typer.Option("--column", metavar="OURS=THEIRS", help=_COLUMN)]
Vendor = Annotated[str | None, typer.Option(help="Marketplace of the report: aws, azure.")]


@declared("ledger_url", *PLACE, "lock_wait", *END)
def push_statement(
    month: Month,
    as_csv: AsCsv = False,
    compare: Report = None,
    column: Columns = None,
    vendor: Vendor = None,
    **given: Any,
) -> None:
    """Show what was measured in a month, and what became of it, by customer, listing and dimension. Sends nothing.

    The columns add up to the ledger to the last digit. The synced customers name the accounts of a report.
    """

    def work() -> int:
        from ..metering.statement import month_bounds, read_accounts, read_statement
        from ..warehouse.owners import use_stored_owner
        from .render_push import show_statement

        if as_csv and (given["as_json"] or compare):
            raise ConfigurationError("--csv", "only the statement itself is CSV.", "Leave out --json and --compare.")
        month_bounds(month)
        columns = read_pairs(column or [], "--column", "units=Quantity")
        target = target_of(given["destination"], given["dataset"], given["database"])
        with open_ledger(given, needed=True) as (settings, ledger):
            accounts: dict[str, str] = {}
            if compare and not target.missing:
                pipeline = open_existing(target, given["lock_wait"])
                use_stored_owner(pipeline, settings)
                accounts = read_accounts(pipeline, settings.owner)
            found = read_statement(ledger, month, compare, columns, vendor, accounts)
        figures = found.to_json()
        say(
            figures,
            given["as_json"],
            lambda: typer.echo(found.as_csv(), nl=False) if as_csv else show_statement(figures),
        )
        return EXIT_INCOMPLETE if found.compared and found.compared["differences"] else EXIT_COMPLETE

    guarded(work, given["as_json"], given["debug"])
