"""Ids in the vendor's form: a prefix and 8 characters (`api/reference` has `cust_` and `org_`; others assumed)."""

from __future__ import annotations

from .randomness import seeded_random

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_LENGTH = 8
_SPACE: int = 36**_LENGTH
# Coprime to 36, so that an index can be computed from its id. A dictionary of 300,000 ids is not needed.
_STEP = 1_735_928_559_101
_INVERSE_STEP: int = pow(_STEP, -1, _SPACE)
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]


class Ids:
    """The ids of one table, by row index.

    Args:
        prefix: Such as `cust_`.
        seed: Shifts the whole sequence.
    """

    def __init__(self, prefix: str, seed: int) -> None:
        self.prefix = prefix
        self._shift = seeded_random(f"{prefix}{seed}").randrange(_SPACE)

    def at(self, index: int) -> str:
        """Id of the row at `index`."""
        number = (index * _STEP + self._shift) % _SPACE
        upper, lower = divmod(number, 1296 * 1296)
        return self.prefix + _PAIRS[upper // 1296] + _PAIRS[upper % 1296] + _PAIRS[lower // 1296] + _PAIRS[lower % 1296]

    def index(self, id_: str) -> int | None:
        """Index of the row with this id, None if it has another form. The index may be past the last row."""
        body = id_[len(self.prefix) :]
        if not id_.startswith(self.prefix) or len(body) != _LENGTH or any(c not in _ALPHABET for c in body):
            return None
        return (int(body, 36) - self._shift) * _INVERSE_STEP % _SPACE
