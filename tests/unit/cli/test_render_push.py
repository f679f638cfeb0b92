"""What a person reads of a line does not say more than is known (I5)."""

import pytest

from automatum.cli.render_push import show_status
from automatum.metering.status import read_status
from tests.support.entries import START, Shelf, make_entry, make_line


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        (make_entry(state="unknown"), "asked 5, accepted ?, carried 0, open 5 at"),
        (make_entry(state="unbilled", why="rejected"), "asked 5, accepted 0, carried 0, open 5 at"),
        (make_entry(state="conflict", accepted="3", why="differs"), "asked 5, accepted 3, carried 0, open 2 at"),
    ],
)
def test_an_unknown_line_does_not_say_that_nothing_was_accepted(entry, shown, capsys):
    show_status(read_status(Shelf(entry), START).to_json())
    assert shown in capsys.readouterr().out


def test_the_totals_name_what_is_open_and_what_is_over_billed_apart(capsys):
    over = make_entry(make_line(units="10", price="2"), "conflict", "20", why="differs")
    show_status(read_status(Shelf(over, make_entry(make_line(1, units="7", price="1"), "unknown")), START).to_json())
    printed = capsys.readouterr().out
    assert "over-billed" in printed and "20 USD" in printed and "7 USD" in printed
