"""Which days of the reports a sync reads, and whether it may delete many rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date

from ..core.errors import ConfigurationError
from ..endpoints import Endpoint


@dataclass(frozen=True)
class Selection:
    """Bounds of a sync.

    Attributes:
        since: First day of the reports. None to go on where the last sync ended.
        until: Last day of the reports. None for today.
        allow_deletes: Whether a large share of the rows may be deleted.

    Raises:
        ConfigurationError: `until` is before `since`.
    """

    since: date | None = None
    until: date | None = None
    allow_deletes: bool = False

    def __post_init__(self) -> None:
        if self.since and self.until and self.until < self.since:
            raise ConfigurationError("--until", f"{self.until} is before {self.since}.")

    @property
    def ranged(self) -> bool:
        """Whether the user has chosen the days of the reports."""
        return self.since is not None or self.until is not None

    @property
    def name(self) -> str:
        """What names the chosen days; empty for none. Only a sync of the same days can be resumed."""
        given = {"since": self.since, "until": self.until}
        return json.dumps({name: str(day) for name, day in given.items() if day}) if self.ranged else ""

    def part_of(self, endpoint: Endpoint) -> str:
        """What names the part of a table that is read; empty for the whole table.

        Args:
            endpoint: Endpoint of the table.
        """
        return self.name if endpoint.kind == "report" else ""
