"""Writes JSON objects that may have a very long array, piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import orjson

_BATCH = 1_000
"""Rows that exist at a time."""
_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
_END = "\n  ]"
"""End of an array that is not empty, in the object."""
_Item = TypeVar("_Item")


class JsonRows(Generic[_Item]):
    """The rows of a JSON array, each made when it is read. A list of all of them can take a kilobyte a row.

    Args:
        items: What the rows are made of.
        make: Makes one row.
    """

    def __init__(self, items: Sequence[_Item], make: Callable[[_Item], Mapping[str, Any]]) -> None:
        self._items = items
        self._make = make

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return map(self._make, self._items)

    def batches(self) -> Iterator[list[Mapping[str, Any]]]:
        """The rows in lists; an empty list if there are none."""
        for start in range(0, max(len(self._items), 1), _BATCH):
            yield [self._make(item) for item in self._items[start : start + _BATCH]]


def whole(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The object with lists in place of `JsonRows`."""
    return {name: list(value) if isinstance(value, JsonRows) else value for name, value in figures.items()}


def write_json(figures: Mapping[str, Any], default: Callable[[Any], Any]) -> Iterator[str]:
    """The text of a JSON object, indented by two spaces, in pieces.

    Args:
        figures: The object. Its own values may be `JsonRows`.
        default: Makes a value that orjson can write of one that it cannot.
    """
    between = "{\n"
    for name, value in figures.items():
        if not isinstance(value, JsonRows):
            yield between + _field(name, value, default)
        else:
            for number, rows in enumerate(value.batches()):
                text = _field(name, rows, default).removesuffix(_END)
                # Each batch but the first goes on behind the last row.
                yield ",\n" + text.partition("\n")[2] if number else between + text
            if len(value):
                yield _END
        between = ",\n"
    yield "\n}" if figures else "{}"


def _field(name: Any, value: Any, default: Callable[[Any], Any]) -> str:
    """A field as it is between the braces of an object: `  "name": value`."""
    return orjson.dumps({name: value}, default=default, option=_OPTIONS).decode()[2:-2]
