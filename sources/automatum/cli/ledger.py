"""`automatum push ledger`: show, backup, restore, adopt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.clock import SystemClock
from ..core.errors import EXIT_COMPLETE, ConfigurationError
from .commands import CommandApp, examples
from .console import say
from .declared import END, PLACE, declared
from .options import guarded, open_existing, target_of

if TYPE_CHECKING:
    from ..config.settings import AutomatumSettings
    from ..metering.ledger.ledger import Ledger

ledger_app = CommandApp(help="Show, back up and restore the ledger of the push. Sends nothing.", no_args_is_help=True)

From = Annotated[
    Path | None, typer.Option("--from", help="File of a backup. Default: metering_lines of the destination.")
]
File = Annotated[Path, typer.Argument(metavar="FILE", help="File of the backup. It must not exist.")]


@ledger_app.command("show", epilog=examples("automatum push ledger show", "automatum push ledger show --json"))
@declared("ledger_url", *END)
def show(**given: Any) -> None:
    """Show the ledger: where and whose it is, what it holds, and why it would be refused."""


@ledger_app.command("backup", epilog=examples("automatum push ledger backup /backup/ledger.sqlite"))
@declared("ledger_url", *END)
def backup(file: File, **given: Any) -> None:
    """Copy the ledger to a SQLite file, also while pushes run."""


@ledger_app.command(
    "restore",
    epilog=examples(
        "automatum push ledger restore --from /backup/ledger.sqlite",
        "automatum push ledger restore            (from metering_lines in marketplace.duckdb)",
    ),
)
@declared("ledger_url", *PLACE, "lock_wait", *END)
def restore(from_: From = None, **given: Any) -> None:
    """Restore a lost ledger from a backup, or from the export in the destination. A failure leaves nothing behind."""


@ledger_app.command("adopt", epilog=examples("automatum push ledger adopt", "automatum push ledger adopt --confirm"))
@declared("ledger_url", "confirm", *END)
def adopt(**given: Any) -> None:
    """Use a copy, or the ledger of an organization or API that has another name now, as the ledger of the settings."""


@contextmanager
def open_ledger(given: Mapping[str, Any], *, needed: bool = False) -> Iterator[tuple[AutomatumSettings, Ledger]]:
    """The settings and the ledger of a command's options, for reading.

    Args:
        given: Its options: `ledger_url` and `organization`.
        needed: Whether a ledger that does not exist is an error.

    Raises:
        ConfigurationError: The ledger must not be used, or is needed and does not exist.
    """
    from ..config.settings import resolve_settings
    from ..metering.ledger.ledger import Ledger
    from ..metering.ledger.location import find_ledger, ledger_owner

    settings = resolve_settings(with_credentials=False, organization=given["organization"])
    url = find_ledger(settings, given["ledger_url"])
    with Ledger.open(url, SystemClock(), ledger_owner(settings)) as ledger:
        if needed and not ledger.exists:
            raise ConfigurationError(
                "--ledger-url", f"there is no ledger at {ledger.location}.", "Push first, or name another ledger."
            )
        yield settings, ledger
