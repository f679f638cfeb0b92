"""`automatum push status`: money at risk first, then each body and how old it is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.clock import SystemClock, utc
from ..core.defaults import DEFAULT_DATABASE, DEFAULT_DATASET, DUCKDB, EXPIRING_FROM
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
    target_of,
)
from .push_options import LedgerUrl, read_currencies
from .reporter import Reporter

if TYPE_CHECKING:
    from ..config.settings import AutomatumSettings
    from ..metering.ledger_status import LedgerStatus
    from ..warehouse.target import Target

Within = Annotated[
    float, typer.Option(min=0.0, help="Hours before its deadline from which a planned line counts as expiring.")
]
_WITHIN = EXPIRING_FROM.total_seconds() / 3600


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
        from . import render_push_status

        settings = resolve_settings(with_credentials=False, organization=organization)
        status = _read(settings, ledger_url, target_of(destination, dataset, database), timedelta(hours=within))
        return reporter.finished(status, status.as_json(), lambda: render_push_status.show_status(status))

    reporter = Reporter("push status", as_json, quiet, notify, notify_on)
    guarded(work, as_json, debug, reporter)


def _read(settings: AutomatumSettings, ledger_url: str | None, target: Target, expiring: timedelta) -> LedgerStatus:
    from ..metering.ledger.location import find_ledger, ledger_owner, refuse_network
    from ..metering.ledger.missing import missing_file

    url, clock = find_ledger(settings, ledger_url), SystemClock()
    refuse_network(url)
    if path := missing_file(url):
        return _without_ledger(settings, str(path), path, bool(ledger_url))
    from ..metering.checks import silence_of
    from ..metering.ledger.ledger import Ledger  # SQLAlchemy, only where there is a ledger.
    from ..metering.ledger_status import read_status

    with Ledger.open(url, clock, create=False, owner=ledger_owner(settings)) as ledger:
        if not ledger.exists:
            return _without_ledger(settings, ledger.location, ledger.database.path, bool(ledger_url))
        synced, notes = read_currencies(target, settings)
        status = read_status(
            ledger,
            utc(clock.time()),
            eligibility=synced,
            expiring=expiring,
            silence=silence_of(settings),
        )
    status.notes += notes
    return status


def _without_ledger(settings: AutomatumSettings, location: str, path: Path | None, named: bool) -> LedgerStatus:
    """The status if nothing was ever pushed; raises `ConfigurationError` for a ledger that is lost."""
    from ..metering.ledger.missing import lost_ledger
    from ..metering.ledger_status import LedgerStatus

    if problem := lost_ledger(settings, location, path, named=named):
        raise problem
    return LedgerStatus(location, False, utc(SystemClock().time()))
