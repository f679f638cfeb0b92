"""What a sweep knows: saved with the pages that it has read, so that a later run can resume it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from ..api.pages import Page
from .results import Counts

LAST_PAGE = 1 << 31
"""Among the suspects, stands for the last page, whichever that is when its turn comes."""


@dataclass
class SweepState:
    """The state of a sweep, apart from the pages themselves. The field names are the keys of the saved JSON.

    Attributes:
        next: The next page to read.
        last: The last page, as far as is known.
        total: Number of rows that the list announced last.
        pages_read: Pages read, repetitions included.
        extra: Pages read beyond one each.
        ghosts: Rows that were seen and then deleted.
        keyless: Rows without a key.
        drift: What moved while the sweep read, in words.
        counts: What became of the rows.
        again: Pages to read again before the sweep goes on.
        looking_back: Page that is read again, because the total fell or a pause was long, to how far the total fell.
        suspects: Pages on which rows may have been missed, the likeliest first.
        doubt: Something moved that the counts do not explain: only a second reading of the whole list can prove it.
        ordered: Whether all pages came newest first.
        oldest: The earliest `updated_at` so far, as long as they did.
    """

    next: int = 1
    last: int = 1
    total: int | None = None
    pages_read: int = 0
    extra: int = 0
    ghosts: int = 0
    keyless: int = 0
    drift: list[str] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    again: list[int] = field(default_factory=list)
    looking_back: dict[int, int] = field(default_factory=dict)
    suspects: list[int] = field(default_factory=lambda: [1, LAST_PAGE])
    doubt: bool = False
    ordered: bool = True
    oldest: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """The state as a JSON object."""
        oldest = self.oldest.isoformat() if self.oldest else None
        return {**asdict(self), "looking_back": list(self.looking_back.items()), "oldest": oldest}

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> SweepState:
        """The state that `as_json` gave."""
        state = cls(**{one.name: saved[one.name] for one in fields(cls)})
        state.counts = Counts(**saved["counts"])
        state.looking_back = dict(saved["looking_back"])
        state.oldest = datetime.fromisoformat(saved["oldest"]) if saved["oldest"] else None
        return state


class SecondReading:
    """A second reading of the whole list. It proves the list by itself, whatever the first reading saw."""

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._totals: set[int | None] = set()
        self._rows = 0

    def take(self, page: Page, keys: Iterable[str]) -> None:
        """Add a page.

        Args:
            page: The page.
            keys: Keys of its rows.
        """
        self._keys.update(keys)
        self._rows += len(page.records)
        self._totals.add(page.total)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def proves(self, total: int) -> bool:
        """Whether the list stood still: each page announced this total, and as many distinct rows were read."""
        return self._totals == {total} and len(self._keys) == self._rows == total
