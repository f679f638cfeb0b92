"""The commands that say what the API has: `check` and `discover`."""

from __future__ import annotations

import logging

import typer

from ..core.clock import SystemClock
from ..core.defaults import DEFAULT_DATABASE, DEFAULT_DATASET, DUCKDB
from .commands import LOOK, SET_UP, examples
from .console import say, show_error
from .options import (
    Database,
    Dataset,
    Debug,
    DestinationName,
    Json,
    MaxWait,
    NoWait,
    OrganizationName,
    guarded,
    longest_wait,
    prepare_for_rows,
    stop_on_signals,
)

logger = logging.getLogger("automatum")

_LONGEST_WAIT = 90.0
"""Seconds that a check waits for the rate limit by itself: its minute may be full, and a person looks on."""


def add_check(app: typer.Typer) -> None:
    """Add the command `check`."""
    help_text = examples("automatum check", "automatum check --json")
    app.command(rich_help_panel=SET_UP, epilog=help_text)(check)


def add_discover(app: typer.Typer) -> None:
    """Add the command `discover`."""
    help_text = examples("automatum discover", "automatum discover --json")
    app.command(rich_help_panel=LOOK, epilog=help_text)(discover)


def check(
    organization: OrganizationName = None,
    destination: DestinationName = DUCKDB,
    dataset: Dataset = DEFAULT_DATASET,
    database: Database = DEFAULT_DATABASE,
    no_wait: NoWait = False,
    max_wait: MaxWait = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Check credentials, scopes and limits; at most one request per table.

    The destination, if there is one, knows since when the client secret is in use.
    A check that has to wait more than 90 seconds for the rate limit exits 75, unless --max-wait allows it.
    """

    def work() -> int:
        from ..api.session import connect
        from ..config.settings import resolve_settings
        from ..config.toml_files import readable_secrets
        from ..operations.check import check as check_connection
        from ..operations.status import secret_in_use
        from ..warehouse.target import Target
        from . import render

        stop, target = stop_on_signals(), Target(destination, dataset, database)
        prepare_for_rows(target)
        settings = resolve_settings(organization=organization)
        patience = longest_wait(no_wait, _LONGEST_WAIT if max_wait is None else max_wait)
        session = connect(settings, stop=stop, max_wait=patience)
        report = check_connection(session)
        report.secret = secret_in_use(target, settings, SystemClock(stop))
        say(report.as_json(), as_json, lambda: render.show_check(report))
        for error in report.errors:
            show_error(error)
        for file in readable_secrets():
            logger.warning("other users of this machine can read the secrets in %s; run: chmod 600 %s", file, file)
        return report.exit_code

    guarded(work, as_json, debug)


def discover(as_json: Json = False, debug: Debug = False) -> None:
    """List and describe tables and columns, and whether they are documented or assumed; sends no request."""

    def work() -> int:
        from ..api.overrides import resolve_endpoints
        from ..config.settings import resolve_settings
        from ..operations.discover import describe
        from . import render

        settings = resolve_settings(with_credentials=False)
        endpoints = resolve_endpoints(settings, bool(settings.organizations))
        described = describe(endpoints, settings.history)
        say(described, as_json, lambda: render.show_discovery(described))
        return 0

    guarded(work, as_json, debug)
