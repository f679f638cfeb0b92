"""A first push as `docs/metering.md` shows it, with the usage file that the sandbox writes."""

import csv
import itertools
import shlex
from pathlib import Path

import pytest

from automatum_sandbox import write_usage
from tests.support import ROOT
from tests.support.pages import blocks
from tests.support.pushing import keys_of, keys_of_bodies, taken_by

PAGE = ROOT / "docs" / "metering.md"


def typed(word):
    """The commands of the page's block that contains a word."""
    (block,) = [block for block in blocks(PAGE, "sh") if word in block]
    commands = [shlex.split(line, comments=True) for line in block.splitlines()]
    return [list(itertools.takewhile(lambda one: one != "|", command)) for command in commands if command]


def test_a_first_push_by_the_commands_of_the_page(small, desk):
    written = write_usage(small, Path("usage.csv"))
    rows = list(csv.DictReader(Path("usage.csv").read_text().splitlines()))
    assert written == len(rows) > 0
    commands = typed("--new-ledger")
    assert [one[:3] for one in commands][1] == ["automatum", "push", "--usage"] and len(commands) == 5
    for program, *arguments in commands:
        assert program == "automatum"
        ran = desk.run(*arguments)
        assert ran.code == 0, ran
    assert keys_of_bodies(taken_by(small)) == keys_of(rows)


def test_the_usage_sample_is_checked_against_the_synced_tables(small, desk):
    write_usage(small, Path("usage.csv"))
    assert desk.run("sync").code == 0
    ran = desk.run("push", "--usage", "usage.csv", "--json")
    assert (ran.code, ran.json["checks_skipped"], ran.json["refused"]) == (0, [], [])


def test_a_file_that_is_there_is_not_replaced(small):
    Path("usage.csv").write_text("mine")
    with pytest.raises(FileExistsError):
        write_usage(small, Path("usage.csv"))
    assert Path("usage.csv").read_text() == "mine"


def test_the_file_on_the_page_has_the_columns_of_usage(desk):
    (shown,) = blocks(PAGE, "csv")
    Path("usage.csv").write_text(shown)
    ran = desk.run("push", "--usage", "usage.csv", "--json")
    # Its hours are long over.
    assert (ran.json["lines"]["refused"], ran.json["lines"]["expired"]) == (0, 3), ran
