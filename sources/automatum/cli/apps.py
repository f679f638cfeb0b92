"""`automatum apps`: list, show, rotate."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from ..api.session import ApiSession, connect
from ..config.settings import resolve_settings
from ..core.budget import Budget
from ..core.clock import SystemClock
from ..core.errors import ConfigurationError
from ..operations.oauth_apps import Application, list_applications, show_application
from ..operations.rotate_secret import Rotation, rotate
from .commands import examples
from .console import say, say_text, show_error, show_warning
from .options import Debug, Json, MaxWait, NoWait, OrganizationName, guarded, longest_wait, stop_on_signals
from .tables import TextTable

apps_app = typer.Typer(
    help="The organization's OAuth applications, and a new secret for one of them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@apps_app.command("list", epilog=examples("automatum apps list"))
def list_(
    organization: OrganizationName = None,
    no_wait: NoWait = False,
    max_wait: MaxWait = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List the applications; one request."""

    def work() -> int:
        found = list_applications(_open(organization, longest_wait(no_wait, max_wait)))
        say({"applications": [one.record for one in found]}, as_json, lambda: _show(found))
        return 0

    guarded(work, as_json, debug)


@apps_app.command(epilog=examples("automatum apps show app_..."))
def show(
    id_: Annotated[str, typer.Argument(metavar="ID")],
    organization: OrganizationName = None,
    no_wait: NoWait = False,
    max_wait: MaxWait = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show one application; one request."""

    def work() -> int:
        found = show_application(_open(organization, longest_wait(no_wait, max_wait)), id_)
        say({"application": found.record}, as_json, lambda: _show_one(found))
        return 0

    guarded(work, as_json, debug)


@apps_app.command(
    "rotate",
    epilog=examples("automatum apps rotate", "automatum apps rotate app_... --store-in aws-sm://automatum/api"),
)
def rotate_(
    id_: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Default: the application of this configuration.")
    ] = None,
    store_in: Annotated[
        str | None,
        typer.Option(
            help="Where the new secret goes: toml, FILE.toml, or a vault's address. Default: where the present one is."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    organization: OrganizationName = None,
    no_wait: NoWait = False,
    max_wait: MaxWait = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Regenerate a secret and store the new one; it is never shown. The old one and its tokens stop working at once."""

    def confirm(application: Application, where: str) -> bool:
        if yes:
            return True
        if not sys.stdin.isatty():
            raise ConfigurationError("--yes", "not given, and there is nobody to ask. Nothing was changed.")
        named = f"{application.client_id} {application.name}".strip()
        return typer.confirm(f"Regenerate the secret of {named}, and store the new one in {where}?", err=True)

    def work() -> int:
        session = _open(organization, longest_wait(no_wait, max_wait))
        done = rotate(session, id_, store_in=store_in, confirm=confirm)
        say(done.as_json(), as_json, lambda: _show_rotation(done))
        if done.shadowed_by:
            show_warning(
                f"{done.shadowed_by} still holds another secret, which takes precedence over the new one. Remove it "
                "there."
            )
        if done.error:
            show_error(done.error)
        return done.exit_code

    guarded(work, as_json, debug)


def _open(organization: str | None, max_wait: float | None) -> ApiSession:
    stop = stop_on_signals()
    clock = SystemClock(stop)
    settings = resolve_settings(organization=organization)
    return connect(settings, clock=clock, budget=Budget(clock, None, None, stop), max_wait=max_wait)


def _show(found: Sequence[Application]) -> None:
    table = TextTable("id", words=("name", "last used", "scopes"))
    for one in found:
        table.add(one.id, *(_words(one.record.get(key)) for key in ("name", "lastUsedAt", "scopes")))
    table.show()


def _show_one(found: Application) -> None:
    for key, value in found.record.items():
        say_text(f"{key:<14} {_words(value)}")


def _words(value: Any) -> str:
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _show_rotation(done: Rotation) -> None:
    tried = "a token was taken with it" if done.tried else "no token was taken with it yet"
    say_text(f"The secret of {done.application.client_id} is new. It is stored in {done.stored_in}; {tried}.")
