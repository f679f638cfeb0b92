"""Tables as text. Where a terminal is too narrow for a table, each row becomes a short paragraph."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..core.text import printable
from .console import PipeConsole, out

Cell = str | Text
"""A text from anywhere, which is no markup; or one with a style."""
_SHORT = {"distinct": "rows", "inserted": "new", "updated": "changed", "unchanged": "same"}
"""Headings that fit on a terminal of 80 columns."""
_WIDEST = 10_000


class TextTable:
    """A table that is printed when it is complete. Control characters in its cells are shown as escapes.

    Args:
        first: Heading of the first column, which names the row.
        numbers: Headings of the columns of numbers, after the first.
        words: Headings of the columns of words; they come last, or where they stand in `numbers`.
        title: Line above it.
    """

    def __init__(self, first: str, *numbers: str, words: Iterable[str] = (), title: str = "") -> None:
        words = list(words)
        self._headings = [first, *numbers, *(word for word in words if word not in numbers)]
        self._words = {first, *words}
        self._title = title
        self._rows: list[list[Text]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, *cells: Cell) -> None:
        """Add a row.

        Args:
            cells: As many as there are headings.
        """
        self._rows.append([Text(printable(one)) if isinstance(one, str) else one for one in cells])

    def show(self) -> None:
        """Print it on stdout. A file or a pipe gets each row in one line, however long it is."""
        grid = self._grid()
        options = out.options.update(width=_WIDEST)
        width = Measurement.get(out, options, grid).maximum
        if self._title:
            out.print(Text(printable(self._title), style="bold"), soft_wrap=not out.is_terminal)
        if not out.is_terminal:
            # Only a console of this width prints so wide.
            PipeConsole(file=out.file, width=width, markup=False, highlight=False, emoji=False).print(grid)
        elif width <= out.width:
            out.print(grid)
        else:
            self._show_paragraphs()

    def _grid(self) -> Table:
        grid = Table(box=box.SIMPLE, padding=(0, 1), pad_edge=False)
        for heading in self._headings:
            grid.add_column(
                _SHORT.get(heading, heading), justify="left" if heading in self._words else "right", no_wrap=True
            )
        for row in self._rows:
            grid.add_row(*row)
        return grid

    def _show_paragraphs(self) -> None:
        for row in self._rows:
            out.print(row[0], style="bold")
            pairs = [
                Text.assemble(f"{_SHORT.get(heading, heading)}: ", cell)
                for heading, cell in zip(self._headings[1:], row[1:], strict=True)
                if cell.plain
            ]
            out.print(Padding(Text("; ").join(pairs), (0, 0, 0, 2)))
