"""Which rows a sync reads, and whether it may delete many."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timezone
from typing import Any

import pendulum

from ..config.settings import AutomatumSettings
from ..core.errors import ConfigurationError
from ..endpoints import Endpoint
from ..schema.arrow_tables import Table
from ..schema.records import Record, pick

_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}([Tt ][\d:.,]+ ?([Zz]|[+-][\d:]+)?)?")
BACKFILL_DAYS = 90
"""Days that one request of a backfill spans. A quarter keeps the response small enough for a server."""


@dataclass(frozen=True)
class Selection:
    """Filters and bounds of a sync.

    Attributes:
        filters: Filter to value. Sent to the API if the list has the filter, and checked again on each record, because
            the API may ignore it.
        updated_from: Only rows changed at or after this time.
        updated_before: Only rows changed before this time.
        since: First day of the reports. None to go on where the last sync ended.
        until: Last day of the reports. None for today.
        window_days: Days that one request for a report spans. None for the configured number.
        allow_deletes: Whether a large share of the rows may be deleted.
    """

    filters: Mapping[str, str] = field(default_factory=dict)
    updated_from: datetime | None = None
    updated_before: datetime | None = None
    since: date | None = None
    until: date | None = None
    window_days: int | None = None
    allow_deletes: bool = False

    def of(self, endpoint: Endpoint) -> Selection:
        """The selection with only the filters that apply: those by a column of a list, whatever the API can filter."""
        columns = {column.name for column in endpoint.columns} if endpoint.kind == "list" else set()
        return replace(self, filters={name: value for name, value in self.filters.items() if name in columns})

    def part_of(self, endpoint: Endpoint) -> str:
        """What names the part of a table that is read; empty for the whole table. Only the same part can be resumed.

        Args:
            endpoint: Endpoint of the table.
        """
        if endpoint.kind == "report":
            return _name_of({"since": self.since, "until": self.until})
        updated = {"from": self.updated_from, "before": self.updated_before}
        return _name_of({**self.of(endpoint).filters, **updated})

    @property
    def name(self) -> str:
        """What names the selection as a whole; empty for everything."""
        updated = {"from": self.updated_from, "before": self.updated_before}
        return _name_of({**self.filters, **updated, "since": self.since, "until": self.until})

    @property
    def bounds(self) -> str:
        """The bounds of `updated_at`, in words; empty if there are none."""
        found = (("from", self.updated_from), ("before", self.updated_before))
        words = [f"{name} {moment.isoformat()}" for name, moment in found if moment]
        return f"rows with updated_at {' and '.join(words)}" if words else ""

    @property
    def everything(self) -> bool:
        """Whether all rows are selected. Only then does a missing row count as deleted."""
        return not self.filters and self.updated_from is None and self.updated_before is None

    def wanted(self, table: Table) -> Callable[[Record], bool] | None:
        """A predicate that tells whether a record is selected. None if all records are."""
        if self.everything:
            return None
        filters = [(table.column(name), value) for name, value in self.filters.items()]

        def is_wanted(record: Record) -> bool:
            for column, value in filters:
                found = pick([record], column)[0][0]
                # APIs compare filters with or without regard to case. What they list for one has it.
                if found is not None and str(found).casefold() != value.casefold():
                    return False
            if self.updated_from is None and self.updated_before is None:
                return True
            (moment,) = table.updated_at([record])
            # A record without updated_at may have changed within the bounds.
            return moment is None or (
                (self.updated_from is None or moment >= self.updated_from)
                and (self.updated_before is None or moment < self.updated_before)
            )

        return is_wanted

    @property
    def ranged(self) -> bool:
        """Whether the user has chosen the days of the reports."""
        return self.since is not None or self.until is not None

    def backfill(self, since: date | None, allow_deletes: bool, until: date | None = None) -> Selection:
        """The selection with the days of a backfill, and with or without large deletions.

        Raises:
            ConfigurationError: `until` is before `since`.
        """
        if since and until and until < since:
            raise ConfigurationError("--until", f"{until} is before {since}.")
        days = BACKFILL_DAYS if since or until else self.window_days
        return replace(self, since=since, until=until, window_days=days, allow_deletes=allow_deletes)

    def with_incremental(self, incremental: Any) -> Selection:
        """The selection within the bounds of a `dlt.sources.incremental` over `updated_at`.

        Rows from `initial_value` on and before `end_value` are selected.

        Raises:
            ConfigurationError: The incremental has another cursor column, or a bound is not a date or time.
        """
        if incremental is None:
            return self
        if incremental.cursor_path != "updated_at":
            raise ConfigurationError(
                "updated_at",
                f"the incremental has the cursor {incremental.cursor_path!r}.",
                "Use dlt.sources.incremental('updated_at').",
            )
        return replace(
            self,
            updated_from=_parse_bound("initial_value", incremental.initial_value),
            updated_before=_parse_bound("end_value", incremental.end_value),
        )


def _name_of(bounds: Mapping[str, Any]) -> str:
    given = {name: str(value) for name, value in sorted(bounds.items()) if value}
    return json.dumps(given) if given else ""


def _parse_bound(name: str, value: Any) -> datetime | None:
    if value is None:
        return None
    parsed: Any = value
    try:
        if isinstance(value, str):
            # pendulum also reads "now" and intervals, and takes "12:30" for a moment of today.
            parsed = pendulum.parse(value, tz="UTC") if _MOMENT.fullmatch(value) else None
        elif isinstance(value, date) and not isinstance(value, datetime):
            parsed = datetime(value.year, value.month, value.day, tzinfo=timezone.utc)
    except ValueError:
        parsed = None
    if not isinstance(parsed, datetime):
        raise ConfigurationError(
            f"updated_at.{name}",
            f"{value!r} is not a date or time.",
            "Pass a datetime, or ISO 8601 text such as 2026-01-31 or 2026-01-31T12:30:00Z.",
        )
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)


def select_rows(settings: AutomatumSettings) -> Selection:
    """The selection with the filters in the settings."""
    filters = {"vendor": settings.vendor, "status": settings.status}
    return Selection({name: value for name, value in filters.items() if value})
