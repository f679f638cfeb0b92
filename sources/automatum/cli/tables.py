"""Tables as text. Where a terminal is too narrow for a table, each row becomes a short paragraph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest

from rich.cells import cell_len
from rich.padding import Padding
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
        """Add a row, with as many cells as there are headings."""
        self._rows.append([Text(printable(one)) if isinstance(one, str) else one for one in cells])

    def show(self) -> None:
        """Print it on stdout. A file or a pipe gets each row in one line, however long it is."""
        if self._title:
            out.print(Text(printable(self._title), style="bold"), soft_wrap=not out.is_terminal)
        lines = list(self._lines())
        if not out.is_terminal:  # Not by rich, which takes a minute for a statement of 25,000 rows.
            out.file.write("".join(f"{line.plain}\n" for line in lines))
        elif cell_len(lines[1].plain) <= out.width:
            out.print(*lines, sep="\n")
        else:
            self._show_paragraphs()

    def _lines(self) -> Iterator[Text]:
        headings = [Text(_SHORT.get(heading, heading)) for heading in self._headings]
        rows = [[cell.split("\n", allow_blank=True) for cell in row] for row in (headings, *self._rows)]
        widths = [max(cell_len(line.plain) for cell in column for line in cell) for column in zip(*rows, strict=True)]
        left = [heading in self._words for heading in self._headings]
        yield Text("")
        for number, row in enumerate(rows):
            for parts in zip_longest(*row, fillvalue=Text()):
                pads = [" " * (width - cell_len(part.plain)) for part, width in zip(parts, widths, strict=True)]
                cells = zip(parts, pads, left, strict=True)
                padded = [Text.assemble(part, pad) if first else Text.assemble(pad, part) for part, pad, first in cells]
                yield Text("   ").join(padded)
            if number == 0:
                yield Text(("-" if out.options.ascii_only else "─") * (sum(widths) + 3 * len(widths) - 3))
        yield Text("")

    def _show_paragraphs(self) -> None:
        for row in self._rows:
            out.print(row[0], style="bold")
            pairs = [
                Text.assemble(f"{_SHORT.get(heading, heading)}: ", cell)
                for heading, cell in zip(self._headings[1:], row[1:], strict=True)
                if cell.plain
            ]
            out.print(Padding(Text("; ").join(pairs), (0, 0, 0, 2)))


def show_counts(first: str, second: str, counts: Mapping[str, int]) -> None:
    """A table of names and numbers; nothing if there are none."""
    table = TextTable(first, second)
    for name, number in counts.items():
        table.add(name, f"{number:,}")
    if len(table):
        table.show()
