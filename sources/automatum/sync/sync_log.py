"""The log of sweeps: one row when a sweep has its verdict, one row a page until then.

Page records are loaded with the rows of their pages, in the same package, and only when a sweep outlives its chunk. A
later run resumes from them, on any machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import uuid4

import pyarrow as pa

from ..core.redaction import redact
from ..core.text import printable
from ..endpoints import ORGANIZATION
from ..schema.arrow_tables import Table
from ..schema.columns import EXTRA, SYNCED_AT
from ..schema.json_text import dumps
from ..schema.log_tables import PAGES, SWEEPS
from ..schema.stored import StoredTable
from ..schema.tables import owned
from .facts import SweepFacts
from .results import PageRecord, TableResult, Verdict


class SweepLog:
    """Writes the log of one sweep of one table, which later sweeps and runs read.

    Args:
        table: The table that is swept.
        started_at: When the sweep started.
        facts: What all of its records say: the sync that it belongs to, the part of the table, its key and settings.

    Attributes:
        facts: The same, later with the organization.
        sweep_id: Id of the sweep.
    """

    def __init__(self, table: Table, started_at: datetime, facts: SweepFacts) -> None:
        self.facts, self._table = facts, table
        self.sweep_id = uuid4().hex
        self._started_at = started_at
        self._earlier_requests = 0

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
        row = {
            # A failed sweep may be resumed: its id must stay free for its verdict.
            "sweep_id": f"{self.sweep_id}:{uuid4().hex}" if verdict is Verdict.FAILED else self.sweep_id,
            "finished_at": finished_at,
            "pages": result.pages,
            "requests": self._earlier_requests + result.requests,
            "announced": result.announced,
            "distinct_keys": result.distinct,
            **asdict(result.counts),
            "verdict": verdict.value,
            "reason": printable(redact(str(result.error or "")) or result.skipped or result.reason) or None,
            EXTRA: dumps(facts.to_json()).decode(),
            SYNCED_AT: finished_at,
        }
        return self._rows(SWEEPS, [row])

    def pages(self, requests: int, records: Sequence[PageRecord], state: dict[str, Any]) -> pa.Table:
        """The rows of pages whose sweep goes on in another chunk; the latest of them carries the state of the sweep.

        Args:
            requests: What this run has spent on the table.
            records: The pages.
            state: What the sweep knows after the last of them.
        """
        extra = dumps(self.facts.to_json()).decode()
        rows: list[dict[str, Any]] = [
            {
                "sweep_id": self.sweep_id,
                "page": one.page,
                "keys": dumps(list(one.keys)).decode(),
                "total": one.total,
                "read_at": one.read_at,
                "requests": self._earlier_requests + requests,
                EXTRA: extra,
                SYNCED_AT: one.read_at,
            }
            for one in records
        ]
        max(rows, key=lambda row: row["read_at"])["state"] = dumps(state).decode()
        return self._rows(PAGES, rows)

    def _rows(self, stored: StoredTable, rows: list[dict[str, Any]]) -> pa.Table:
        owner, table = self._table.organization_id, self._table.endpoint.table
        own = {ORGANIZATION: owner, "table_name": table, "started_at": self._started_at}
        schema = (stored if owner is None else owned(stored)).schema
        return pa.Table.from_pylist([{**own, **row} for row in rows], schema=schema)
