"""Values of arguments that need no conversion are what typer would make of them."""

from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
import typer.main

from automatum.cli.main import app


def commands(command, path="automatum"):
    """A command, and the commands below it."""
    below = getattr(command, "commands", {}).items()
    return [pytest.param(command, id=path), *(one for name, it in below for one in commands(it, f"{path} {name}"))]


VALUES = [
    None,
    *(
        "",
        ".",
        "-",
        "~",
        "soon",
        "/no/such",
        "nul \0",
        "2026-01-31",
        "7",
        "-7",
        "0.5",
        "true",
        "caf\u00e9",
        "not utf-8: \udcff",
    ),
    *(0, 7, -7, 0.5, True, False, datetime(2026, 1, 31), Path("marketplace.duckdb")),
    *([], (), ["customers"], ("customers", "entitlements"), ["caf\udcff"], [7], [None], ["7"]),
]


def processed(process, context, value):
    """What a process comes to: the value and its type, or the message of the error."""
    try:
        found = process(context, value)
    except Exception as error:
        return type(error), str(error)
    return type(found), found


@pytest.mark.parametrize("command", commands(typer.main.get_command(app)))
def test_a_value_is_what_typer_would_make_of_it(command):
    context = command.make_context("automatum", [], resilient_parsing=True)
    for parameter in command.get_params(context):
        several = parameter.multiple or parameter.nargs == -1
        for value in [parameter.default, *VALUES]:
            if value is None or isinstance(value, (list, tuple)) == several:  # Else the parser does not hand it on.
                expected = processed(partial(type(parameter).process_value, parameter), context, value)
                assert processed(parameter.process_value, context, value) == expected, (parameter.name, value)
