"""What the last syncs did, asked of the destination alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from dlt.common.pipeline import SupportsPipeline

from ..api.request_stats import LATENCY_COLUMNS, STATS_COLUMNS
from ..config.settings import AutomatumSettings
from ..core.budget import Budget
from ..core.clock import Clock, utc
from ..core.errors import AutomatumError
from ..endpoints import ORGANIZATION
from ..schema.columns import EXTRA
from ..sync.facts import MOST_SWEEPS, PastSweep, SweepFacts, last_verdict
from ..sync.secret_age import first_use, latest_use, mark_of, too_old
from ..warehouse.dataset import has_organizations
from ..warehouse.owners import read_owners
from ..warehouse.sql import (
    PAGES_TABLE,
    REJECTED_TABLE,
    SWEEPS_TABLE,
    as_utc,
    json_object,
    organization_filter,
    read_column_names,
    read_latest,
    stream_columns,
)
from ..warehouse.target import Target

_COLUMNS = (
    "sweep_id", "finished_at", "verdict", "reason", "requests", "pages", "announced", "distinct_keys",
    "inserted", "updated", "deleted", "unchanged", EXTRA,
)  # fmt: skip
RECENT = 20
"""Sweeps of a table over which errors and durations are reported."""


def status(pipeline: SupportsPipeline, now: float) -> dict[str, Any]:
    """The last sweep of each table, its verdict, age and cost; and sweeps that are under way; by organization, if any.

    `recent` of a table: what the API answered in its latest sweeps, errors and durations, by the columns of
    `_automatum_sweeps`; None if an earlier version has loaded them. `secret`: since when the client secret is in use.

    Args:
        pipeline: The pipeline whose destination is asked.
        now: Epoch seconds.

    Raises:
        DestinationError: The destination cannot be reached or read.
    """
    if has_organizations(pipeline):
        names = {one.owner: one.name for one in reversed(read_owners(pipeline, True))}
        owners = sorted({owner for (owner,) in stream_columns(pipeline, SWEEPS_TABLE, (ORGANIZATION,))})
        every = {names.get(owner, owner): _status(pipeline, now, owner) for owner in owners}
        return {"organizations": dict(sorted(every.items()))}
    return _status(pipeline, now, None)


def secret_in_use(target: Target, settings: AutomatumSettings, clock: Clock) -> dict[str, Any] | None:
    """Since when the client secret of these settings is in use, as far as a destination knows; as `secret` in `status`.

    Args:
        target: The destination. It is no error if it cannot be read.
        settings: Resolved settings.
        clock: Time.
    """
    if target.missing:
        return None
    with suppress(AutomatumError):
        figures = status(target.existing(clock, Budget(clock), 0.0), clock.time())
        own = figures["organizations"].get(settings.organization, {}) if "organizations" in figures else figures
        secret: dict[str, Any] | None = own.get("secret")
        return secret if secret and secret["mark"] == mark_of(settings) else None
    return None


def _status(pipeline: SupportsPipeline, now: float, organization_id: str | None) -> dict[str, Any]:
    present = utc(now)
    tables, sweeps = _last_sweeps(pipeline, present, organization_id)
    columns = ("table_name", "resolved_at")
    rejections = stream_columns(pipeline, REJECTED_TABLE, columns, organization_id=organization_id)
    rejected = Counter(table for table, resolved_at in rejections if resolved_at is None)
    # Not where an earlier version has loaded them.
    counted = set(STATS_COLUMNS) <= read_column_names(pipeline, SWEEPS_TABLE)
    for table, figures in tables.items():
        figures["rejected"] = rejected[table]
        figures["recent"] = _recent_requests(pipeline, table, organization_id) if counted else None
    return {
        "tables": tables,
        "under_way": _sweeps_under_way(pipeline, sweeps, organization_id),
        "secret": _secret(sweeps, present),
    }


def _last_sweeps(
    pipeline: SupportsPipeline, present: datetime, organization_id: str | None
) -> tuple[dict[str, Any], dict[str, list[PastSweep]]]:
    """The figures of the last sweep of each table, and the latest sweeps of each."""
    tables: dict[str, Any] = {}
    sweeps: dict[str, list[PastSweep]] = {}
    own = organization_filter(organization_id)
    swept = {name for (name,) in stream_columns(pipeline, SWEEPS_TABLE, ("table_name",), organization_id)}
    for table in sorted(swept):
        by = {"table_name": table, **own}
        for row in read_latest(pipeline, SWEEPS_TABLE, _COLUMNS, by, "finished_at", MOST_SWEEPS):
            facts = dict(zip(_COLUMNS, row, strict=True))
            finished = as_utc(facts.pop("finished_at"))
            left = SweepFacts.from_json(json_object(facts.pop(EXTRA)))
            sweeps.setdefault(table, []).append(PastSweep(facts.pop("sweep_id"), finished, facts["verdict"], left))
            if table not in tables:
                age = round((present - finished).total_seconds())
                tables[table] = {**facts, "reason": facts["reason"] or "", "finished_at": finished, "age_seconds": age}
    return tables, sweeps


def _sweeps_under_way(
    pipeline: SupportsPipeline, sweeps: Mapping[str, Sequence[PastSweep]], organization_id: str | None
) -> dict[str, Any]:
    """Sweeps whose pages were read after the last verdict of their table."""
    under_way: dict[str, Any] = {}
    columns = ("table_name", "page", "total", "read_at", EXTRA)
    for row in stream_columns(pipeline, PAGES_TABLE, columns, organization_id):
        table, page, total, read_at, extra = row
        over = last_verdict(sweeps.get(table, ()), SweepFacts.from_json(json_object(extra)).part)
        if over and as_utc(read_at) < over:
            continue
        so_far = under_way.setdefault(table, {"pages": 0, "announced": total, "last_read_at": as_utc(read_at)})
        so_far["pages"] = max(so_far["pages"], page)
        so_far["last_read_at"] = max(so_far["last_read_at"], as_utc(read_at))
    return under_way


def _secret(sweeps: Mapping[str, Sequence[PastSweep]], present: datetime) -> dict[str, Any] | None:
    """Since when the client secret is in use; None if no sweep says."""
    used = latest_use([one for past in sweeps.values() for one in past])
    since = first_use(used)
    if since is None:
        return None
    return {
        "mark": (used or {}).get("mark"),
        "in_use_since": since,
        "age_days": (present - since).days,
        "advice": too_old(since, present),
    }


def _recent_requests(pipeline: SupportsPipeline, table: str, organization_id: str | None) -> dict[str, int | None]:
    """Sums of what the API answered in the latest sweeps of a table, and its slowest answers in milliseconds."""
    columns = ("requests", *STATS_COLUMNS)
    by = {"table_name": table, **organization_filter(organization_id)}
    rows = read_latest(pipeline, SWEEPS_TABLE, columns, by, "finished_at", RECENT)
    figures: dict[str, int | None] = {"sweeps": len(rows)}
    for name, values in zip(columns, zip(*rows, strict=True), strict=True):
        known = [value for value in values if value is not None]
        figures[name] = max(known, default=None) if name in LATENCY_COLUMNS else sum(known)
    return figures
