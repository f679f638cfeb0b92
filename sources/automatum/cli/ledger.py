"""`automatum push ledger`: info, copy, move, backup, restore, adopt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.clock import SystemClock, instant
from ..core.defaults import DEFAULT_DATABASE, DEFAULT_DATASET, DUCKDB, LOCK_WAIT
from ..core.errors import EXIT_COMPLETE, ConfigurationError
from .commands import CommandApp, examples
from .console import say, say_text
from .options import Database, Dataset, Debug, DestinationName, Json, LockWait, OrganizationName, guarded, open_existing
from .push_options import LedgerUrl

if TYPE_CHECKING:
    from ..config.settings import AutomatumSettings
    from ..metering.ledger.ledger import Ledger

ledger_app = CommandApp(
    help="Show, copy, move, back up and restore the ledger of the push. Sends nothing.",
    no_args_is_help=True,
)

To = Annotated[str, typer.Option("--to", help="Database of the new place: sqlite:////path or postgresql://...")]
From = Annotated[
    str | None, typer.Option("--from", help="Database to restore from. Default: metering_lines of the destination.")
]
File = Annotated[str, typer.Argument(metavar="FILE", help="File of the backup. It must not exist.")]
Confirm = Annotated[bool, typer.Option("--confirm", help="Do it. Without it the ledger is only shown.")]


@ledger_app.command("info", epilog=examples("automatum push ledger info", "automatum push ledger info --json"))
def info(
    ledger_url: LedgerUrl = None, organization: OrganizationName = None, as_json: Json = False, debug: Debug = False
) -> None:
    """Show the ledger: where and whose it is, what it holds, and why it would be refused."""
    _run(lambda: _info(*_find(ledger_url, organization)), as_json, debug)


@ledger_app.command("copy", epilog=examples("automatum push ledger copy --to sqlite:////backup/ledger.sqlite"))
def copy(
    to: To,
    ledger_url: LedgerUrl = None,
    organization: OrganizationName = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Copy the ledger to another database. The copy is refused by a push until it is adopted."""
    _run(lambda: _copy(to, *_find(ledger_url, organization)), as_json, debug)


@ledger_app.command("backup", epilog=examples("automatum push ledger backup /backup/ledger.sqlite"))
def backup(
    file: File,
    ledger_url: LedgerUrl = None,
    organization: OrganizationName = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Copy the ledger to a SQLite file, also while pushes run."""

    def work() -> dict[str, Any]:
        path = Path(file).expanduser().absolute()
        if path.exists():
            raise ConfigurationError("FILE", f"{path} exists.", "Name a new file.")
        return _copy(f"sqlite:///{path}", *_find(ledger_url, organization))

    _run(work, as_json, debug)


@ledger_app.command("move", epilog=examples("automatum push ledger move --to postgresql://user@host/database"))
def move(
    to: To,
    ledger_url: LedgerUrl = None,
    organization: OrganizationName = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Move the ledger to another database. The old one stays, refuses each push, and says where the new one is."""

    def work() -> dict[str, Any]:
        from ..metering.ledger.ledger import Ledger
        from ..metering.ledger.location import ledger_owner, refuse_network
        from ..metering.ledger.transfer import move_ledger, url_of

        settings, url = _find(ledger_url, organization)
        target, owner = _of_organization(settings, to), ledger_owner(settings)
        refuse_network(target)
        with Ledger.open(url, SystemClock(), create=False, owner=owner) as ledger:
            ledger.database.require_tables()
            content = move_ledger(ledger, target, SystemClock(), owner)
            before = url_of(ledger)
        with Ledger.open(target, SystemClock(), create=False, owner=owner) as ledger:
            login = "" if ledger.database.path else " (with its user and password)"
            return {
                "from": before,
                "to": url_of(ledger),
                "rows": content.rows,
                "digest": content.digest,
                "next_step": f"Set ledger_url, or --ledger-url, to {url_of(ledger)}{login}.",
            }

    _run(work, as_json, debug)


@ledger_app.command(
    "restore",
    epilog=examples(
        "automatum push ledger restore --from sqlite:////backup/ledger.sqlite",
        "automatum push ledger restore            (from metering_lines in marketplace.duckdb)",
    ),
)
def restore(
    from_: From = None,
    destination: DestinationName = DUCKDB,
    database: Database = DEFAULT_DATABASE,
    dataset: Dataset = DEFAULT_DATASET,
    ledger_url: LedgerUrl = None,
    organization: OrganizationName = None,
    lock_wait: LockWait = LOCK_WAIT,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Restore a lost ledger from a backup, or from the exported metering_lines and metering_attempts."""

    def work() -> dict[str, Any]:
        from ..metering.ledger.ledger import Ledger
        from ..metering.ledger.location import ledger_owner
        from ..metering.ledger.transfer import url_of
        from ..metering.restore import restore_ledger
        from ..warehouse.owners import use_stored_owner
        from ..warehouse.target import Target

        settings, url = _find(ledger_url, organization)
        if from_:
            return _restore_copy(settings, from_, url)
        pipeline = open_existing(Target(destination, dataset, database), lock_wait)
        # Not by its owner's check: that refuses a ledger that lacks calls, which this one brings back.
        with Ledger.open(url, SystemClock(), create=True) as ledger:
            ledger.database.refuse_others(ledger_owner(settings))
            use_stored_owner(pipeline, settings)
            added = restore_ledger(ledger, pipeline, settings.owner)
            last = instant(added.last_call.timestamp()) if added.last_call else None
            return {
                "to": url_of(ledger),
                "lines": added.lines,
                "attempts": added.attempts,
                "unknown": added.unknown,
                "last_call": last,
                "next_step": what_is_missing(last),
            }

    _run(work, as_json, debug)


@ledger_app.command("adopt", epilog=examples("automatum push ledger adopt", "automatum push ledger adopt --confirm"))
def adopt(
    confirm: Confirm = False,
    ledger_url: LedgerUrl = None,
    organization: OrganizationName = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Use a copy, or the ledger of an organization or API that has another name now, as the ledger of the settings."""

    def work() -> dict[str, Any]:
        from ..metering.ledger.location import ledger_owner
        from ..metering.ledger.transfer import adopt_ledger

        settings, url = _find(ledger_url, organization)
        if confirm:
            adopt_ledger(url, SystemClock(), ledger_owner(settings))
        return {"adopted": confirm, **_info(settings, url)}

    _run(work, as_json, debug)


def _find(url: str | None, organization: str | None) -> tuple[AutomatumSettings, str]:
    from ..config.settings import resolve_settings
    from ..metering.ledger.location import find_ledger, refuse_network

    settings = resolve_settings(with_credentials=False, organization=organization)
    # Unlike a push, these may name a ledger without {organization}: that of the time before there were several.
    found = _of_organization(settings, url) if url else find_ledger(settings, None)
    refuse_network(found)
    return settings, found


def _of_organization(settings: AutomatumSettings, url: str) -> str:
    from ..config.organizations import PLACEHOLDER

    return url.replace(PLACEHOLDER, settings.organization) if settings.organization else url


def _info(settings: AutomatumSettings, url: str) -> dict[str, Any]:
    from ..metering.ledger.identity import problem_of, read_identity
    from ..metering.ledger.ledger import Ledger
    from ..metering.ledger.location import ledger_owner
    from ..metering.ledger.transfer import content_of, url_of

    with Ledger.open(url, SystemClock(), create=False) as ledger:
        if not ledger.exists:
            return {"ledger": url_of(ledger), "exists": False}
        database = ledger.database
        with database.read() as connection:
            identity, content = read_identity(connection), content_of(connection)
            problem = problem_of(connection, identity, ledger.location, database.path, ledger_owner(settings))
        return {
            "ledger": url_of(ledger),
            "exists": True,
            **{name: identity[name] for name in ("ledger_id", "api", "organization", "machine", "moved_to")},
            "copied_from": identity["copied_from"],
            "begun_at": identity["begun_at"].isoformat(),
            "lines": ledger.reader.counts(),
            "rows": content.rows,
            "digest": content.digest,
            "problem": str(problem) if problem else None,
        }


def _copy(to: str, settings: AutomatumSettings, url: str) -> dict[str, Any]:
    from ..metering.ledger.ledger import Ledger
    from ..metering.ledger.location import ledger_owner, refuse_network
    from ..metering.ledger.transfer import copy_ledger, url_of

    refuse_network(to)
    with Ledger.open(url, SystemClock(), create=False, owner=ledger_owner(settings)) as ledger:
        ledger.database.require_tables()
        content = copy_ledger(ledger, to, SystemClock())
        with Ledger.open(to, SystemClock(), create=False) as made:
            return {"from": url_of(ledger), "to": url_of(made), "rows": content.rows, "digest": content.digest}


def _restore_copy(settings: AutomatumSettings, source: str, url: str) -> dict[str, Any]:
    from ..metering.ledger.ledger import Ledger
    from ..metering.ledger.location import ledger_owner
    from ..metering.ledger.transfer import adopt_ledger, copy_ledger, url_of

    clock = SystemClock()
    with Ledger.open(source, clock, create=False) as ledger:
        ledger.database.require_tables()
        content = copy_ledger(ledger, url, clock)
        before = url_of(ledger)
    adopt_ledger(url, clock, ledger_owner(settings))
    return {
        "from": before,
        "to": _info(settings, url)["ledger"],
        "rows": content.rows,
        "digest": content.digest,
        "next_step": "What was sent after the backup is not in it: run `automatum push ledger restore` if there is an "
        "export.",
    }


def what_is_missing(last_call: str | None) -> str:
    """What a ledger may lack that was restored from an export, and what to do about it.

    Args:
        last_call: Time of the last exported call; None if no call was exported.
    """
    if last_call is None:
        missing, usage = "The export has no call. If usage was sent,", "usage"
    else:
        missing, usage = f"What was sent after {last_call} is not in the export:", "usage of that time"
    return f"{missing} resolve it with the events of the vendor, or with the marketplace, before you push {usage}."


def open_ledger(url: str | None, organization: str | None, needed: bool = False) -> Ledger:
    """Open the ledger of the options and the settings.

    Args:
        url: `--ledger-url`; None for that of the settings.
        organization: `--organization`.
        needed: Whether a ledger that does not exist is an error.

    Raises:
        ConfigurationError: The ledger must not be used, or is needed and does not exist.
    """
    from ..config.settings import resolve_settings
    from ..metering.ledger.ledger import Ledger
    from ..metering.ledger.location import find_ledger, ledger_owner, refuse_network

    settings = resolve_settings(with_credentials=False, organization=organization)
    url = find_ledger(settings, url)
    refuse_network(url)
    ledger = Ledger.open(url, SystemClock(), create=False, owner=ledger_owner(settings))
    if needed and not ledger.exists:
        raise ConfigurationError(
            "--ledger-url", f"there is no ledger at {ledger.location}.", "Push first, or name another ledger."
        )
    return ledger


def _run(work: Callable[[], dict[str, Any]], as_json: bool, debug: bool) -> None:
    def run() -> int:
        figures = work()
        say(figures, as_json, lambda: _show(figures))
        return EXIT_COMPLETE

    guarded(run, as_json, debug)


def _show(figures: dict[str, Any]) -> None:
    for name, value in figures.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {number}" for key, number in value.items() if number) or "none"
        say_text(f"{name.replace('_', ' ')}: {'-' if value is None else value}")
