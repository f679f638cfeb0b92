"""`automatum push status`: money at risk first, then each body and how old it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from ..core.clock import SystemClock, utc
from ..core.defaults import DEFAULT_DATABASE, DEFAULT_DATASET, DUCKDB, EXPIRING
from .options import (
    Database,
    Dataset,
    Debug,
    DestinationName,
    Json,
    Notify,
    NotifyOn,
    OrganizationName,
    Quiet,
    guarded,
)
from .push_options import LedgerUrl, read_currencies
from .reporter import Reporter

Within = Annotated[
    float, typer.Option(min=0.0, help="Hours before its deadline from which a planned line counts as expiring.")
]
_WITHIN = EXPIRING.total_seconds() / 3600


def push_status(
    within: Within = _WITHIN,
    destination: DestinationName = DUCKDB,
    database: Database = DEFAULT_DATABASE,
    dataset: Dataset = DEFAULT_DATASET,
    ledger_url: LedgerUrl = None,
    organization: OrganizationName = None,
    quiet: Quiet = False,
    notify: Notify = None,
    notify_on: NotifyOn = "trouble",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what waits for a person, with its money, and the lines of the ledger by state. Sends nothing."""

    def work() -> int:
        from ..config.settings import resolve_settings
        from ..metering.ledger.ledger import Ledger
        from ..metering.ledger.location import find_ledger, ledger_owner, refuse_network
        from ..metering.ledger.opening import lost_ledger
        from ..metering.ledger_status import read_status
        from ..warehouse.target import Target
        from . import render_status

        settings = resolve_settings(with_credentials=False, organization=organization)
        url, clock = find_ledger(settings, ledger_url), SystemClock()
        refuse_network(url)
        with Ledger.open(url, clock, create=False, owner=ledger_owner(settings)) as ledger:
            if not ledger.exists and (problem := lost_ledger(settings, ledger, named=bool(ledger_url))):
                raise problem
            synced, notes = read_currencies(Target(destination, dataset, database), settings)
            hours = settings.metering_silence_hours
            status = read_status(
                ledger,
                utc(clock.time()),
                eligibility=synced,
                expiring=timedelta(hours=within),
                silence=None if hours is None else timedelta(hours=hours),
            )
        status.notes += notes
        return reporter.finished(status, status.as_json(), lambda: render_status.show_status(status))

    reporter = Reporter("push status", as_json, quiet, notify, notify_on)
    guarded(work, as_json, debug, reporter)
