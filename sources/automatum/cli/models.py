"""`automatum models`: create, drop, list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .commands import CommandApp, examples
from .console import say_line
from .declared import PLACE, runs
from .options import read_existing, settings_of, target_of, write_existing
from .reporter import Reporter
from .tables import TextTable

if TYPE_CHECKING:
    from ..operations.models import Models

models_app = CommandApp(
    help="Make, drop and list views that answer questions, in DuckDB and Postgres. Sends no request.",
    no_args_is_help=True,
)
_OPTIONS = (*PLACE, "as_json", "debug")
Into = Annotated[
    str | None, typer.Option("--into", metavar="NAME", help="Dataset of the views. Default: that of the tables.")
]


@models_app.command("create", epilog=examples("automatum models create", "automatum models create --into answers"))
@runs(*_OPTIONS)
def create(reporter: Reporter, into: Into = None, **given: Any) -> int:
    """Make the views, or replace those that this command made. A table or view of another origin is never touched."""
    with _open(into, given, writes=True) as models:
        made = models.create()
    done = "Made" if made["changed"] else "Unchanged:"
    text = f"{done} {len(made['views'])} views in {made['dataset']}."
    if made["empty_tables"]:
        names = ", ".join(made["empty_tables"])
        text += f" Not there yet, and read as empty: {names}. Run `automatum models create` again when they are."
    return reporter.show(made, lambda _: say_line(text))


@models_app.command("drop", epilog=examples("automatum models drop"))
@runs(*_OPTIONS)
def drop(reporter: Reporter, into: Into = None, **given: Any) -> int:
    """Drop the views that `models create` made. Your tables expected_fees and exchange_rates stay."""
    with _open(into, given, writes=True) as models:
        found = models.drop()
    text = f"Dropped {len(found['dropped'])} views in {found['dataset']}."
    return reporter.show(found, lambda _: say_line(text))


@models_app.command("list", epilog=examples("automatum models list"))
@runs(*_OPTIONS)
def list_(reporter: Reporter, into: Into = None, **given: Any) -> int:
    """List the models with the question that each answers, and whether its view is there."""
    with _open(into, given, writes=False) as models:
        listed = models.show()
    return reporter.show(listed, _show)


def _show(listed: Mapping[str, Any]) -> None:
    table = TextTable("model", words=("view", "question"))
    for one in listed["models"]:
        if one["kind"] == "mart":
            table.add(one["name"], one["view"], one["question"])
    table.show()
    say_line(f"Views in {listed['dataset']}. With --json: all models, with what each number says and does not say.")


@contextmanager
def _open(into: str | None, given: Mapping[str, Any], writes: bool) -> Iterator[Models]:
    from ..operations.models import Models

    settings, target = settings_of(given).models, target_of(given)
    if into:
        target.check_name("--into", into)
    # A file that does not exist is refused by a reader.
    opened = write_existing(target, "automatum models") if writes and not target.missing else read_existing(target)
    with opened as (pipeline, _):
        yield Models(pipeline, into, settings)
