"""What a sweep knows: saved with the pages that it has read, so that a later run can resume it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from ..core.text import plural
from ..endpoints import Endpoint
from .results import Counts

LAST_PAGE = 1 << 31
"""Among the suspects, stands for the last page, whichever that is when its turn comes."""

FIRST_SUSPECTS = (1, LAST_PAGE)
"""Pages at which rows come in: the first, and the last."""
_LATER = ("moved", "ends_at")
"""Fields that the first versions did not save. Their default values are not saved either."""


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
        drift: What moved while the sweep read, in words.
        counts: What became of the rows.
        again: Pages to read again before the sweep goes on.
        looking_back: Page that is read again, because the total fell or a pause was long, to how far the total fell.
        suspects: Pages on which rows may have been missed, the likeliest first.
        doubt: Something moved that the counts do not explain: only a second reading of the whole list can prove it.
        ordered: Whether all pages came newest first.
        oldest: The earliest `updated_at` so far, as long as they did.
        moved: The announced total changed.
        ends_at: Page behind which nothing is read, because it and the page before it are empty; 0 for no such page.
    """

    next: int = 1
    last: int = 1
    total: int | None = None
    pages_read: int = 0
    extra: int = 0
    ghosts: int = 0
    drift: list[str] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    again: list[int] = field(default_factory=list)
    looking_back: dict[int, int] = field(default_factory=dict)
    suspects: list[int] = field(default_factory=lambda: list(FIRST_SUSPECTS))
    doubt: bool = False
    ordered: bool = True
    oldest: datetime | None = None
    moved: bool = False
    ends_at: int = 0

    @property
    def whole(self) -> int:
        """Number of pages of the whole list, with the empty page behind a full last page."""
        return self.last if self.moved else max(self.last, self.next - 1)

    def as_json(self) -> dict[str, Any]:
        """The state as a JSON object."""
        oldest = self.oldest.isoformat() if self.oldest else None
        saved = {**asdict(self), "looking_back": list(self.looking_back.items()), "oldest": oldest}
        return {name: value for name, value in saved.items() if name not in _LATER or value}

    def keeps_order(self, moments: Iterable[datetime | None]) -> bool:
        """Whether the next rows come newest first, after those before.

        Args:
            moments: Their `updated_at`.
        """
        for moment in moments:
            if moment is None or (self.oldest is not None and moment > self.oldest):
                self.ordered = False
                break
            self.oldest = moment
        return self.ordered

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> SweepState:
        """The state that `as_json` gave."""
        state = cls(**{one.name: saved[one.name] for one in fields(cls) if one.name not in _LATER})
        state.moved, state.ends_at = bool(saved.get("moved")), int(saved.get("ends_at", 0))
        state.counts = Counts(**saved["counts"])
        state.looking_back = dict(saved["looking_back"])
        state.oldest = datetime.fromisoformat(saved["oldest"]) if saved["oldest"] else None
        return state


def why_unproven(state: SweepState, distinct: int, table: str, *, too_long: bool) -> str:
    """Why a sweep could not prove the list.

    Args:
        state: What it knows.
        distinct: Number of different rows that it read.
        table: Name of the table.
        too_long: The list has more pages than a sweep may read again.
    """
    why = f"{distinct} distinct rows do not add up to the announced {state.total}"
    if state.total is None:
        why = "the list announces no total, and no two readings of it found the same rows"
    elif state.doubt and distinct >= (state.total or 0) + state.ghosts:
        why = "rows moved while the list was read, and some of them may be missing"
        why += f" ({state.drift[-1]})" if state.drift else ""
    if state.ends_at:
        why += f"; page {state.ends_at} and the page before it are empty"
    if too_long:
        why += f". To let it read its {state.last} pages a second time, raise sources.automatum.reread_pages"
    if not (state.moved or state.ghosts) and distinct < (state.total or 0):
        why += (
            f". If the API counts more rows than it lists, set sources.automatum.endpoints.{table}.exact_total to false"
        )
    return why


def why_shared(count: int, endpoint: Endpoint) -> str:
    """Why a list is not proven whose rows do not add up, because several of them have the same key.

    Args:
        count: Number of keys that differing rows share.
        endpoint: Endpoint of the list.
    """
    return (
        f"rows that differ share {plural(count, 'key')} ({', '.join(endpoint.key)}), so only one is loaded: set "
        f"sources.automatum.endpoints.{endpoint.table}.key to the columns that identify a row"
    )
