"""`automatum push ledger`: show, backup, restore, adopt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.clock import SystemClock, instant
from ..core.errors import EXIT_COMPLETE, ConfigurationError
from .commands import CommandApp, examples
from .console import say
from .declared import END, declared
from .options import guarded
from .render_push import show_figures

if TYPE_CHECKING:
    from ..config.settings import AutomatumSettings
    from ..metering.ledger.ledger import Ledger

ledger_app = CommandApp(help="Show, back up and restore the ledger of the push. Sends nothing.", no_args_is_help=True)

From = Annotated[Path, typer.Option("--from", help="File of a backup.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="File of the backup. It must not exist.")]


@ledger_app.command("show", epilog=examples("automatum push ledger show", "automatum push ledger show --json"))
@declared("ledger_url", *END)
def show(**given: Any) -> None:
    """Show the ledger: where and whose it is, what it holds, and why it would be refused."""
    _run(lambda: _show(*_find(given)), given)


@ledger_app.command("backup", epilog=examples("automatum push ledger backup /backup/ledger.sqlite"))
@declared("ledger_url", *END)
def backup(file: File, **given: Any) -> None:
    """Copy the ledger to a SQLite file, also while pushes run."""

    def work() -> dict[str, Any]:
        from ..metering.ledger.transfer import backup, url_of

        with open_ledger(given) as (_, ledger):
            rows = backup(ledger, file)
            return {"from": url_of(ledger), "to": str(file.expanduser().absolute()), "rows": rows}

    _run(work, given)


@ledger_app.command("restore", epilog=examples("automatum push ledger restore --from /backup/ledger.sqlite"))
@declared("ledger_url", *END)
def restore(from_: From, **given: Any) -> None:
    """Restore a lost ledger from a backup. A failure leaves nothing behind."""

    def work() -> dict[str, Any]:
        from ..metering.ledger.location import ledger_owner
        from ..metering.ledger.transfer import restore

        settings, url = _find(given)
        made = restore(url, SystemClock(), ledger_owner(settings), from_)
        last = made.last_call
        after = f"What was sent after {instant(last.timestamp())} is not in it:" if last else "It has no call:"
        step = f"{after} settle that usage with the marketplace before you push it."
        if made.lacks:
            step += " It lacks a call that was sent from here: `automatum push ledger adopt --confirm` accepts that."
        return {"to": url.rpartition("@")[2], "unknown": made.unknown, "rows": made.rows, "next_step": step}

    _run(work, given)


@ledger_app.command("adopt", epilog=examples("automatum push ledger adopt", "automatum push ledger adopt --confirm"))
@declared("ledger_url", "confirm", *END)
def adopt(**given: Any) -> None:
    """Use a copy, or the ledger of an organization or API that has another name now, as the ledger of the settings."""

    def work() -> dict[str, Any]:
        from ..metering.ledger.location import ledger_owner
        from ..metering.ledger.transfer import adopt

        settings, url = _find(given)
        if given["confirm"]:
            adopt(url, SystemClock(), ledger_owner(settings))
        return {"adopted": given["confirm"], **_show(settings, url)}

    _run(work, given)


def _find(given: Mapping[str, Any]) -> tuple[AutomatumSettings, str]:
    from ..config.organizations import PLACEHOLDER
    from ..config.settings import resolve_settings
    from ..metering.ledger.location import find_ledger, refuse_network

    settings = resolve_settings(with_credentials=False, organization=given["organization"])
    url = given["ledger_url"]
    # Unlike a push, these may name a ledger without {organization}: that of the time before there were several.
    named = url.replace(PLACEHOLDER, settings.organization) if url and settings.organization else url
    found = named or find_ledger(settings, None)
    refuse_network(found)
    return settings, found


def _show(settings: AutomatumSettings, url: str) -> dict[str, Any]:
    from ..metering.ledger.ledger import Ledger
    from ..metering.ledger.location import ledger_owner
    from ..metering.ledger.transfer import count_rows, url_of

    with Ledger.open(url, SystemClock()) as ledger:
        if not ledger.exists:
            return {"ledger": url_of(ledger), "exists": False}
        meta, problem = ledger.meta(), None
        with ledger.read() as connection:
            rows = count_rows(connection)
        names = ("ledger_id", "api", "organization", "machine", "moved_to", "copied_from", "created_at")
        figures = {"ledger": url_of(ledger), "exists": True, **{name: meta[name] for name in names}}
        lines = ledger.counts()
    try:
        with Ledger.open(url, SystemClock(), ledger_owner(settings)):
            pass
    except ConfigurationError as error:
        problem = str(error)
    return {**figures, "lines": lines, "rows": rows, "problem": problem}


def run_and_show(
    work: Callable[[], tuple[dict[str, Any], int]], given: Mapping[str, Any], show: Callable[[Mapping[str, Any]], None]
) -> None:
    """Run a command that prints figures.

    Args:
        work: Returns the figures and the exit code.
        given: The options of the command.
        show: Prints the figures for a person.
    """

    def run() -> int:
        figures, code = work()
        say(figures, given["as_json"], lambda: show(figures))
        return code

    guarded(run, given["as_json"], given["debug"])


def _run(work: Callable[[], dict[str, Any]], given: Mapping[str, Any]) -> None:
    run_and_show(lambda: (work(), EXIT_COMPLETE), given, show_figures)


@contextmanager
def open_ledger(given: Mapping[str, Any]) -> Iterator[tuple[AutomatumSettings, Ledger]]:
    """The settings and the ledger of a command's options, for reading.

    Args:
        given: Its options: `ledger_url` and `organization`.

    Raises:
        ConfigurationError: The ledger must not be used, or does not exist.
    """
    from ..config.settings import resolve_settings
    from ..metering.ledger.ledger import Ledger
    from ..metering.ledger.location import find_ledger, ledger_owner

    settings = resolve_settings(with_credentials=False, organization=given["organization"])
    url = find_ledger(settings, given["ledger_url"])
    with Ledger.open(url, SystemClock(), ledger_owner(settings)) as ledger:
        if not ledger.exists:
            raise ConfigurationError(
                "--ledger-url", f"there is no ledger at {ledger.location}.", "Push first, or name another ledger."
            )
        yield settings, ledger
