"""What the last syncs did, asked of the destination alone."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from dlt.common.pipeline import SupportsPipeline

from .destination import PAGES_TABLE, SWEEPS_TABLE, moment, query

_COLUMNS = (
    "table_name", "finished_at", "verdict", "reason", "requests", "pages", "announced", "distinct_keys",
    "inserted", "updated", "deleted", "unchanged",
)  # fmt: skip


def status(pipeline: SupportsPipeline, now: float) -> dict[str, Any]:
    """The last sweep of each table, its verdict, age and cost; and sweeps that are under way.

    Args:
        pipeline: The pipeline whose destination is asked.
        now: Epoch seconds.

    Raises:
        DestinationError: The destination cannot be reached or read.
    """
    present = datetime.fromtimestamp(now, timezone.utc)
    tables: dict[str, Any] = {}
    for row in query(pipeline, SWEEPS_TABLE, _COLUMNS, order_by="finished_at"):
        facts = dict(zip(_COLUMNS, row, strict=True))
        table, finished = facts.pop("table_name"), moment(facts.pop("finished_at"))
        if table not in tables:
            age = round((present - finished).total_seconds())
            tables[table] = {**facts, "reason": facts["reason"] or "", "finished_at": finished, "age_seconds": age}
    under_way: dict[str, Any] = {}
    for table, page, total, read_at in query(pipeline, PAGES_TABLE, ("table_name", "page", "total", "read_at")):
        so_far = under_way.setdefault(table, {"pages": 0, "announced": total, "last_read_at": moment(read_at)})
        so_far["pages"] = max(so_far["pages"], page)
        so_far["last_read_at"] = max(so_far["last_read_at"], moment(read_at))
    return {"tables": tables, "under_way": under_way}
