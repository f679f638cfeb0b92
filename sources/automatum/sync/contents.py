"""The keys on the pages of one reading of a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from .key_map import KeyMap, PackedKeys


class Contents(Mapping[int, PackedKeys]):
    """Page number to the keys of its rows, at the last reading of the page.

    Args:
        pages: Page numbers and keys to begin with.

    Attributes:
        rows: Number of rows on the pages.
    """

    def __init__(self, pages: Iterable[tuple[int, PackedKeys]] = ()) -> None:
        self.rows = 0
        self._pages: dict[int, PackedKeys] = {}
        self._lengths: Counter[int] = Counter()
        self._distinct: int | None = 0
        for number, keys in pages:
            self.put(number, keys)

    def put(self, number: int, keys: PackedKeys, fresh: int | None = None) -> None:
        """Add a page, or replace it.

        Args:
            number: Its number.
            keys: Keys of its rows.
            fresh: Number of its keys that no page had before, if that is known.
        """
        before = self._pages.get(number)
        if before == keys:
            return
        known = before is None and fresh is not None and self._distinct is not None
        self._distinct = (self._distinct or 0) + (fresh or 0) if known else None
        if before is not None:
            self._lengths[len(before)] -= 1
            self.rows -= len(before)
        self._pages[number] = keys
        self._lengths[len(keys)] += 1
        self.rows += len(keys)

    @property
    def longest(self) -> int:
        """Rows of the page that has most."""
        return max((length for length, pages in self._lengths.items() if pages), default=0)

    @property
    def distinct(self) -> int:
        """Number of different keys on the pages."""
        if self._distinct is None:
            found = KeyMap()
            for key in self.every_key():
                found.set(key, 0, 1)
            self._distinct = len(found)
        return self._distinct

    def listed(self, keys: Collection[str]) -> set[str]:
        """Those of some keys that are on a page."""
        looked_for = set(keys)
        return {key for key in self.every_key() if key in looked_for} if looked_for else set()

    def every_key(self) -> Iterator[str]:
        """The keys of page after page."""
        return (key for page in self._pages.values() for key in page)

    def __getitem__(self, number: int) -> PackedKeys:
        return self._pages[number]

    def __iter__(self) -> Iterator[int]:
        return iter(self._pages)

    def __len__(self) -> int:
        return len(self._pages)
