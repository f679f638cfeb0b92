"""Refused rows of usage, collected by what they are about, and the lines that they may be a part of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...core.text import plural, printable
from ..model import Line, Refusal, format_decimal

_MOST_ROWS = 10
_MOST_REASONS = 3


@dataclass(slots=True)
class _Found:
    """The refused rows of one subject."""

    line_id: str | None
    about: Mapping[str, str]
    rows: list[int] = field(default_factory=list)
    count: int = 0
    reasons: dict[str, None] = field(default_factory=dict)

    def refusal(self, subject: str) -> Refusal:
        named, more = list(self.reasons)[:_MOST_REASONS], len(self.reasons) - _MOST_REASONS
        reason = "; ".join(named) + (f"; and {plural(more, 'further reason')}" if more > 0 else "")
        return Refusal(subject, tuple(self.rows), self.count, reason, self.line_id, self.about)


class Refusals:
    """The refusals of a usage, one for each subject."""

    def __init__(self) -> None:
        self._found: dict[str, _Found] = {}
        # Rows by each combination of known parts of their keys, so that many rows and many lines take linear time.
        self._rows: dict[tuple[str, ...], dict[tuple[object, ...], list[int]]] = defaultdict(dict)

    def add(
        self,
        subject: str,
        rows: Sequence[int],
        count: int,
        reason: str,
        line_id: str | None,
        about: Mapping[str, str],
        key: Mapping[str, object],
    ) -> None:
        """Add rows; see `Refusal`.

        Args:
            subject: What they are about.
            rows: Positions; at most ten of them are kept.
            count: Number of rows.
            reason: What is wrong.
            line_id: Id of their line; None if their key cannot be read.
            about: What can be read of them.
            key: The parts of their key that are known: fields of a line, or `day`. What is missing may be any.
        """
        found = self._found.setdefault(subject, _Found(line_id, about))
        found.rows = sorted({*found.rows, *rows})[:_MOST_ROWS]
        found.count += count
        found.reasons[printable(reason).replace("\n", "\\n").replace("\t", "\\t")] = None
        if "customer_id" in key:  # A row without a customer belongs to no line.
            self._rows[tuple(key)].setdefault(tuple(key.values()), []).extend(rows)

    def of(self, line: Line) -> Refusal | None:
        """Why a line must not be sent: refused rows are, or may be, a part of it. None if there are none."""
        if (own := self._found.get(line.id)) is not None:
            return own.refusal(line.id)
        rows: list[int] = []
        for names, found in self._rows.items():
            rows += found.get(tuple(getattr(line, name) for name in names), ())
        if not rows:
            return None
        rows.sort()
        named = ", ".join(map(str, rows[:_MOST_ROWS])) + (" ..." if len(rows) > _MOST_ROWS else "")
        reason = f"refused in the usage, and possibly a part of it: row {named}; correct the rows first"
        return Refusal(line.id, tuple(rows[:_MOST_ROWS]), len(rows), reason, line.id, about_line(line))

    def all(self) -> tuple[Refusal, ...]:
        """Every refusal, in the order of the rows."""
        made = (found.refusal(subject) for subject, found in self._found.items())
        return tuple(sorted(made, key=lambda refusal: (refusal.rows, refusal.subject)))


def about_line(line: Line) -> dict[str, str]:
    """What a refusal says of a line."""
    names = ("customer_id", "listing_id", "vendor", "dimension", "entitlement_id")
    about = {name: getattr(line, name) for name in names if getattr(line, name)}
    amounts = {"units": format_decimal(line.units), "price": format_decimal(line.price)}
    return {**about, "starts_at": line.starts_at.isoformat(), **amounts}
