"""Which rows a run is after, and what it may do about those that are missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timezone
from typing import Any

import pendulum

from ..config.settings import AutomatumSettings
from ..core.errors import ConfigurationError
from ..endpoints import Endpoint
from ..schema.arrow_tables import Record, Table

BACKFILL_DAYS = 90
"""Days that one request of a backfill spans, so that no answer grows beyond what a server likes to send."""


@dataclass(frozen=True)
class Selection:
    """Bounds and filters of a run.

    Attributes:
        filters: Filter to value, sent to the API where the list has that filter, and checked again on this side: the
            API may ignore it.
        updated_from: Only rows changed at or after this moment.
        updated_before: Only rows changed before this moment.
        since: First day of the reports; None for where the last sync ended.
        until: Last day of the reports; None for today.
        window_days: Days that one request for a report spans; None for the configured number.
        allow_deletes: A large share of the rows may be deleted.
    """

    filters: Mapping[str, str] = field(default_factory=dict)
    updated_from: datetime | None = None
    updated_before: datetime | None = None
    since: date | None = None
    until: date | None = None
    window_days: int | None = None
    allow_deletes: bool = False

    def of(self, endpoint: Endpoint) -> Selection:
        """What of it concerns an endpoint."""
        return replace(self, filters={name: self.filters[name] for name in endpoint.filters if name in self.filters})

    @property
    def everything(self) -> bool:
        """Whether all rows are wanted. Only then may a missing row be taken for gone."""
        return not self.filters and self.updated_from is None and self.updated_before is None

    def wanted(self, table: Table) -> Callable[[Record], bool] | None:
        """Tells whether a record is wanted; None if all are."""
        if self.everything:
            return None
        filters = list(self.filters.items())

        def is_wanted(record: Record) -> bool:
            if any(record.get(name) not in (None, value) for name, value in filters):
                return False
            if self.updated_from is None and self.updated_before is None:
                return True
            (moment,) = table.updated_at([record])
            # A row that does not say when it changed may have changed within the bounds.
            return moment is None or (
                (self.updated_from is None or moment >= self.updated_from)
                and (self.updated_before is None or moment < self.updated_before)
            )

        return is_wanted

    @property
    def ranged(self) -> bool:
        """Whether it is for the user to say which days of the reports are read."""
        return self.since is not None or self.until is not None

    def backfill(self, since: date | None, allow_deletes: bool, until: date | None = None) -> Selection:
        """The same, with reports of some days in windows of a quarter, and with or without large deletions.

        Raises:
            ConfigurationError: The days end before they begin.
        """
        if since and until and until < since:
            raise ConfigurationError("--until", f"{until} is before {since}.")
        days = BACKFILL_DAYS if since or until else self.window_days
        return replace(self, since=since, until=until, window_days=days, allow_deletes=allow_deletes)

    def within(self, incremental: Any) -> Selection:
        """Bounded by a `dlt.sources.incremental` over `updated_at`: from `initial_value` on, before `end_value`.

        Raises:
            ConfigurationError: It runs over another column, or a bound is not a moment.
        """
        if incremental is None:
            return self
        if incremental.cursor_path != "updated_at":
            raise ConfigurationError(
                "updated_at", f"an incremental over {incremental.cursor_path!r}.", "Lists are bounded by updated_at."
            )
        return replace(
            self,
            updated_from=_moment("initial_value", incremental.initial_value),
            updated_before=_moment("end_value", incremental.end_value),
        )


def _moment(name: str, value: Any) -> datetime | None:
    if value is None:
        return None
    parsed: Any = value
    try:
        if isinstance(value, str):
            parsed = pendulum.parse(value, tz="UTC")
        elif isinstance(value, date) and not isinstance(value, datetime):
            parsed = datetime(value.year, value.month, value.day, tzinfo=timezone.utc)
    except ValueError:
        parsed = None
    if not isinstance(parsed, datetime):
        raise ConfigurationError(f"updated_at.{name}", f"{value!r} is not a moment.", "Give a datetime or ISO text.")
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)


def select_rows(settings: AutomatumSettings) -> Selection:
    """The filters that the settings name."""
    filters = {"vendor": settings.vendor, "status": settings.status}
    return Selection({name: value for name, value in filters.items() if value})
