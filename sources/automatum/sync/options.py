"""The options of a sync, for the command line, schedulers and scripts alike."""

# The calls in the defaults make fields.
# ruff: noqa: RUF009

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.defaults import LOCK_WAIT, option
from ..core.errors import ConfigurationError
from ..endpoints import Endpoint

if TYPE_CHECKING:
    from ..warehouse.target import Target

LEAST_REQUESTS = 3
"""Requests with which each run makes progress: the last page of the run before, and a missing row beside a listed one.
"""
_DAY: dict[str, Any] = {"formats": ["%Y-%m-%d"], "metavar": "DAY"}


def _marketplace() -> Target:
    from ..warehouse.target import Target  # dlt, which the help of the command needs not.

    return Target()


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncOptions:
    """What a sync reads, where it loads to, and how long it may take.

    Attributes:
        tables: Tables or groups, such as `customers` or `analytics`. Empty for the configured tables, or else for all
            that the scopes of the OAuth application allow.
        organizations: Names of configured organizations. Empty for all of them.
        target: Destination, dataset and DuckDB file.
        pipelines_dir: Working folder of dlt. None for dlt's default.
        pipeline_name: Name of the dlt pipeline. None for a name of its own for each destination, dataset and
            organization, such as `automatum_marketplace_1f3a9c2e`. Runs with different names can load into one dataset
            at the same time if they load different tables or organizations.
        since: First day of the reports. None to go on where the last sync ended.
        until: Last day of the reports; only with `since`. None for today. A sync with `since` is a backfill.
        allow_deletes: Mark rows deleted even if a large share of a table is gone from the API.
        max_requests: API requests of each organization after which the sync ends cleanly, at least 3. None for any
            number.
        max_minutes: Minutes after which the sync ends cleanly. None for any time.
        max_wait: Seconds that the sync waits for the rate limit before it ends cleanly. None for as long as it takes.
        lock_wait: Seconds to wait for another run, or for a program that has the DuckDB file open.
        read_copy: DuckDB file that is replaced by a copy of the database after the sync.

    Raises:
        ConfigurationError: There is no day from `since` to `until`, it begins before `EARLIEST`, or `max_requests` are
            too few for any run to get further than the one before.
    """

    tables: tuple[str, ...] = ()
    organizations: tuple[str, ...] = option(
        (), "A configured organization. Repeatable.", list[str], "--organization", metavar="NAME"
    )
    target: Target = field(default_factory=_marketplace)
    pipelines_dir: str | None = None
    pipeline_name: str | None = None
    since: date | None = option(None, "First day of the reports (a backfill).", datetime | None, **_DAY)
    until: date | None = option(None, "Last day of the reports.", datetime | None, **_DAY)
    allow_deletes: bool = option(
        False, "Mark rows deleted although a large share is missing from the API.", bool, "--allow-deletes"
    )
    max_requests: int | None = option(
        None, "End cleanly after this many requests of an organization.", int | None, min=LEAST_REQUESTS, metavar="N"
    )
    max_minutes: float | None = option(
        None, "End cleanly after this many minutes.", float | None, min=0.0, metavar="MINUTES"
    )
    max_wait: float | None = None
    lock_wait: float = LOCK_WAIT
    read_copy: Path | None = option(
        None, "Replace this file by a copy of the DuckDB file, for readers.", Path | None, metavar="FILE"
    )

    def __post_init__(self) -> None:
        from ..config.settings import EARLIEST  # dlt, too.

        if self.max_requests is not None and self.max_requests < LEAST_REQUESTS:
            raise ConfigurationError(
                "--max-requests",
                f"{self.max_requests} is too low: a run reads the last page of the run before again.",
                f"Allow at least {LEAST_REQUESTS}.",
            )
        if self.until and not self.since:
            raise ConfigurationError("--until", "needs a first day.", "Give --since as well.")
        if self.since and self.until and self.until < self.since:
            raise ConfigurationError("--until", f"{self.until} is before {self.since}.")
        if self.since and self.since < EARLIEST:
            raise ConfigurationError("--since", f"{self.since} is before {EARLIEST}: no report goes back so far.")

    def check_days(self, today: date) -> None:
        """Refuse days of which none has come yet.

        Args:
            today: The present day (UTC).

        Raises:
            ConfigurationError: The first day is in the future.
        """
        if self.since and self.since > today:
            raise ConfigurationError("--since", f"{self.since} is after today, {today}.", "Name a day in the past.")

    @property
    def days(self) -> str:
        """What names the chosen days; empty for none. Only a sync of the same days can be resumed."""
        given = {"since": self.since, "until": self.until}
        return json.dumps({name: str(day) for name, day in given.items() if day}) if self.since else ""

    def part_of(self, endpoint: Endpoint) -> str:
        """What names the part of a table that is read; empty for the whole table.

        Args:
            endpoint: Endpoint of the table.
        """
        return self.days if endpoint.kind == "report" else ""
