"""`automatum push ledger`: show, backup, restore, adopt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.clock import SystemClock, instant
from ..core.errors import ConfigurationError
from .commands import CommandApp, examples
from .declared import END, runs
from .options import settings_of
from .render_push import show_figures
from .reporter import Reporter

if TYPE_CHECKING:
    from ..config.settings import AutomatumSettings
    from ..metering.ledger.ledger import Ledger

ledger_app = CommandApp(help="Show, back up and restore the ledger of the push. Sends nothing.", no_args_is_help=True)

From = Annotated[Path, typer.Option("--from", help="File of a backup.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="File of the backup. It must not exist.")]


@ledger_app.command("show", epilog=examples("automatum push ledger show", "automatum push ledger show --json"))
@runs(*END)
def show(reporter: Reporter, **given: Any) -> int:
    """Show the ledger: where and whose it is, what it holds, and why it would be refused."""
    return reporter.show(_figures(*_find(given)), show_figures)


@ledger_app.command("backup", epilog=examples("automatum push ledger backup /backup/ledger.sqlite"))
@runs(*END)
def backup(reporter: Reporter, file: File, **given: Any) -> int:
    """Copy the ledger to a SQLite file, also while pushes run."""
    from ..metering.ledger.transfer import backup, url_of

    with open_ledger(given) as (_, ledger):
        rows = backup(ledger, file)
        figures = {"from": url_of(ledger), "to": str(file.expanduser().absolute()), "rows": rows}
    return reporter.show(figures, show_figures)


@ledger_app.command("restore", epilog=examples("automatum push ledger restore --from /backup/ledger.sqlite"))
@runs(*END)
def restore(reporter: Reporter, from_: From, **given: Any) -> int:
    """Restore a lost ledger from a backup. A failure leaves nothing behind."""
    from ..metering.ledger.location import ledger_owner
    from ..metering.ledger.transfer import restore

    settings, url = _find(given)
    made = restore(url, SystemClock(), ledger_owner(settings), from_)
    last = made.last_call
    after = f"What was sent after {instant(last.timestamp())} is not in it:" if last else "It has no call:"
    step = f"{after} settle that usage with the marketplace before you push it."
    if made.lacks:
        step += " It lacks a call that was sent from here: `automatum push ledger adopt --confirm` accepts that."
    figures = {"to": url.rpartition("@")[2], "unknown": made.unknown, "rows": made.rows, "next_step": step}
    return reporter.show(figures, show_figures)


@ledger_app.command("adopt", epilog=examples("automatum push ledger adopt", "automatum push ledger adopt --confirm"))
@runs("confirm", *END)
def adopt(reporter: Reporter, **given: Any) -> int:
    """Use a copy, or the ledger of an organization or API that has another name now, as the ledger of the settings."""
    from ..metering.ledger.location import ledger_owner
    from ..metering.ledger.transfer import adopt

    settings, url = _find(given)
    if given["confirm"]:
        adopt(url, SystemClock(), ledger_owner(settings))
    return reporter.show({"adopted": given["confirm"], **_figures(settings, url)}, show_figures)


def _find(given: Mapping[str, Any]) -> tuple[AutomatumSettings, str]:
    from ..metering.ledger.location import find_ledger, refuse_network

    settings = settings_of(given)
    found = find_ledger(settings)
    refuse_network(found)
    return settings, found


def _figures(settings: AutomatumSettings, url: str) -> dict[str, Any]:
    from ..metering.ledger.ledger import Ledger
    from ..metering.ledger.location import ledger_owner
    from ..metering.ledger.transfer import count_rows, url_of

    with Ledger.open(url, SystemClock()) as ledger:
        if not ledger.exists:
            return {"ledger": url_of(ledger), "exists": False}
        meta, problem = ledger.meta(), None
        with ledger.read() as connection:
            rows = count_rows(connection)
        names = ("ledger_id", "api", "organization", "machine", "copied_from", "created_at")
        figures = {"ledger": url_of(ledger), "exists": True, **{name: meta[name] for name in names}}
        lines = ledger.counts()
    try:
        with Ledger.open(url, SystemClock(), ledger_owner(settings)):
            pass
    except ConfigurationError as error:
        problem = str(error)
    return {**figures, "lines": lines, "rows": rows, "problem": problem}


@contextmanager
def open_ledger(given: Mapping[str, Any]) -> Iterator[tuple[AutomatumSettings, Ledger]]:
    """The settings and the ledger of a command's options, for reading.

    Raises:
        ConfigurationError: The ledger must not be used, or does not exist.
    """
    from ..metering.ledger.ledger import Ledger
    from ..metering.ledger.location import find_ledger, ledger_owner

    settings = settings_of(given)
    url = find_ledger(settings)
    with Ledger.open(url, SystemClock(), ledger_owner(settings)) as ledger:
        ledger.require_tables()
        yield settings, ledger
