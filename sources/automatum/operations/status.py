"""What the last syncs did, asked of the destination alone; and what this machine learned about the rate limits."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any

from dlt.common.pipeline import SupportsPipeline

from ..api.rate_limit import learned_limits
from ..config.organizations import organization_names
from ..config.settings import resolve_settings
from ..core.clock import Clock, utc
from ..core.errors import ConfigurationError, QuotaUnreachable
from ..endpoints import ORGANIZATION
from ..schema.columns import EXTRA
from ..sync.facts import SweepFacts
from ..sync.prior_state import MOST_SWEEPS, PastSweep, last_verdict
from ..warehouse.dataset import has_organizations
from ..warehouse.sql import (
    PAGES_TABLE,
    REJECTED_TABLE,
    SWEEPS_TABLE,
    as_utc,
    json_object,
    organization_filter,
    read_columns,
    read_latest,
)

_COLUMNS = (
    "sweep_id", "table_name", "finished_at", "verdict", "reason", "requests", "pages", "announced", "distinct_keys",
    "inserted", "updated", "deleted", "unchanged", EXTRA,
)  # fmt: skip


def status(pipeline: SupportsPipeline, now: float) -> dict[str, Any]:
    """The last sweep of each table, its verdict, age and cost; and sweeps that are under way; by organization, if any.

    Args:
        pipeline: The pipeline whose destination is asked.
        now: Epoch seconds.

    Raises:
        DestinationError: The destination cannot be reached or read.
    """
    if has_organizations(pipeline):
        names = dict.fromkeys(name for (name,) in read_columns(pipeline, SWEEPS_TABLE, (ORGANIZATION,)))
        return {"organizations": {name: _status(pipeline, now, name) for name in sorted(names)}}
    return _status(pipeline, now, None)


def limits_learned(clock: Clock) -> list[dict[str, Any]]:
    """What earlier runs on this machine learned about the API's rate limits (see `api.rate_limit.learned`).

    It is found by the client id, so it is empty if that is in a vault, which is not asked. Each row has `organization`:
    its name, or null if only one is configured.
    """
    rows: list[dict[str, Any]] = []
    with suppress(ConfigurationError):
        for name in organization_names() or (None,):
            # What cannot be found is no error: status answers from the destination.
            with suppress(ConfigurationError, QuotaUnreachable):
                if resolve_settings(with_credentials=False, organization=name).secrets_from is None:
                    settings = resolve_settings(organization=name)
                    rows += [{"organization": name, **row} for row in learned_limits(settings, clock)]
    return rows


def _status(pipeline: SupportsPipeline, now: float, organization_id: str | None) -> dict[str, Any]:
    present = utc(now)
    tables: dict[str, Any] = {}
    sweeps: dict[str, list[PastSweep]] = {}
    own = organization_filter(organization_id)
    swept = {name for (name,) in read_columns(pipeline, SWEEPS_TABLE, ("table_name",), organization_id=organization_id)}
    latest = (
        row
        for table in sorted(swept)
        for row in read_latest(
            pipeline, SWEEPS_TABLE, _COLUMNS, {"table_name": table, **own}, "finished_at", MOST_SWEEPS
        )
    )
    for row in latest:
        facts = dict(zip(_COLUMNS, row, strict=True))
        table, finished = facts.pop("table_name"), as_utc(facts.pop("finished_at"))
        left = SweepFacts.from_json(json_object(facts.pop(EXTRA)))
        sweeps.setdefault(table, []).append(PastSweep(facts.pop("sweep_id"), finished, facts["verdict"], left))
        if table not in tables:
            age = round((present - finished).total_seconds())
            tables[table] = {**facts, "reason": facts["reason"] or "", "finished_at": finished, "age_seconds": age}
    rejections = read_columns(pipeline, REJECTED_TABLE, ("table_name", "resolved_at"), organization_id=organization_id)
    rejected = Counter(name for name, resolved_at in rejections if resolved_at is None)
    for name, one in tables.items():
        one["rejected"] = rejected[name]
    under_way: dict[str, Any] = {}
    columns = ("table_name", "page", "total", "read_at", EXTRA)
    for row in read_columns(pipeline, PAGES_TABLE, columns, organization_id=organization_id):
        table, page, total, read_at, extra = row
        over = last_verdict(sweeps.get(table, ()), SweepFacts.from_json(json_object(extra)).part)
        if over and as_utc(read_at) < over:
            continue
        so_far = under_way.setdefault(table, {"pages": 0, "announced": total, "last_read_at": as_utc(read_at)})
        so_far["pages"] = max(so_far["pages"], page)
        so_far["last_read_at"] = max(so_far["last_read_at"], as_utc(read_at))
    return {"tables": tables, "under_way": under_way}
