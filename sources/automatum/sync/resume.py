"""One sync over all its tables, however many runs it takes.

A budget, a full hour or a kill may end a run after some of its tables. The next run goes on with the others and does
not begin with the first again: a list that alone takes the whole hour would starve those behind it for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from dlt.common.pipeline import SupportsPipeline

from ..core.errors import DestinationError
from ..warehouse.sql import PAGES_TABLE, SWEEPS_TABLE, as_utc, json_object, read_sync_records
from .prior_state import FAILED

GO_ON_WITHIN = timedelta(hours=24)
"""Time since its last sign of life after which an interrupted sync is not gone on with: too much has moved since."""
JUST_NOW = timedelta(minutes=30)
"""Age up to which what an interrupted run had read need not be read again once it is loaded."""
SESSION = "session"


@dataclass(frozen=True)
class FinishedTable:
    """A table that an earlier run of the same sync has finished.

    Attributes:
        verdict: What it came to.
        reason: Why.
        finished_at: When.
        announced: Rows that the API announced.
        distinct: Distinct keys seen.
    """

    verdict: str
    reason: str
    finished_at: datetime
    announced: int | None
    distinct: int


@dataclass(frozen=True)
class SyncSession:
    """A sync.

    Attributes:
        id: Its id.
        tables: The tables that it is to bring up to date.
        settled: Those that earlier runs have finished.
    """

    id: str
    tables: tuple[str, ...]
    settled: dict[str, FinishedTable] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """What the records of its sweeps say of it."""
        return {SESSION: {"id": self.id, "tables": list(self.tables)}}


def take_up(
    pipeline: SupportsPipeline,
    tables: Sequence[str],
    now: datetime,
    left_behind: bool = False,
    organization_id: str | None = None,
) -> SyncSession:
    """The sync that was interrupted, if there is one over the same tables; or else a new one.

    Args:
        pipeline: The pipeline whose destination is asked.
        tables: Tables of this run.
        now: The present.
        left_behind: The present run has just loaded what the interrupted one had read.
        organization_id: Whose sync, where the dataset holds several organizations.
    """
    new = SyncSession(uuid4().hex, tuple(sorted(tables)))
    try:
        most = len(tables) * 4
        sweeps = read_sync_records(pipeline, SWEEPS_TABLE, _SWEEP_COLUMNS, "finished_at", most, organization_id)
        pages = read_sync_records(pipeline, PAGES_TABLE, ("read_at", "extra"), "read_at", 1, organization_id)
    except DestinationError:
        return new
    signs = [(as_utc(row[1]), json_object(row[2]).get(SESSION)) for row in sweeps[:1]]
    signs += [(as_utc(read_at), json_object(extra).get(SESSION)) for read_at, extra in pages]
    alive = [(at, one) for at, one in signs if one and now - at < GO_ON_WITHIN and one["tables"] == list(new.tables)]
    if not alive:
        return new
    latest = max(alive, key=lambda sign: sign[0])[1]
    done = {
        table: FinishedTable(verdict, reason or "", as_utc(finished_at), announced, distinct or 0)
        for table, finished_at, extra, verdict, reason, announced, distinct in reversed(sweeps)
        if json_object(extra).get(SESSION, {}).get("id") == latest["id"]
    }
    # A sync that was killed while its last package was loading is finished by loading that, unless this is long ago.
    just_finished = left_behind and now - max(at for at, _ in alive) < JUST_NOW
    if set(done) >= set(new.tables) and not just_finished:
        return new
    # What failed has had its turn, so that it cannot keep the sync open; but while that is open, it gets another.
    return SyncSession(latest["id"], new.tables, {table: one for table, one in done.items() if one.verdict != FAILED})


_SWEEP_COLUMNS = ("table_name", "finished_at", "extra", "verdict", "reason", "announced", "distinct_keys")
