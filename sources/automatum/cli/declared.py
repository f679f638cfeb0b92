"""The options of commands by their names: those that `SyncOptions` and `PushOptions` declare, and those of many."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.defaults import DEFAULT_DATABASE, DEFAULT_DATASET, DUCKDB, LOCK_WAIT
from ..metering.options import PushOptions
from ..sync.options import SyncOptions
from .options import target_of
from .reporter import Reporter

PLACE = ("destination", "database", "dataset")
END = ("organization", "as_json", "debug")
REPORT = ("quiet", "notify_on", "metrics")
WAITS = ("max_wait", "lock_wait")


def _option(kind: Any, default: Any, text: str, name: str = "", **settings: Any) -> tuple[Any, Any]:
    # A flag needs its name, or typer adds its opposite.
    return Annotated[kind, typer.Option(*([name] if name else []), help=text, **settings)], default


def _declared(options: type) -> dict[str, tuple[Any, Any]]:
    """The options that a dataclass declares by `core.defaults.option`, or in that form."""

    def read(one: Field[Any]) -> tuple[Any, Any]:
        found = one.metadata
        default = None if one.default in ((), MISSING) else one.default
        return _option(found["type"], default, found["help"], found["name"], **found.get("settings", {}))

    return {one.name: read(one) for one in fields(options) if "help" in one.metadata}


_PUSH, _SYNC = _declared(PushOptions), _declared(SyncOptions)
OWN, SYNC = tuple(_PUSH), tuple(_SYNC)
"""Options that a push has of its own, besides `--usage`; and those that a sync has."""
_OPTIONS: Mapping[str, tuple[Any, Any]] = {
    **_PUSH,
    **_SYNC,
    "destination": _option(str, DUCKDB, "A dlt destination, such as postgres.", metavar="NAME"),
    "database": _option(Path, DEFAULT_DATABASE, "DuckDB file.", metavar="FILE"),
    "dataset": _option(str, DEFAULT_DATASET, "Dataset of the tables.", metavar="NAME"),
    "organization": _option(str | None, None, "One of the configured organizations.", "--organization", metavar="NAME"),
    "max_wait": _option(
        float | None, None, "Longest wait for the rate limit. Then exit 75.", min=0.0, metavar="SECONDS"
    ),
    "lock_wait": _option(
        float, LOCK_WAIT, "Longest wait for another run, or a reader of the DuckDB file.", min=0.0, metavar="SECONDS"
    ),
    "quiet": _option(bool, False, "Print one line if something changed or failed.", "--quiet"),
    "notify_on": _option(
        str, "change", "Post to notify_url: trouble, change (or trouble), always, ping.", metavar="OCCASION"
    ),
    "metrics": _option(Path | None, None, "Write the result for Prometheus.", metavar="FILE"),
    "max_age": _option(str | None, None, "Exit 65 if the last complete sweep is older, such as 26h.", metavar="AGE"),
    "as_json": _option(bool, False, "Print one JSON object on stdout, and nothing else there.", "--json", hidden=True),
    "log_json": _option(bool, False, "Log JSON lines on stderr.", "--log-json", hidden=True),
    "debug": _option(bool, False, "Log each request; show tracebacks.", "--debug", hidden=True),
}


def runs(*names: str) -> Callable[[Callable[..., int]], Callable[..., None]]:
    """Make a command of a function that takes a reporter and options, and returns the exit code.

    Args:
        *names: Options of the command that it takes by `**given`: of `_OPTIONS`, in the order of the help.
    """

    def decorate(work: Callable[..., int]) -> Callable[..., None]:
        @functools.wraps(work)
        def command(**given: Any) -> None:
            if getattr(given.get("context"), "invoked_subcommand", None):
                return  # `push` is a command, and a group of others.
            reporter = Reporter(work.__name__.rstrip("_"), given)
            reporter.run(functools.partial(work, reporter, **given))

        # Not by `typing.get_type_hints`: on Python 3.10 it hides the option of a parameter whose default is None.
        signature = inspect.signature(work, eval_str=True)
        parameters = [one for one in signature.parameters.values() if one.name not in ("reporter", "given")]
        for name in names:
            kind, default = _OPTIONS[name]
            parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind))
        # typer reads the signature and the annotations.
        command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": None}
        return command

    return decorate


def sync_options(given: Mapping[str, Any]) -> SyncOptions:
    """The options of a sync, of what was given on the command line."""
    own = {name: given[name] for name in SYNC if name in given}
    own |= {name: tuple(given.get(name) or ()) for name in ("tables", "organizations")}
    own |= {name: given[name].date() for name in ("since", "until") if given.get(name)}
    return SyncOptions(**own, **_bounds(given))


def push_options(given: Mapping[str, Any]) -> PushOptions:
    """The options of a command that pushes, settles or reads events, of what was given on the command line."""
    own = {name: given[name] for name in (*OWN, "organization") if name in given}
    return PushOptions(**own, **_bounds(given))


def _bounds(given: Mapping[str, Any]) -> dict[str, Any]:
    """What all that work with a destination have: where it is, and how long to wait."""
    from ..api.rate_limit import NO_WAIT

    return {
        "target": target_of(given),
        "max_wait": None if given.get("max_wait") is None else max(NO_WAIT, given["max_wait"]),
        "lock_wait": given.get("lock_wait", LOCK_WAIT),
    }
