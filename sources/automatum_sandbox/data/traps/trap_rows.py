"""Generated rows with odd values at fixed positions: each kind of trap is in every few hundred rows."""

from __future__ import annotations

from ..generated_rows import GeneratedRows
from ..timestamps import DAY

_HISTORY_DAYS = 3 * 365


class TrapRows(GeneratedRows):
    """The generated rows of one table, dated in the three years before `now`.

    Args:
        prefix: Id prefix.
        seed: Seed of the rows.
        organization_id: Owner of the rows.
        count: Number of rows.
        now: Seconds since 1970.
    """

    vendors = ("aws", "azure", "gcp")
    rare_status = "archived_by_vendor"
    """A status that the vendor does not document; every 50th row has it."""

    def __init__(self, prefix: str, seed: int, organization_id: str, count: int, now: float) -> None:
        super().__init__(prefix, seed, organization_id, now)
        span = _HISTORY_DAYS * DAY
        start, step = now - span, span / max(count, 1)
        for index in range(count):
            # Created in the order of the index, so that the default order needs no sort.
            created = float(int(start + (index + self._rng.random()) * step))
            age = now - created
            share = self._rng.random()
            updated = created if share < 0.3 else created + float(int(age * (share - 0.3) / 0.7))
            if index % 19 == 4:
                updated = min(updated + 0.125, now)
            self._append(created, updated)

    def add(self, moment: float) -> int:
        """Generate a row, created at `moment`; returns its index."""
        self._append(moment, moment)
        return len(self) - 1

    def _append(self, created: float, updated: float) -> None:
        index = len(self.created)
        self.created.append(created)
        self.updated.append(updated)
        self.vendor.append(self._pick_vendor(index))
        self.status.append(self._pick_status(index))

    def _pick_vendor(self, index: int) -> int:
        if index % 50 == 29:
            return 2
        return 0 if self._rng.random() < 0.6 else 1

    def _pick_status(self, index: int) -> int:
        if index % 50 == 17:
            return len(self.statuses)
        # The first statuses are the most frequent.
        return int(len(self.statuses) * self._rng.random() ** 2)

    def status_at(self, index: int) -> str:
        """Status of a row."""
        code = self.status[index]
        return self.statuses[code] if code < len(self.statuses) else self.rare_status

    def timestamp_style(self, index: int) -> int:
        """The style of the row's timestamps, see `format_timestamp`."""
        return 1 + index // 33 % 3 if index % 33 == 5 else 0
