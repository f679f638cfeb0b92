"""The command line fits a screen, and refuses by name what earlier versions had."""

import json

import pytest
import typer.main
from typer.testing import CliRunner

from automatum.cli.commands import REMOVED, REMOVED_OPTIONS
from automatum.cli.main import app
from automatum.core.errors import EXIT_COMPLETE

GROUP = typer.main.get_command(app)


@pytest.mark.parametrize(("arguments", "most"), [([], 40), (["sync"], 45)])
def test_the_help_fits(arguments, most):
    shown = CliRunner().invoke(app, [*arguments, "--help"], terminal_width=80)
    assert shown.exit_code == EXIT_COMPLETE
    assert len(shown.output.splitlines()) <= most
    assert max(map(len, shown.output.splitlines())) <= 80


def shown(command):
    """The options that the help of a command, and of those below it, shows."""
    own = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    return len(own) + sum(shown(one) for one in getattr(command, "commands", {}).values())


def test_the_options_of_all_commands_can_be_counted():
    """The budget is 120 (design, §0). `--json`, `--debug` and `--log-json`, which all have, count once."""
    assert shown(GROUP) + 3 <= 120


@pytest.mark.parametrize("removed", REMOVED)
def test_a_command_that_went_names_the_one_to_run(removed):
    words = REMOVED[removed].replace(",", "").split()
    ran = CliRunner().invoke(app, [*removed.split(), "--json"])
    assert ran.exit_code == 2
    assert f"Use: automatum {REMOVED[removed]}." in ran.output
    command = GROUP
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    assert command is not GROUP, "the new one exists"


@pytest.mark.parametrize(
    ("command", "option", "step"),
    [
        (command, option, step)
        for commands, options, step in REMOVED_OPTIONS
        for command in commands.split(", ")
        for option in options.split()
    ],
)
def test_an_option_that_went_says_what_to_do(command, option, step):
    ran = CliRunner().invoke(app, [*command.split(), option, "--json"])
    assert ran.exit_code == 2
    assert f"{option} was removed. {step}" in ran.output
    found = GROUP
    for word in command.split():
        found = found.commands[word]
    assert option not in {name for one in found.params for name in one.opts}


@pytest.mark.parametrize(
    ("arguments", "step"),
    [
        (["apps", "rotate", "--no-wait"], "waits for 90 seconds at most"),
        (["push", "ledger", "show", "--ledger-url"], "Set sources.automatum.ledger_url"),
        # Not `--max-wait 0`, which this command does not have.
        (["push", "settle", "--no-wait"], "what is sent waits for the rate limit"),
    ],
)
def test_an_option_that_went_from_a_group_says_what_to_do_below_it(arguments, step):
    assert step in CliRunner().invoke(app, [*arguments, "--json"]).output


def test_an_option_that_never_was_is_not_said_to_have_been_removed():
    assert "was removed" not in CliRunner().invoke(app, ["models", "list", "--lock-wait", "1", "--json"]).output


@pytest.mark.parametrize("arguments", [("sync", "--dataset", "\udcff"), ("status", "--json", "--database", "a\udcff")])
def test_an_argument_that_is_not_utf8_is_wrong(arguments):
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 2
    assert "\\udcff' is not UTF-8." in ran.stderr


@pytest.mark.parametrize("command", ["sync", "status", "check", "discover", "push status"])
@pytest.mark.parametrize("problem", ["removed", "not UTF-8"])
def test_a_working_folder_that_cannot_be_used_is_refused(tmp_path, monkeypatch, command, problem):
    folder = tmp_path / ("removed" if problem == "removed" else "\udcff")
    folder.mkdir()
    monkeypatch.chdir(folder)
    if problem == "removed":
        folder.rmdir()
    ran = CliRunner().invoke(app, [*command.split(), "--json"])
    assert ran.exit_code == 78, ran.output
    assert json.loads(ran.stdout)["errors"][0]["message"].startswith("working folder: ")
