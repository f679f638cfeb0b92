"""What whole readings of a list prove: by their number of rows, or because two of them list the same rows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .contents import Contents
from .key_map import PackedKeys


@dataclass(frozen=True)
class ListDigest:
    """What a list was like whose rows do not add up to the announced total.

    If a later reading lists the same rows under the same total, the list is like that: its total counts other rows, or
    it lists a row twice. The field names are the stored keys.

    Attributes:
        total: Number of rows that every page announced; None if none did.
        rows: Number of rows on the pages.
        keys: Digest of their keys, in any order.
        proven: Two readings have agreed.
    """

    total: int | None
    rows: int
    keys: str
    proven: bool = False

    def as_json(self) -> dict[str, Any]:
        """The digest as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None) -> ListDigest | None:
        """The digest that `as_json` gave; None for anything else."""
        try:
            return cls(**stored) if stored else None
        except TypeError:
            return None

    def agrees(self, other: ListDigest | None) -> bool:
        """Whether another reading lists the same rows under the same total."""
        return other is not None and (self.total, self.rows, self.keys) == (other.total, other.rows, other.keys)


@dataclass(frozen=True)
class Earlier:
    """What earlier sweeps know of the list.

    Attributes:
        digest: What the list was like at the last sweep, if its rows did not add up to the announced total.
        end_at: Totals after whose full last page the list lately ended.
        unlisted: Number of live rows in the destination that the API keeps off the list.
    """

    digest: ListDigest | None = None
    end_at: frozenset[int] = frozenset()
    unlisted: int = 0


def digest_of(total: int | None, contents: Contents) -> ListDigest:
    """The digest of a list.

    Args:
        total: Number of rows that it announces.
        contents: Page number to the keys of its rows.
    """
    found = hashlib.blake2b(digest_size=16)
    for key in sorted(set(contents.every_key())):
        text = key.encode("utf-8", "surrogatepass")
        found.update(len(text).to_bytes(4, "big") + text)
    return ListDigest(total, contents.rows, found.hexdigest())


def well_formed(contents: Contents, size: int, announced: int) -> bool:
    """Whether the pages are those of a list that was read to its end.

    Each announced page has rows, all pages but the last are full, and the last is not full or an empty page follows.

    Args:
        contents: Page number, from 1 without a gap, to the keys of its rows.
        size: Rows of a full page.
        announced: Number of pages that the list announces.
    """
    lengths = [len(contents[number]) for number in sorted(contents)]
    filled = sum(1 for length in lengths if length)
    if filled < announced or any(lengths[filled:]) or any(length != size for length in lengths[: max(0, filled - 1)]):
        return False
    return not filled or lengths[filled - 1] < size or len(lengths) > filled


class SecondReading:
    """A second reading of the whole list. It can prove the list by itself, whatever the first reading saw.

    Attributes:
        contents: Page number to the keys of its rows.
    """

    def __init__(self) -> None:
        self.contents = Contents()
        self._totals: set[int | None] = set()
        self._same = True

    def take(self, number: int, total: int | None, keys: PackedKeys, before: PackedKeys | None) -> None:
        """Add a page.

        Args:
            number: Its number.
            total: Number of rows that it announces for the list; -1 if much time passed before it was read.
            keys: Keys of its rows.
            before: The keys that it had at the reading before; None if it was not read.
        """
        self.contents.put(number, keys)
        self._totals.add(total)
        self._same = self._same and before == keys

    def proves(self, total: int) -> bool:
        """Whether the list stood still: each page announced this total, and as many distinct rows were read."""
        return self._totals == {total} and adds_up(total, self.contents)

    def repeats(self, total: int | None) -> bool:
        """Whether each page had the rows of the reading before, in their order, under this total."""
        return self._same and self._totals == {total}


def adds_up(total: int | None, contents: Contents) -> bool:
    """Whether the pages have as many rows as announced, each once.

    Args:
        total: Number of rows that the list announces.
        contents: Page number to the keys of its rows.
    """
    return contents.rows == total and contents.distinct == total


def unlike(total: int | None, contents: Contents) -> str:
    """What does not add up, in words.

    Args:
        total: Number of rows that the list announces.
        contents: Page number to the keys of its rows.
    """
    rows = contents.rows
    twice = rows - contents.distinct
    announced = "no total" if total is None else f"{total} rows"
    return f"the API announces {announced} and lists {rows}" + (f", {twice} of them again" if twice else "")
