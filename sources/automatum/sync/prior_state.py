"""What the destination has of a table, read once before it is swept."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

import orjson

from ..config.settings import AutomatumSettings
from ..core.errors import DestinationError
from ..core.text import plural
from ..endpoints import PAGE_SIZE, Endpoint
from ..schema.columns import (
    DELETED_AT,
    DLT_LOAD_ID,
    EXTRA,
    IS_DELETED,
    ROW_HASH,
    VALID_FROM,
    VERSION,
)
from ..schema.log_tables import PAGES_TABLE, REJECTED_TABLE, SWEEPS_TABLE
from ..warehouse.sql import (
    as_utc,
    complete_load_ids,
    json_object,
    organization_filter,
    read_last,
    read_loaded,
    read_rows,
)
from ..warehouse.sql_client import one_client
from .facts import MOST_SWEEPS, PastSweep, SweepFacts, last_verdict
from .rejections import Rejection, internal_id
from .results import DELETED, LOAD_AGAIN, KnownRows, PageRecord, Verdict

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

logger = logging.getLogger("automatum")

KEPT_FOR = timedelta(days=7)
"""Age of page records from which any sweep of their table deletes them."""
_LEEWAY = timedelta(minutes=10)
CLOCK_SKEW = timedelta(minutes=10)
"""How far ahead of this machine's clock a record may be. A later time comes from a clock that was wrong once."""


@dataclass
class Unfinished:
    """A sweep that was interrupted, as far as its pages were loaded.

    Attributes:
        id: Its id.
        started_at: When.
        pages: Its pages.
        state: What it knew after the last of them.
        requests: What it had cost by then.
        needed: What it costs as a whole, at least.
        settings: What it was read by (`SweepFacts.settings`).
    """

    id: str
    started_at: datetime
    pages: list[PageRecord]
    state: dict[str, Any]
    requests: int
    needed: int
    settings: str


@dataclass
class PriorState:
    """What the destination has of a table.

    Attributes:
        known: Keys and hashes.
        past: Sweeps that reached their verdict, the latest first.
        unfinished: The interrupted sweep that can be resumed, if there is one.
        left_pages: Ids of sweeps that have page records, of the same part of the table or too old to be resumed.
        unclosed: Key to the last version in the history, where that is live, and the row is marked deleted or not
            there. It was deleted while no history was kept, a kill kept the version out, or the table is replaced.
        rejected: Rejections that are not resolved, by id.
    """

    known: KnownRows
    past: list[PastSweep] = field(default_factory=list)
    unfinished: Unfinished | None = None
    left_pages: tuple[str, ...] = ()
    unclosed: dict[str, str] = field(default_factory=dict)
    rejected: dict[str, Rejection] = field(default_factory=dict)


def read_prior_state(
    pipeline: SupportsPipeline,
    endpoint: Endpoint,
    now: datetime,
    history: str | None = None,
    organization_id: str | None = None,
    part: str = "",
    loaded: Collection[str] | None = None,
    absent: frozenset[str] = frozenset(),
) -> PriorState:
    """Everything that a sweep has to know of the destination; read once.

    Args:
        pipeline: The pipeline that will load the table.
        endpoint: Whose table.
        now: The present. Sweeps and pages that are stamped later are ignored: a clock was ahead, and they would stay
            the latest for as long as it was.
        history: Name of its history table. Rows that have no open version there count as changed.
        organization_id: Whose rows, where the table holds those of several organizations.
        part: What names the part of the table that is swept; only a sweep of the same part can be resumed.
        loaded: See `complete_load_ids`; None to read it.
        absent: Names of tables that count as absent.

    Raises:
        DestinationError: The destination cannot be reached, or a table is not ours.
    """
    with one_client(pipeline):
        loaded = complete_load_ids(pipeline) if loaded is None else loaded
        own = organization_filter(organization_id)
        prior = PriorState(KnownRows() if endpoint.table in absent else _read_known(pipeline, endpoint, own))
        if any(child.table in absent for child in endpoint.children):
            _load_all_again(prior.known)
        elif endpoint.table not in absent and endpoint.children:
            _forget_half_loaded(pipeline, endpoint, prior.known, loaded, own)
            prior.known.children = _count_children(pipeline, endpoint, own)
        if history and history not in absent:
            _compare_with_versions(pipeline, endpoint, history, prior, own)
        elif history:
            _load_all_again(prior.known)
        of_table = {**own, "table_name": endpoint.table}
        if REJECTED_TABLE not in absent:
            prior.rejected = _read_rejected(pipeline, of_table)
        # What earlier sweeps knew of rows that go now says nothing about those that come.
        if not absent & {endpoint.table, SWEEPS_TABLE}:
            prior.past = _read_past(pipeline, of_table, loaded, now + CLOCK_SKEW)
        if not absent & {endpoint.table, PAGES_TABLE}:
            _read_unfinished(pipeline, of_table, prior, loaded, now, part)
        return prior


def _read_known(pipeline: SupportsPipeline, endpoint: Endpoint, own: Mapping[str, Any]) -> KnownRows:
    columns = (endpoint.row_key, ROW_HASH, DELETED_AT)
    hashes: dict[str, str] = {}
    rows = 0
    for key, row_hash, deleted_at in read_rows(pipeline, endpoint.table, columns, own):
        hashes[str(key)] = _value(row_hash, deleted_at)
        rows += 1
    if rows > len(hashes):
        # A merge leaves one row a key, so loading the rows again removes the others.
        found = Counter(str(key) for (key,) in read_rows(pipeline, endpoint.table, columns[:1], own))
        twice = sorted(key for key, count in found.items() if count > 1)
        words = plural(len(twice), "key"), ", ".join(twice[:5])
        logger.warning("%s has several rows of %s, which are loaded again: %s", endpoint.table, *words)
        hashes.update(dict.fromkeys(twice, LOAD_AGAIN))
    return KnownRows(hashes)


def _value(row_hash: str | None, deleted_at: Any) -> str:
    if deleted_at is not None:
        return DELETED
    return row_hash or LOAD_AGAIN


def _load_all_again(known: KnownRows) -> None:
    known.hashes.update(dict.fromkeys(known.live, LOAD_AGAIN))


def _forget_half_loaded(
    pipeline: SupportsPipeline, endpoint: Endpoint, known: KnownRows, loaded: Collection[str], own: Mapping[str, Any]
) -> None:
    """Let rows count as changed if their load package is incomplete: a kill may have kept their children out.

    A package is loaded table by table, and marked as loaded in the end. On the same machine dlt loads what is missing.
    On a fresh machine nothing would, because the row is there and seems unchanged.
    """
    try:
        every = read_rows(pipeline, endpoint.table, (DLT_LOAD_ID,), own, "SELECT DISTINCT {names} FROM {rows}")
        for (load_id,) in list(every):
            if load_id is not None and load_id not in loaded:
                half = read_rows(pipeline, endpoint.table, (endpoint.row_key,), {**own, DLT_LOAD_ID: load_id})
                known.hashes.update((key, LOAD_AGAIN) for (key,) in half)
    except DestinationError as error:
        # An earlier version loaded the table without that column. The next package adds it.
        logger.debug("%s has no %s yet: %s", endpoint.table, DLT_LOAD_ID, error)


def _count_children(
    pipeline: SupportsPipeline, endpoint: Endpoint, own: Mapping[str, Any]
) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for child in endpoint.children:
        of_parents = "SELECT {names}, COUNT(*) FROM {rows} GROUP BY {names}"
        found = read_rows(pipeline, child.table, (child.parent_key,), {**own, DELETED_AT: None}, of_parents)
        counts[child.table] = {str(key): int(count) for key, count in found}
    return counts


def _compare_with_versions(
    pipeline: SupportsPipeline, endpoint: Endpoint, history: str, prior: PriorState, own: Mapping[str, Any]
) -> None:
    """Let rows count as changed whose last version is another one, and find deletions that have no version."""
    hashes = prior.known.hashes
    found = read_last(pipeline, history, endpoint.row_key, (VERSION, IS_DELETED), VALID_FROM, own)
    last = {str(key): DELETED if deleted else version for key, version, deleted in found}
    prior.unclosed = {
        key: version for key, version in last.items() if version != DELETED and hashes.get(key, DELETED) == DELETED
    }
    for key in prior.known.live:
        if last.get(key) != hashes[key]:
            hashes[key] = LOAD_AGAIN


def _read_rejected(pipeline: SupportsPipeline, where: Mapping[str, Any]) -> dict[str, Rejection]:
    columns = ("rejection_id", "key", "row_hash", "reason", "fields", "rejected_at")
    try:
        found = list(read_rows(pipeline, REJECTED_TABLE, columns, {**where, "resolved_at": None}))
    except DestinationError as error:
        logger.debug("rejections are not known: %s", error)
        return {}
    made = [
        Rejection(internal_id(id_, key), key, row_hash, reason, fields, as_utc(rejected_at))
        for id_, key, row_hash, reason, fields, rejected_at in found
    ]
    return {one.id: one for one in made}


def _read_past(
    pipeline: SupportsPipeline, where: Mapping[str, Any], loaded: Collection[str], present: datetime
) -> list[PastSweep]:
    columns = ("sweep_id", "finished_at", "verdict", "extra")
    found = read_loaded(pipeline, SWEEPS_TABLE, columns, where, "finished_at", MOST_SWEEPS, present, loaded)
    return [
        PastSweep(id_, as_utc(finished_at), verdict, SweepFacts.from_json(json_object(extra)))
        for id_, finished_at, verdict, extra in found
    ]


def _read_unfinished(
    pipeline: SupportsPipeline,
    where: Mapping[str, Any],
    prior: PriorState,
    loaded: Collection[str],
    now: datetime,
    part: str,
) -> None:
    """Find the interrupted sweep of this part, and the sweeps whose page records have had their time."""
    finished = {one.id for one in prior.past if one.verdict != Verdict.FAILED}
    over = last_verdict(prior.past, part)
    columns = ("sweep_id", "page", "keys", "total", "read_at", "load_id", "state", "started_at", "requests", EXTRA)
    every = list(read_rows(pipeline, PAGES_TABLE, columns, where))
    same = [row for row in every if SweepFacts.from_json(json_object(row[9])).part == part]
    old = [row for row in every if as_utc(row[4]) < now - KEPT_FOR]
    prior.left_pages = tuple({row[0] for row in [*same, *old]})
    rows = [
        row
        for row in same
        if row[0] not in finished and row[5] in loaded and (not over or as_utc(row[4]) >= over)
        if as_utc(row[4]) <= now + CLOCK_SKEW
    ]
    latest = max((row for row in rows if row[6]), key=lambda row: as_utc(row[4]), default=None)
    if latest is None:
        return  # No record has the state of the sweep, so it starts again.
    pages = [
        PageRecord(int(page), orjson.loads(keys), total, as_utc(read_at))
        for id_, page, keys, total, read_at, *_ in rows
        if id_ == latest[0]
    ]
    state, settings = json_object(latest[6]), SweepFacts.from_json(json_object(latest[9])).settings
    started_at, requests = as_utc(latest[7]), int(latest[8])
    needed = max(requests, ceil((latest[3] or 0) / PAGE_SIZE))
    prior.unfinished = Unfinished(latest[0], started_at, pages, state, requests, needed, settings)


def longest_sweep(settings: AutomatumSettings, requests: int) -> timedelta:
    """How long a sweep may take, from its first page to its last: as long as it needs under the rate limit.

    Args:
        settings: Has the limits.
        requests: What the sweep costs.

    Returns:
        The time, with a window that others have used up before, and ten minutes.
    """
    longest = max((span * (1 + ceil(requests / limit)) for limit, span in settings.app_limits()), default=0.0)
    return timedelta(seconds=longest) + _LEEWAY
