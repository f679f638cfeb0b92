"""What is known of many rows by their keys, in few bytes a row.

A sweep remembers the key and the hash of each row that it met, and what the destination has. A list may have millions
of rows. In dicts of texts, a row takes more than 200 bytes; here it takes 30 to 80.

Python's hash of 64 bits stands for a key. It is drawn anew for each process, so nobody can foresee it. Among a million
rows, two keys share it in one of 40 million syncs. No row is lost then (I1): the row that is taken for the other one
has another row hash, so it is loaded; and one row less is met than announced, so the sweep reads the list again. No row
is deleted by mistake (I2): a row that is met is never missing.
"""

from __future__ import annotations

import json
import sys
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from itertools import chain
from typing import overload

import orjson

_SMALLEST = 64
_FULL = 2 / 3
"""Share of the slots in use from which a map doubles them: beyond it, look-ups pass many slots."""
_TEXTS = 1 << 16
"""Numbers below stand for texts that take the place of a hash."""
_BLOCK = 10_000
"""Keys that are packed at a time."""
_KNOWN, _MET, _REMOVED = 1, 2, 3
_HASHES, _ABSENT = -1, -2
"""What is counted beside the texts: all hashes; and no row."""


class KeyMap:
    """A number of 64 bits and a mark of 1 to 255 by key. It does not keep the keys, so it cannot list them."""

    def __init__(self) -> None:
        # A key is in the slot that its hash names, or in the next free one behind it. A slot without a mark is free.
        self._hashes, self._numbers, self._marks = _slots(_SMALLEST)
        self._used = 0

    def __len__(self) -> int:
        return self._used

    def __sizeof__(self) -> int:
        """Bytes of the map with all that it has."""
        return object.__sizeof__(self) + sum(map(sys.getsizeof, (self._hashes, self._numbers, self._marks)))

    def get(self, key: str) -> tuple[int, int]:
        """The number and the mark of a key; zeros if it is not there."""
        at = self._slot(hash(key))
        return self._numbers[at], self._marks[at]

    def set(self, key: str, number: int, mark: int) -> tuple[int, int]:
        """Set the number and the mark of a key; returns those before, or zeros if it was not there."""
        (before,), (old,) = self.set_all((key,), (number,), mark)
        return before, old

    def set_all(self, keys: Sequence[str], numbers: Iterable[int], mark: int) -> tuple[list[int], bytearray]:
        """Set the numbers and the mark of many keys, one after the other; returns those before, as `set` does."""
        self._make_room(len(keys))
        hashes, all_numbers, marks, last = self._hashes, self._numbers, self._marks, len(self._marks) - 1
        before, old = [0] * len(keys), bytearray(len(keys))
        for i, (wanted, number) in enumerate(zip(map(hash, keys), numbers, strict=True)):
            at = wanted & last
            while (had := marks[at]) and hashes[at] != wanted:
                at = (at + 1) & last
            if had:
                before[i], old[i] = all_numbers[at], had
            else:
                hashes[at] = wanted
            all_numbers[at], marks[at] = number, mark
        self._used += old.count(0)
        return before, old

    def _slot(self, wanted: int) -> int:
        """The slot of a hash, or the free one that it would take."""
        hashes, marks = self._hashes, self._marks
        last = len(marks) - 1
        at = wanted & last
        while marks[at] and hashes[at] != wanted:
            at = (at + 1) & last
        return at

    def _make_room(self, count: int) -> None:
        """Take more slots, if so many further keys need them."""
        size = len(self._marks)
        while self._used + count > _FULL * size:
            size *= 2
        if size == len(self._marks):
            return
        old = zip(self._hashes, self._numbers, self._marks, strict=True)
        self._hashes, self._numbers, self._marks = hashes, numbers, marks = _slots(size)
        last = size - 1
        for wanted, number, mark in old:
            if mark:
                at = wanted & last
                while marks[at]:
                    at = (at + 1) & last
                hashes[at], numbers[at], marks[at] = wanted, number, mark


def _slots(count: int) -> tuple[array[int], array[int], bytearray]:
    return array("q", [0]) * count, array("Q", [0]) * count, bytearray(count)


class RowHashes(MutableMapping[str, str]):
    """Row hashes by key, of the rows that the destination has, and apart from these, of the rows that a sweep has met.

    As a mapping, it has the rows of the destination that were not met. `meet` takes a row from them. A value is a row
    hash, or a text in its place.

    Args:
        known: Key to value.

    Attributes:
        count_met: Number of rows that were met.
    """

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        self._rows = KeyMap()
        self.count_met = 0
        self._keys: list[PackedKeys] = []
        self._latest: list[str] = []
        self._repeats = False
        self._texts: list[str] = []
        self._codes: dict[str, int] = {}
        self._counts: Counter[int] = Counter()
        self.update(known or {})

    def count(self, text: str) -> int:
        """Number of rows that were not met and have this text in place of a hash."""
        return self._counts[self._codes.get(text, _ABSENT)]

    @property
    def met(self) -> Met:
        """The keys that were met."""
        return Met(self)

    def meet(self, keys: Sequence[str], values: Sequence[str]) -> Meeting:
        """Set the hashes of the rows that a page has.

        Args:
            keys: Keys of the rows.
            values: Their hashes.

        Returns:
            What these rows had before.
        """
        numbers = self._numbers(values)
        before, marks = self._rows.set_all(keys, numbers, _MET)
        self.count_met += len(keys) - marks.count(_MET)
        self._count(_known(before, marks) if any(marks) else (), -1)
        return Meeting(numbers, before, marks, self._value)

    def meet_as_known(self, key: str, absent: str) -> None:
        """Take a row for met that an earlier run has met: with the value that it has, or else `absent`."""
        number, mark = self._rows.get(key)
        if mark != _MET:
            self._rows.set(key, number if mark == _KNOWN else self._numbers((absent,))[0], _MET)
            self._count(_known((number,), (mark,)), -1)
            self.count_met += 1

    def is_met(self, key: str) -> bool:
        """Whether a row was met."""
        return self._rows.get(key)[1] == _MET

    def __getitem__(self, key: str) -> str:
        number, mark = self._rows.get(key)
        if mark != _KNOWN:
            raise KeyError(key)
        return self._value(number)

    def __setitem__(self, key: str, value: str) -> None:
        self.add((key,), (value,))

    def add(self, keys: Sequence[str], values: Sequence[str]) -> None:
        """Set the values of rows that the destination has.

        Args:
            keys: Keys of the rows.
            values: Their hashes, or texts in their places.
        """
        numbers = self._numbers(values)
        before, marks = self._rows.set_all(keys, numbers, _KNOWN)
        self._count(numbers, 1)
        self._count(_known(before, marks), -1)
        self.count_met -= marks.count(_MET)
        self._repeats = self._repeats or marks.count(_MET) + marks.count(_REMOVED) > 0
        self._latest += [key for key, mark in zip(keys, marks, strict=True) if mark != _KNOWN] if any(marks) else keys
        if len(self._latest) >= _BLOCK:
            self._keys.append(PackedKeys(self._latest))
            self._latest = []

    def __delitem__(self, key: str) -> None:
        number, mark = self._rows.get(key)
        if mark != _KNOWN:
            raise KeyError(key)
        self._rows.set(key, 0, _REMOVED)
        self._count([number], -1)

    def __len__(self) -> int:
        return sum(self._counts.values())

    def __iter__(self) -> Iterator[str]:
        keys: Iterable[str] = chain(*self._keys, self._latest)
        return (key for key in (dict.fromkeys(keys) if self._repeats else keys) if key in self)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._rows.get(key)[1] == _KNOWN

    def __sizeof__(self) -> int:
        """Bytes of the hashes with all that belongs to them."""
        return object.__sizeof__(self) + sum(map(sys.getsizeof, (self._rows, self._latest, *self._keys)))

    def _count(self, numbers: Sequence[int], sign: int) -> None:
        """Count rows that were not met, by the text that they have."""
        texts = [number for number in numbers if number < _TEXTS]
        self._counts[_HASHES] += sign * (len(numbers) - len(texts))
        for number in texts:
            self._counts[number] += sign

    def _numbers(self, values: Iterable[str]) -> list[int]:
        """The hashes as numbers, or the numbers of texts. A hash that is too small is taken for a text."""
        numbers = []
        for value in values:
            try:
                number = int(value, 16) if len(value) == 16 else 0
            except ValueError:
                number = 0
            numbers.append(number if number >= _TEXTS else self._number_of_text(value))
        return numbers

    def _number_of_text(self, text: str) -> int:
        number = self._codes.get(text)
        if number is None:
            # Only a foreign program writes so many texts. None of them is the hash of a row.
            number = self._codes[text] = min(len(self._texts), _TEXTS - 1)
            self._texts[number:] = [text]
        return number

    def _value(self, number: int) -> str:
        return self._texts[number] if number < _TEXTS else _hash_of(number)


class Meeting:
    """What the rows of a page had before they were met, row by row.

    Iterated, it has the value of each row, or None if there was none, and whether the row was met before.

    Attributes:
        all_new: No row was there.
        all_known: Each row was in the destination with this hash, and was not met before.
    """

    def __init__(self, numbers: list[int], before: list[int], marks: bytearray, value: Callable[[int], str]) -> None:
        self.all_new = not (marks.count(_KNOWN) or marks.count(_MET))
        self.all_known = marks.count(_KNOWN) == len(marks) and numbers == before
        self._before, self._marks, self._value = before, marks, value

    def __iter__(self) -> Iterator[tuple[str | None, bool]]:
        for number, mark in zip(self._before, self._marks, strict=True):
            yield (self._value(number) if mark in (_KNOWN, _MET) else None), mark == _MET


class Met:
    """The keys of the rows that a sweep met. They are not kept, so they can be looked up and not listed."""

    def __init__(self, rows: RowHashes) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return self._rows.count_met

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._rows.is_met(key)


def _known(numbers: Iterable[int], marks: Iterable[int]) -> list[int]:
    """The numbers of the rows that the destination has."""
    return [number for number, mark in zip(numbers, marks, strict=True) if mark == _KNOWN]


def _hash_of(number: int) -> str:
    return f"{number:016x}"


class PackedKeys(Sequence[str]):
    """Keys in their order, compressed: about 19 bytes for a key of 32 hexadecimal digits.

    Args:
        keys: The keys.
    """

    __slots__ = ("_count", "_packed")

    def __init__(self, keys: Sequence[str]) -> None:
        self._count = len(keys)
        pack = zlib.compressobj(1, strategy=zlib.Z_HUFFMAN_ONLY)  # Random digits have nothing else to gain from.
        self._packed = pack.compress(_json(keys)) + pack.flush()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        return iter(self._unpacked())

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        return self._unpacked()[at]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PackedKeys):
            return self._count == other._count and self._packed == other._packed
        return isinstance(other, list) and self._count == len(other) and self._unpacked() == other

    __hash__ = None  # type: ignore[assignment]

    def __sizeof__(self) -> int:
        """Bytes of the keys with all that belongs to them."""
        return object.__sizeof__(self) + sys.getsizeof(self._packed)

    def _unpacked(self) -> list[str]:
        keys: list[str] = json.loads(zlib.decompress(self._packed))
        return keys


def _json(keys: Sequence[str]) -> bytes:
    try:
        return orjson.dumps(keys)
    except TypeError:
        return json.dumps(keys).encode()  # One of them has half an emoji.
