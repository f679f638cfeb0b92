"""Show the last syncs from the records in the destination; sends no request."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dlt.common.pipeline import SupportsPipeline

from ..core.clock import utc
from ..endpoints import ORGANIZATION
from ..schema.arrow_tables import EXTRA
from ..sync.prior_state import last_verdict
from ..warehouse.dataset import has_organizations
from ..warehouse.sql import PAGES_TABLE, SWEEPS_TABLE, as_utc, json_object, read_columns

_COLUMNS = (
    "table_name", "finished_at", "verdict", "reason", "requests", "pages", "announced", "distinct_keys",
    "inserted", "updated", "deleted", "unchanged", EXTRA,
)  # fmt: skip


def status(pipeline: SupportsPipeline, now: float) -> dict[str, Any]:
    """The last sweep of each table with verdict, age and cost, and the unfinished sweeps.

    They are by organization if the dataset holds several.

    Args:
        pipeline: The pipeline whose destination is queried.
        now: Epoch seconds.

    Raises:
        DestinationError: The destination cannot be reached or read.
    """
    if has_organizations(pipeline):
        names = dict.fromkeys(name for (name,) in read_columns(pipeline, SWEEPS_TABLE, (ORGANIZATION,)))
        return {"organizations": {name: _status(pipeline, now, name) for name in sorted(names)}}
    return _status(pipeline, now, None)


def _status(pipeline: SupportsPipeline, now: float, organization_id: str | None) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    verdicts: dict[str, list[tuple[datetime, str, dict[str, Any]]]] = {}
    for row in read_columns(pipeline, SWEEPS_TABLE, _COLUMNS, "finished_at", organization_id):
        facts = dict(zip(_COLUMNS, row, strict=True))
        table, finished = facts.pop("table_name"), as_utc(facts.pop("finished_at"))
        verdicts.setdefault(table, []).append((finished, facts["verdict"], json_object(facts.pop(EXTRA))))
        if table not in tables:
            age = round((utc(now) - finished).total_seconds())
            tables[table] = {**facts, "reason": facts["reason"] or "", "finished_at": finished, "age_seconds": age}
    under_way: dict[str, Any] = {}
    columns = ("table_name", "page", "total", "read_at")
    for table, page, total, read_at in read_columns(pipeline, PAGES_TABLE, columns, organization_id=organization_id):
        over = last_verdict(verdicts.get(table, ()))
        if over and as_utc(read_at) < over:
            continue
        progress = under_way.setdefault(table, {"pages": 0, "announced": total, "last_read_at": as_utc(read_at)})
        progress["pages"] = max(progress["pages"], page)
        progress["last_read_at"] = max(progress["last_read_at"], as_utc(read_at))
    return {"tables": tables, "under_way": under_way}
