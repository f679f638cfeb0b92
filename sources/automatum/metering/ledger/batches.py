"""Splits what one statement is about into batches that every database takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

MOST = 500
"""Ids in one statement. Older builds of SQLite take at most 999 parameters."""

_Item = TypeVar("_Item")


def batches(items: Sequence[_Item], size: int = MOST) -> Iterator[Sequence[_Item]]:
    """Split items into slices of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
