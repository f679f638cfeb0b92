"""Tables show each cell whole and as it is: in a pipe, in a narrow terminal, and with text that would be markup."""

import io
from random import Random

import pytest
from rich.cells import cell_len
from rich.text import Text

from automatum.cli import console, tables
from automatum.cli.console import PipeConsole
from automatum.cli.tables import TextTable
from automatum.core.text import printable

LONG = "x" * 300
HOSTILE = "[/gcp] [red]a[/] :100: \x1b[31m\u202eb\x07 \x9b1m"


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of some width; returns what was printed."""

    def open_(width):
        made = PipeConsole(
            file=io.StringIO(), width=width, force_terminal=True, color_system=None, markup=False, highlight=False,
            emoji=False,
        )  # fmt: skip
        for module in (console, tables):
            monkeypatch.setattr(module, "out", made)
        return made.file.getvalue

    return open_


def table(*rows):
    made = TextTable("name", "rows", words=("note",), title="Title")
    for row in rows:
        made.add(*row)
    return made


def test_a_pipe_gets_every_row_whole_in_one_line(capsys):
    table(("customers", "1,234", LONG), ("other", "2", "short")).show()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Title"
    (row,) = [line for line in lines if "customers" in line]
    assert "1,234" in row and LONG in row and "…" not in row


@pytest.mark.parametrize("width", [40, 80, 400])
def test_a_terminal_gets_every_cell_whole(terminal, width):
    printed = terminal(width)
    table(("customers", "1,234", LONG), ("other", "2", "short")).show()
    lines = printed().splitlines()
    assert max(map(len, lines)) <= width
    assert "".join(printed().split()).count(LONG) == 1
    assert "1,234" in printed() and "…" not in printed()


@pytest.mark.parametrize("width", [40, 200])
def test_text_from_outside_is_no_markup_and_no_control_sequence(terminal, width):
    """A vendor may be called [/gcp]."""
    printed = terminal(width)
    table((HOSTILE, "1", HOSTILE), (Text("green", style="green"), "2", "")).show()
    console.say_text(HOSTILE)
    console.say_command(HOSTILE)
    shown = printed()
    assert not set(shown) & set("\x1b\x07\x9b\u202e")
    assert "".join(shown.split()).count("[/gcp][red]a[/]:100:\\x1b[31m\\u202eb\\x07\\x9b1m") == 4


def test_columns_are_aligned_with_wide_and_broken_text_too(capsys):
    pieces = ["a", "bc", "漢字", "[/x]", "e\u0301", "1,234", "", "x\ny", "😀"]
    random = Random(7)
    for _ in range(100):
        made = TextTable("name", *(f"n{number}" * random.randint(1, 3) for number in range(random.randint(0, 3))))
        rows = [["".join(random.choices(pieces, k=random.randint(0, 3))) for _ in made._headings] for _ in range(3)]
        for row in rows:
            made.add(*row)
        made.show()
        shown = capsys.readouterr().out
        _, *lines, last = shown.split("\n")[:-1]
        assert last == "" and len({cell_len(line) for line in lines}) == 1, shown
        assert all(part in shown for row in rows for cell in row for part in printable(cell).split("\n"))
