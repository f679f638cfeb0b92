"""`automatum models`: create, drop, list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.defaults import LOCK_WAIT
from ..core.errors import EXIT_COMPLETE
from .commands import CommandApp, examples
from .console import say_line
from .declared import PLACE, declared
from .ledger import run_and_show
from .options import read_existing, target_of

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
@declared(*_OPTIONS)
def create(into: Into = None, **given: Any) -> None:
    """Make the views, or replace those that this command made. A table or view of another origin is never touched."""
    _run("create", into, given, _show_created)


@models_app.command("drop", epilog=examples("automatum models drop"))
@declared(*_OPTIONS)
def drop(into: Into = None, **given: Any) -> None:
    """Drop the views that `models create` made. Your tables expected_fees and exchange_rates stay."""
    _run("drop", into, given, _show_dropped)


@models_app.command("list", epilog=examples("automatum models list"))
@declared(*_OPTIONS)
def list_(into: Into = None, **given: Any) -> None:
    """List the models with the question that each answers, and whether its view is there."""
    _run("show", into, given, _show_list)


def _run(action: str, into: str | None, given: Mapping[str, Any], show: Callable[[Mapping[str, Any]], None]) -> None:
    def work() -> tuple[dict[str, Any], int]:
        with _open(into, given, writes=action != "show") as models:
            return getattr(models, action)(), EXIT_COMPLETE

    run_and_show(work, given, show)


@contextmanager
def _open(into: str | None, given: Mapping[str, Any], writes: bool) -> Iterator[Models]:
    from ..config.settings import resolve_settings
    from ..core.budget import Budget
    from ..core.clock import SystemClock
    from ..operations.models import Models
    from ..warehouse.dataset import check_dataset
    from ..warehouse.sql_client import one_client

    settings = resolve_settings(with_credentials=False).models
    target, clock = target_of(given["destination"], given["dataset"], given["database"]), SystemClock()
    if not writes or target.missing:  # A file that does not exist is refused.
        with read_existing(target) as (pipeline, _):
            yield Models(pipeline, into, settings)
        return
    with target.exclusive_writer("automatum models", clock, Budget(clock), LOCK_WAIT):
        pipeline = target.existing(clock, Budget(clock), LOCK_WAIT)
        with one_client(pipeline):
            check_dataset(pipeline)
            yield Models(pipeline, into, settings)


def _show_created(made: Mapping[str, Any]) -> None:
    done = "Made" if made["changed"] else "Unchanged:"
    say_line(f"{done} {len(made['views'])} views in {made['dataset']}.")
    if made["empty_tables"]:
        say_line(
            f"Not there yet, and read as empty: {', '.join(made['empty_tables'])}. Run `automatum models create` again "
            "when they are."
        )


def _show_dropped(dropped: Mapping[str, Any]) -> None:
    say_line(f"Dropped {len(dropped['dropped'])} views in {dropped['dataset']}.")


def _show_list(listed: Mapping[str, Any]) -> None:
    from .tables import TextTable

    table = TextTable("model", words=("view", "question"))
    for one in listed["models"]:
        if one["kind"] == "mart":
            table.add(one["name"], one["view"], one["question"])
    table.show()
    say_line(f"Views in {listed['dataset']}. With --json: all models, with what each number says and does not say.")
