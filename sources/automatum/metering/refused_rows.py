"""Finds the lines whose sum may lack a row that was refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from .model import Line, Refusal

_PARTS = ("vendor", "listing_id", "dimension", "entitlement_id")


class RefusedRows:
    """The refused rows of a push, by what is known of their keys.

    A part that cannot be read may be any. A row without a customer belongs to no line.

    Args:
        refusals: The refused rows.
    """

    def __init__(self, refusals: Iterable[Refusal]) -> None:
        # One lookup for each combination of known parts, so that many rows and many lines take linear time.
        self._rows: dict[tuple[str, ...], dict[tuple[object, ...], list[int]]] = defaultdict(dict)
        for refusal in refusals:
            usage = refusal.usage
            if not usage.customer_id:
                continue
            time = ("starts_at",) if usage.starts_at else ("day",) if usage.day else ()
            names = ("customer_id", *(name for name in _PARTS if getattr(usage, name)), *time)
            key = tuple(getattr(usage, name) for name in names)
            self._rows[names].setdefault(key, []).append(refusal.row)

    def of(self, line: Line) -> list[int]:
        """Positions of the refused rows that may belong to a line, in order."""
        found: list[int] = []
        for names, rows in self._rows.items():
            found += rows.get(tuple(getattr(line, name) for name in names), ())
        return sorted(found)
