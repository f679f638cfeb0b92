"""`automatum apps`: list, show, update, delete, rotate."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import ConfigurationError
from ..core.text import printable
from .commands import CommandApp, examples
from .console import say, say_text, show_error, show_warning
from .options import Debug, Json, MaxWait, NoWait, OrganizationName, guarded, longest_wait, stop_on_signals
from .tables import TextTable

if TYPE_CHECKING:
    from ..api.session import ApiSession
    from ..operations.app_changes import AppChange, AppUse
    from ..operations.oauth_apps import Application
    from ..operations.rotate_secret import Rotation

Id = Annotated[str, typer.Argument(metavar="ID", help="Id or client id of the application.")]
OwnId = Annotated[
    str | None,
    typer.Argument(
        metavar="ID", help="Id or client id of the application. Default: the application of this configuration."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]

apps_app = CommandApp(
    help="The organization's OAuth applications: their scopes, a new secret, a deletion.",
    no_args_is_help=True,
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
        from ..operations.oauth_apps import list_applications

        found = list_applications(_open(organization, longest_wait(no_wait, max_wait)))
        say({"applications": [one.record for one in found]}, as_json, lambda: _show(found))
        return 0

    guarded(work, as_json, debug)


@apps_app.command(epilog=examples("automatum apps show app_..."))
def show(
    id_: Id,
    organization: OrganizationName = None,
    no_wait: NoWait = False,
    max_wait: MaxWait = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show one application; one request."""

    def work() -> int:
        from ..operations.oauth_apps import show_application

        found = show_application(_open(organization, longest_wait(no_wait, max_wait)), id_)
        say({"application": found.record}, as_json, lambda: _show_one(found))
        return 0

    guarded(work, as_json, debug)


@apps_app.command(
    epilog=examples(
        "automatum apps update --remove-scope write:customers",
        "automatum apps update app_... --name 'Warehouse sync' --scope read:customers --scope read:entitlements",
    ),
)
def update(
    id_: OwnId = None,
    name: Annotated[str | None, typer.Option(help="New name.")] = None,
    description: Annotated[str | None, typer.Option(help="New description.")] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="A scope to have from now on, in place of those it has. Repeatable.")
    ] = None,
    add_scope: Annotated[list[str] | None, typer.Option(help="A scope to add. Repeatable.")] = None,
    remove_scope: Annotated[list[str] | None, typer.Option(help="A scope to remove. Repeatable.")] = None,
    yes: Yes = False,
    organization: OrganizationName = None,
    no_wait: NoWait = False,
    max_wait: MaxWait = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Change name, description or scopes of an application. Shows the change and asks before it is made."""

    def confirm(change: AppChange) -> bool:
        if change.lost:
            lost = ", ".join(f"{table} ({scope})" for table, scope in change.lost.items())
            show_warning(f"This configuration reads tables that the application may not read any longer: {lost}.")
        return _ask(yes, f"Change {_named(change.application)}: {_difference(change)}?")

    def work() -> int:
        from ..operations.app_changes import update_application

        if name is None and description is None and not (scope or add_scope or remove_scope):
            raise ConfigurationError(
                "automatum apps update",
                "nothing to change was named.",
                "Add --name, --description, --scope, --add-scope or --remove-scope.",
            )
        done = update_application(
            _open(organization, longest_wait(no_wait, max_wait)),
            id_,
            name=name,
            description=description,
            scopes=scope,
            add=add_scope or (),
            remove=remove_scope or (),
            confirm=confirm,
        )
        named = _named(done.application)
        changed = done.before != done.after
        text = (
            f"Changed {named}: {_difference(done)}."
            if changed
            else f"{named} has these values already; nothing was changed."
        )
        say(done.as_json(), as_json, lambda: say_text(text))
        return 0

    guarded(work, as_json, debug)


@apps_app.command(epilog=examples("automatum apps delete app_..."))
def delete(
    id_: Id,
    in_use: Annotated[bool, typer.Option("--in-use", help="Delete it although this configuration uses it.")] = False,
    yes: Yes = False,
    organization: OrganizationName = None,
    no_wait: NoWait = False,
    max_wait: MaxWait = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Delete an application for good. Its tokens stop working at once; there is no way back."""

    def confirm(use: AppUse) -> bool:
        used = use.application.record.get("lastUsedAt")
        last = f"It was last used at {used}." if used else "The API does not say when it was last used."
        return _ask(yes, f"Delete {_named(use.application)} for good? {last}")

    def work() -> int:
        from ..operations.app_changes import delete_application

        session = _open(organization, longest_wait(no_wait, max_wait))
        done = delete_application(session, id_, in_use=in_use, confirm=confirm)
        say(done.as_json(), as_json, lambda: say_text(f"Deleted {_named(done.application)}."))
        return 0

    guarded(work, as_json, debug)


@apps_app.command(
    "rotate",
    epilog=examples(
        "automatum apps rotate",
        "automatum apps rotate app_... --store-in aws-secretsmanager://eu-central-1/automatum/api",
    ),
)
def rotate_(
    id_: OwnId = None,
    store_in: Annotated[
        str | None,
        typer.Option(
            help="Where the new secret goes: toml, FILE.toml, or a vault's address. Default: where the present one is."
        ),
    ] = None,
    yes: Yes = False,
    organization: OrganizationName = None,
    no_wait: NoWait = False,
    max_wait: MaxWait = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Regenerate a secret and store the new one; it is never shown. The old one and its tokens stop working at once."""

    def confirm(application: Application, where: str) -> bool:
        return _ask(yes, f"Regenerate the secret of {_named(application)}, and store the new one in {where}?")

    def work() -> int:
        from ..operations.rotate_secret import rotate

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


def _ask(yes: bool, question: str) -> bool:
    """Whether it is to be done; asks in a terminal unless `--yes` is given.

    Raises:
        ConfigurationError: There is nobody to ask.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "--yes", "not given, and no terminal to confirm in. Nothing was changed.", "Add --yes to confirm."
        )
    return typer.confirm(printable(question), err=True)


def _named(application: Application) -> str:
    return f"{application.client_id} {application.name}".strip()


def _difference(change: AppChange) -> str:
    parts = []
    for key, value in change.after.items():
        before = change.before.get(key)
        if value == before:
            continue
        if key == "scopes":
            gained = [f"+{one}" for one in value if one not in (before or ())]
            parts.append("scopes " + " ".join([*gained, *(f"-{one}" for one in before or () if one not in value)]))
        else:
            parts.append(f"{key} {before or 'none'} -> {value}")
    return "; ".join(parts)


def _open(organization: str | None, max_wait: float | None) -> ApiSession:
    from ..api.session import connect
    from ..config.settings import resolve_settings

    return connect(resolve_settings(organization=organization), stop=stop_on_signals(), max_wait=max_wait)


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
