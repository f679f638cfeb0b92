"""Tables as text. Where a terminal is too narrow for a table, each row becomes a short paragraph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest

from rich import box
from rich.cells import cell_len
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..core.text import printable
from .console import out

Cell = str | Text
"""A text from anywhere, which is no markup; or one with a style."""
_SHORT = {
    "distinct": "rows",
    "distinct_keys": "rows",
    "inserted": "new",
    "updated": "changed",
    "unchanged": "same",
    "age_seconds": "age",
    "lastUsedAt": "last used",
    "reserved": "kept for metering",
}
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
        if self._title:
            out.print(Text(printable(self._title), style="bold"), soft_wrap=not out.is_terminal)
        if not out.is_terminal:
            out.file.write("".join(f"{line}\n" for line in self._lines()))
            return
        grid = self._grid()
        if Measurement.get(out, out.options.update(width=_WIDEST), grid).maximum <= out.width:
            out.print(grid)
        else:
            self._show_paragraphs()

    def _lines(self) -> Iterator[str]:
        """The lines for a pipe, as rich prints them. Rich takes a minute for a statement of 25,000 rows."""
        headings = [Text(_SHORT.get(heading, heading)) for heading in self._headings]
        rows = [[cell.plain.expandtabs().split("\n") for cell in row] for row in (headings, *self._rows)]
        widths = [max(cell_len(line) for cell in column for line in cell) for column in zip(*rows, strict=True)]
        left = [heading in self._words for heading in self._headings]
        empty = " " * (sum(widths) + 3 * len(widths) - 1)
        rule = "-" if out.options.ascii_only else "─"
        yield empty
        for number, row in enumerate(rows):
            for parts in zip_longest(*row, fillvalue=""):
                padding = [" " * (width - cell_len(part)) for part, width in zip(parts, widths, strict=True)]
                cells = zip(parts, padding, left, strict=True)
                yield f" {'   '.join(part + pad if first else pad + part for part, pad, first in cells)} "
            if number == 0:
                yield f" {rule * (len(empty) - 2)} "
        yield empty

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
