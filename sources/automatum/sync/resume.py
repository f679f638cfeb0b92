"""One sync over all its tables, in as many runs as it takes.

A budget, a full quota window or a kill may end a run before all tables are read. The next run goes on with the others
and does not read the finished tables again: a list that takes the whole hour would starve the tables behind it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from dlt.common.pipeline import SupportsPipeline

from ..core.errors import DestinationError
from ..warehouse.sql import (
    PAGES_TABLE,
    SWEEPS_TABLE,
    as_utc,
    complete_load_ids,
    json_object,
    organization_filter,
    read_loaded,
)
from .facts import SweepFacts
from .prior_state import CLOCK_SKEW
from .results import TableResult, Verdict

GO_ON_WITHIN = timedelta(minutes=70)
"""Age of its last record up to which an interrupted sync is resumed: an hour of waiting, and ten minutes.
A verdict speaks of now: the tables that an older run has finished are read again."""


@dataclass(frozen=True)
class SyncSession:
    """A sync.

    Attributes:
        id: Its id.
        tables: The tables that it reads.
        selection: What names the days that it reads (`SyncOptions.days`); empty for all.
        finished: The results of the tables that earlier runs have finished.
    """

    id: str
    tables: tuple[str, ...]
    selection: str = ""
    finished: dict[str, TableResult] = field(default_factory=dict)

    @property
    def facts(self) -> SweepFacts:
        """What the records of its sweeps say about it."""
        return SweepFacts(session={"id": self.id, "tables": list(self.tables), "selection": self.selection})

    def same_rows(self, stored: dict[str, Any]) -> bool:
        """Whether the session of a stored record reads the same rows of the same tables."""
        return stored.get("tables") == list(self.tables) and stored.get("selection", "") == self.selection


def resume_session(
    pipeline: SupportsPipeline,
    tables: Sequence[str],
    now: datetime,
    organization_id: str | None = None,
    selection: str = "",
    loaded: Collection[str] | None = None,
) -> SyncSession:
    """The interrupted sync over the same rows of the same tables, if there is one; else a new one.

    Args:
        pipeline: The pipeline whose destination is asked.
        tables: Tables of this run.
        now: The present.
        organization_id: Whose sync, where the dataset holds several organizations.
        selection: What names the days of this run; empty for all.
        loaded: See `complete_load_ids`; None to read it.
    """
    new = SyncSession(uuid4().hex, tuple(sorted(tables)), selection)
    try:
        most, present = len(tables) * 4, now + CLOCK_SKEW
        loaded = complete_load_ids(pipeline) if loaded is None else loaded
        where = organization_filter(organization_id)
        sweeps = read_loaded(pipeline, SWEEPS_TABLE, _SWEEP_COLUMNS, where, "finished_at", most, present, loaded)
        pages = read_loaded(pipeline, PAGES_TABLE, ("read_at", "extra"), where, "read_at", 1, present, loaded)
    except DestinationError:
        return new
    signs = [(as_utc(row[1]), _session_of(row[2])) for row in sweeps[:1]]
    signs += [(as_utc(read_at), _session_of(extra)) for read_at, extra in pages]
    recent = [(at, one) for at, one in signs if one and now - at < GO_ON_WITHIN and new.same_rows(one)]
    if not recent:
        return new
    latest = max(recent, key=lambda sign: sign[0])[1]
    own = [row for row in reversed(sweeps) if _session_of(row[2]).get("id") == latest["id"]]
    if {row[0] for row in own} >= set(new.tables):
        return new
    # A failed table does not keep the sync open. While another table does, the failed table is read again.
    verdicts = {row[0]: row[3] for row in own}
    finished = {row[0]: _finished(*row[1:]) for row in own if verdicts[row[0]] != Verdict.FAILED}
    return replace(new, id=latest["id"], finished=finished)


def _finished(
    at: Any, extra: Any, verdict: str, reason: str | None, announced: int | None, distinct: int | None
) -> TableResult:
    read_by = SweepFacts.from_json(json_object(extra)).settings
    result = TableResult(announced=announced, distinct=distinct or 0, finished_earlier=True, read_by=read_by)
    if verdict == Verdict.SKIPPED:
        result.skipped = reason or ""
    else:
        result.verdict = Verdict.COMPLETE if verdict == Verdict.COMPLETE else Verdict.INCOMPLETE
        result.reason = f"read earlier in this sync, at {as_utc(at).isoformat(timespec='seconds')}"
        result.reason += f": {reason}" if reason else ""
    return result


def _session_of(extra: Any) -> dict[str, Any]:
    return json_object(extra).get("session") or {}


_SWEEP_COLUMNS = ("table_name", "finished_at", "extra", "verdict", "reason", "announced", "distinct_keys")
