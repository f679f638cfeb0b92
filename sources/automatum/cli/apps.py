"""`automatum apps`: list, show, update, delete, rotate."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.errors import ConfigurationError
from ..core.text import printable
from . import render
from .commands import CommandApp, examples
from .console import say_text
from .declared import END, runs
from .options import connect
from .reporter import Reporter

if TYPE_CHECKING:
    from ..operations.applications import Application

Id = Annotated[str, typer.Argument(metavar="ID", help="Id or client id of the application.")]
OwnId = Annotated[str | None, typer.Argument(metavar="ID", help="Default: the application of this configuration.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
Scopes = Annotated[
    list[str] | None, typer.Option(help="A scope to have, in place of those that it has. Repeatable.", metavar="SCOPE")
]

apps_app = CommandApp(
    help="The organization's OAuth applications: their scopes, a new secret, a deletion.", no_args_is_help=True
)


@apps_app.command("list")
@runs(*END)
def list_(reporter: Reporter, **given: Any) -> int:
    """List the applications; one request."""
    from ..operations.applications import list_applications

    found = list_applications(connect(given))
    figures = {"applications": [dict(one.record) for one in found]}
    rows = {one.id: one.record for one in found}
    return reporter.show(figures, lambda _: render.show_rows("id", rows, "name", "lastUsedAt", "scopes"))


@apps_app.command()
@runs(*END)
def show(reporter: Reporter, id_: Id, **given: Any) -> int:
    """Show one application."""
    from ..operations.applications import find_application

    return reporter.show({"application": dict(find_application(connect(given), id_).record)}, _show)


@apps_app.command(
    epilog=examples("automatum apps update app_... --name Sync --scope read:customers --scope read:entitlements")
)
@runs(*END)
def update(
    reporter: Reporter,
    id_: Id,
    name: Annotated[str | None, typer.Option(help="New name.")] = None,
    scope: Scopes = None,
    yes: Yes = False,
    **given: Any,
) -> int:
    """Change name or scopes of an application. Asks before."""
    from ..operations.applications import find_application, update_application

    values = {"name": name, "scopes": scope}
    changes = {key: value for key, value in values.items() if value is not None}
    if not changes:
        raise ConfigurationError("automatum apps update", "nothing to change was named.", "Add --name or --scope.")
    session = connect(given)
    found = find_application(session, id_)
    parts = [f"{key} {_words(found.record.get(key))} -> {_words(value)}" for key, value in changes.items()]
    _ask(yes, f"Change {found.title}: {'; '.join(parts)}?")
    return reporter.show({"application": dict(update_application(session, found, changes).record)}, _show)


@apps_app.command()
@runs(*END)
def delete(reporter: Reporter, id_: Id, yes: Yes = False, **given: Any) -> int:
    """Delete an application for good. Its tokens stop working at once; there is no way back. Asks before."""
    from ..operations.applications import delete_application, find_application

    session = connect(given)
    found = find_application(session, id_)
    _ask(yes, f"Delete {found.title} for good? Last used: {found.record.get('lastUsedAt')}.")
    delete_application(session, found)
    return reporter.show({"application": dict(found.record)}, lambda _: say_text(f"Deleted {found.title}."))


@apps_app.command(
    epilog=examples(
        "automatum apps rotate",
        "automatum apps rotate app_... --store-in aws-secretsmanager://eu-central-1/automatum/api",
    ),
)
@runs(*END)
def rotate(
    reporter: Reporter,
    id_: OwnId = None,
    store_in: Annotated[
        str | None,
        typer.Option(help="Where the new secret goes: toml, FILE.toml, or a vault. Default: where the present one is."),
    ] = None,
    yes: Yes = False,
    **given: Any,
) -> int:
    """Regenerate a secret and store the new one; it is never shown. The old one and its tokens stop working at once."""
    from ..operations.rotate_secret import rotate

    def confirm(application: Application, where: str) -> None:
        _ask(yes, f"Regenerate the secret of {application.title}, and store the new one in {where}?")

    done = rotate(connect(given), id_, store_in=store_in, confirm=confirm)
    text = f"The secret of {done.application.client_id} is new, and stored in {done.stored_in}."
    if id_ is None:
        text += " Next: automatum check."
    return reporter.show(done.to_json(), lambda _: say_text(text), done.exit_code)


def _ask(yes: bool, question: str) -> None:
    """Ask in a terminal unless `--yes` is given.

    Raises:
        ConfigurationError: The answer is no, or there is nobody to ask.
    """
    if not yes and not sys.stdin.isatty():
        raise ConfigurationError(
            "--yes", "not given, and no terminal to confirm in. Nothing was changed.", "Add --yes to confirm."
        )
    if not yes and not typer.confirm(printable(question), err=True):
        raise ConfigurationError("--yes", "not confirmed; nothing was changed.")


def _show(figures: Mapping[str, Any]) -> None:
    for key, value in figures["application"].items():
        say_text(f"{key:<14} {_words(value)}")


def _words(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value or "")
