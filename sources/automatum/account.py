"""What a sweep keeps account of."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Verdict = Literal["complete", "incomplete", "more_to_do"]

DELETED = "deleted"
"""In place of a hash: the destination holds the row as deleted."""
FULL = "full"
"""Marks a sweep that read the whole list and proved it."""
ORDERED = "ordered"
"""Marks a sweep whose pages all came newest first."""
PARTIAL = "partial"
"""Marks a sweep that was after some of the rows, or some of the days."""


@dataclass
class Counts:
    """What became of the rows."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0


@dataclass
class Known:
    """What the destination holds of a table, by key.

    Attributes:
        hashes: Key to row hash, or to `deleted` for a row that is marked so. Empty if nothing is known.
        readable: False if the destination could not be read: then any row may exist there already.
        why: Why it could not.
    """

    hashes: dict[str, str] = field(default_factory=dict)
    readable: bool = True
    why: str = ""


@dataclass(frozen=True, slots=True)
class PageRecord:
    """That a page was read, and what was on it.

    Attributes:
        page: Its number, from 1.
        keys: The keys of its rows, in the server's order.
        total: The total that it announced.
        read_at: When it arrived.
    """

    page: int
    keys: list[str]
    total: int | None
    read_at: datetime
