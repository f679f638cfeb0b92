"""The documents name settings, options, commands and keys that exist, and leave no setting and no page out."""

import ast
import dataclasses
import json
import re
from pathlib import Path

import pytest
import typer

from automatum import PushOptions, SyncOptions, Target
from automatum.api.overrides import resolve_endpoints, resolve_entitlement
from automatum.cli.commands import EXIT_USAGE
from automatum.cli.main import app
from automatum.config.settings import NAMES, resolve_settings
from automatum.core import errors
from tests.support import ROOT
from tests.support.desk import forget
from tests.support.pages import PAGES, TEXTS, blocks, spans

DOCS = ROOT / "docs"
GROUP = typer.main.get_command(app)
SETTINGS = set(NAMES)
OF_AIRFLOW = {"--conf", "--conn-type", "--conn-json"}
NOT_IN_THE_PINS = {"more_to_do", "evidence"}
"""A verdict, and a key that is there only if the API has reported other limits."""


def options_of(command):
    own = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return {*own, "--help"}


def find(words):
    """The deepest command that the words name, and what follows its name."""
    command, rest = GROUP, list(words)
    while rest and (below := getattr(command, "commands", {}).get(rest[0])):
        command, rest = below, rest[1:]
    return command, rest


def every_option(command):
    below = getattr(command, "commands", {}).values()
    return options_of(command).union(*(every_option(one) for one in below))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_in_sentences_exist(page):
    """A span that begins with a command has options of that command; another has options of any command."""
    for span in spans(page):
        words = re.sub(r"\[|\]|\.\.\.", " ", span).split()
        named = {word.split("=")[0] for word in words if re.fullmatch(r"--[a-z][a-z-]*(=.*)?", word)}
        if words[:1] == ["automatum"]:
            command, _ = find(words[1:])
            assert named <= every_option(command), span
        elif words[:1] and re.match("--", words[0]):
            assert named <= every_option(GROUP) | OF_AIRFLOW, span


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_sentences_exist(page):
    for span in spans(page):
        words = span.split()
        if words[0] == "automatum" and len(words) > 1 and re.fullmatch("[a-z]+", words[1]):
            command, rest = find(words[1:])
            assert command is not GROUP, span
            assert not getattr(command, "commands", None) or not rest or not re.fullmatch("[a-z]+", rest[0]), span


def test_each_command_is_on_the_page_of_commands():
    """A command of a group may be in a list, such as `apps list`, `show`, or `push ledger info|copy`."""
    text = TEXTS[DOCS / "commands.md"]
    for name, command in GROUP.commands.items():
        assert f"## automatum {name}" in text
        for below in getattr(command, "commands", {}):
            assert re.search(rf"automatum {name} {below}\b", text), (name, below)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_variables_of_settings_exist(page):
    named = re.findall(r"SOURCES__AUTOMATUM__([A-Z0-9_]+)", TEXTS[page])
    known = SETTINGS
    of_an_organization = {f"acme__{name}" for name in SETTINGS}
    assert {name.lower().rstrip("_") for name in named} <= known | of_an_organization


def test_each_setting_is_on_the_page_of_configuration():
    """The list of those that a pipeline needs is generated; `tests/unit/config/test_settings_page.py` compares it."""
    text = TEXTS[DOCS / "configuration.md"].split("## Settings")[1].split("\n## ")[0]
    assert SETTINGS - set(re.findall(r"`(\w+)`", text)) == set()


def toml_blocks():
    return [(page, text) for page in PAGES for text in blocks(page, "toml")]


@pytest.mark.parametrize(
    ("page", "text"), toml_blocks(), ids=[f"{page.name}-{at}" for at, (page, _) in enumerate(toml_blocks())]
)
def test_settings_in_blocks_are_accepted(page, text):
    """Each block is a file that the connector reads, and accepts before its first request."""
    file = Path(".dlt") / ("secrets.toml" if "client_secret" in text else "config.toml")
    file.parent.mkdir()
    file.write_text(text, encoding="utf-8")
    forget()
    try:
        settings = resolve_settings(with_credentials=False)
        resolve_endpoints(settings)
        resolve_entitlement(settings)
    finally:
        file.unlink()
        forget()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_in_blocks_has_fields_that_exist(page):
    classes = {"SyncOptions": SyncOptions, "PushOptions": PushOptions, "Target": Target}
    calls = [span for span in spans(page) if re.fullmatch(r"(SyncOptions|PushOptions|Target)\(.*\)", span)]
    for text in [*blocks(page, "python"), *calls]:
        for call in [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]:
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", None)
            if name in classes:
                fields = {field.name for field in dataclasses.fields(classes[name])}
                assert {keyword.arg for keyword in call.keywords} <= fields, ast.unparse(call)


def keys_of(value):
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set().union(*map(keys_of, value)) if isinstance(value, list) else {value}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_keys_in_the_json_exist(page):
    """The pins of the command line list the keys of each JSON object."""
    pinned = json.loads((ROOT / "tests" / "integration" / "cli" / "pins.json").read_text())
    words = set(re.findall(r"\w+", " ".join(map(str, keys_of(pinned)))))
    text = " ".join(TEXTS[page].split())
    assert set(re.findall(r"`(\w+)` in (?:the|its) JSON", text)) <= words | NOT_IN_THE_PINS


def test_exit_codes_are_those_of_the_package():
    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    table = TEXTS[DOCS / "operate.md"].split("## Exit codes")[1].split("\n## ")[0]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == {*codes, EXIT_USAGE}


def test_options_of_the_dag_are_on_its_page():
    """The DAG is read, not imported: it needs Airflow."""
    tree = ast.parse((ROOT / "pipelines" / "airflow" / "automatum_dag.py").read_text(encoding="utf-8"))
    [options] = [node.value for node in tree.body if isinstance(node, ast.AnnAssign) and node.target.id == "DEFAULTS"]
    table = TEXTS[DOCS / "airflow.md"].split("\n## Options")[1].split("\n## ")[0]
    lines = [line.partition("`: ")[0] + "`" for line in table.splitlines() if line.startswith("- `")]
    named = [name for line in lines for name in re.findall("`(.*?)`", line)]
    assert sorted(named) == sorted(key.value for key in options.keys)


def test_each_page_is_listed():
    listed = set(re.findall(r"\]\(([\w/-]+\.md)\)", TEXTS[DOCS / "README.md"]))
    assert listed == {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")} - {"README.md"}
