"""The log of sweeps: one row when a sweep has its verdict, one row a page until then.

Page records are loaded with the rows of their pages, in the same package, and only when a sweep outlives its chunk. A
later run resumes from them, on any machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import pyarrow as pa

from ..core.redaction import redact
from ..core.text import printable
from ..endpoints import ORGANIZATION
from ..schema.arrow_tables import Table
from ..schema.json_text import dumps
from ..schema.log_tables import PAGES, SWEEPS
from .facts import SweepFacts
from .results import PageRecord, TableResult, Verdict

SWEEPS_SCHEMA = SWEEPS.schema
PAGES_SCHEMA = PAGES.schema


class SweepLog:
    """Writes the log of one sweep of one table, which later sweeps and runs read.

    Args:
        table: The table that is swept.
        started_at: When the sweep started.
        session: What the records say about the sync that it belongs to, the part of the table, and its settings.

    Attributes:
        sweep_id: Id of the sweep.
    """

    def __init__(self, table: Table, started_at: datetime, session: SweepFacts) -> None:
        self._table = table
        self._session = session
        self.sweep_id = uuid4().hex
        self._started_at = started_at
        self._earlier_requests = 0

    @property
    def settings(self) -> tuple[str, ...]:
        """What the table is read by (`SweepFacts.settings`)."""
        return self._session.settings

    def resume(self, sweep_id: str, started_at: datetime, requests: int) -> None:
        """Go on with the log of an interrupted sweep.

        Args:
            sweep_id: Its id.
            started_at: When it started.
            requests: What it had cost.
        """
        self.sweep_id, self._started_at, self._earlier_requests = sweep_id, started_at, requests

    def finished(self, result: TableResult, verdict: Verdict, facts: SweepFacts, finished_at: datetime) -> pa.Table:
        """The row of a sweep that has its verdict; its `load_id` is still null.

        Args:
            result: What came of the table.
            verdict: The verdict to store.
            facts: What the next sweep reads.
            finished_at: The present.
        """
        stored = replace(
            facts,
            session=self._session.session,
            part=self._session.part,
            key=self._table.endpoint.key,
            settings=self._session.settings,
        ).as_json()
        counts = result.counts
        values = [
            # A failed sweep may be resumed: its id must stay free for its verdict.
            f"{self.sweep_id}:{uuid4().hex}" if verdict is Verdict.FAILED else self.sweep_id,
            self._table.endpoint.table, self._started_at, finished_at,
            result.pages, self._earlier_requests + result.requests, result.announced, result.distinct,
            counts.inserted, counts.updated, counts.deleted, counts.unchanged,
            verdict.value, printable(redact(str(result.error or "")) or result.skipped or result.reason) or None,
            None, *result.stats.as_json().values(), dumps(stored).decode() if stored else None, finished_at,
        ]  # fmt: skip
        arrays = [pa.array([value], one.type) for value, one in zip(values, SWEEPS_SCHEMA, strict=True)]
        return _owned(pa.Table.from_arrays(arrays, schema=SWEEPS_SCHEMA), self._table.organization_id)

    def pages(self, requests: int, records: Sequence[PageRecord], state: dict[str, Any]) -> pa.Table:
        """The rows of pages whose sweep goes on in another chunk; the latest of them carries the state of the sweep.

        Args:
            requests: What this run has spent on the table.
            records: The pages.
            state: What the sweep knows after the last of them.
        """
        last = max(range(len(records)), key=lambda i: records[i].read_at)
        count = len(records)
        columns: list[list[Any]] = [
            [self.sweep_id] * count,
            [one.page for one in records],
            [self._table.endpoint.table] * count,
            [dumps(list(one.keys)).decode() for one in records],
            [one.total for one in records],
            [one.read_at for one in records],
            [None] * count,
            [dumps(state).decode() if i == last else None for i in range(count)],
            [self._started_at] * count,
            [self._earlier_requests + requests] * count,
            [dumps(replace(self._session, key=self._table.endpoint.key).as_json()).decode()] * count,
            [one.read_at for one in records],
        ]
        arrays = [pa.array(values, one.type) for values, one in zip(columns, PAGES_SCHEMA, strict=True)]
        return _owned(pa.Table.from_arrays(arrays, schema=PAGES_SCHEMA), self._table.organization_id)


def _owned(table: pa.Table, organization_id: str | None) -> pa.Table:
    """With the column `organization_id` in front, where the tables hold several organizations."""
    if organization_id is None:
        return table
    owner = pa.array([organization_id] * len(table), pa.string())
    return table.add_column(0, pa.field(ORGANIZATION, pa.string(), nullable=False), owner)
