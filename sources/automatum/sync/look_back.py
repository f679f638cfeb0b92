"""What happened to the pages before a border while the page after it was read.

A total that fell, or a long pause, may have moved rows over the border between the last page that was read and the next
one. The sweep reads the page before the border again, and the pages before that one, until it meets a row that was in
front of the border before: the rows from behind the border follow it, so none of them is further in front.
"""

from __future__ import annotations

from collections.abc import Sequence, Set


class LookBack:
    """The pages before one border that are read again, from the border to the front."""

    def __init__(self) -> None:
        self._before: list[str] = []
        self._present: list[str] = []
        self._fresh: set[str] = set()

    @property
    def pages(self) -> bool:
        """Whether a page was read already."""
        return bool(self._before or self._present)

    def add(self, before: Sequence[str], present: Sequence[str], fresh: set[str]) -> None:
        """Add the next page to the front.

        Args:
            before: Its keys at the first reading.
            present: Its keys now.
            fresh: Keys that no page had before.
        """
        self._before = [*before, *self._before]
        self._present = [*present, *self._present]
        self._fresh |= fresh

    def reaches(self, behind: Set[str]) -> bool:
        """Whether a row is on these pages that was in front of the border before.

        Args:
            behind: Keys of the page after the border.
        """
        return any(key not in self._fresh and key not in behind for key in self._present)

    def pulled_over(self, behind: Set[str], whole: bool) -> int | None:
        """How many rows went over the front border of these pages, or from them; None if the readings do not show it.

        Rows that came in at the end took the place of as many that went. Rows that came in at the front pushed others
        back: none went.

        Args:
            behind: Keys of the page after the border.
            whole: The pages begin with the first page of the list, so every row in front of the border is on them.
        """
        old, new = set(self._before), set(self._present)
        gone = len(old - new)
        came = [key for key in self._present if key not in old]
        if whole:
            return len(old - new - behind)
        if not came:
            return gone
        if all(key not in self._fresh and key not in behind for key in came):
            return 0
        if len(came) < len(self._present) and self._present[: len(came)] == came:
            return 0
        return gone if self._present[-len(came) :] == came else None
