"""One writer of a table on Postgres (I7): two machines that sync one dataset meet in advisory locks of the server.

A lock belongs to a connection of its own. The server releases it when the connection ends, also if a kill ends the run.
Runs of different tables or organizations do not wait for each other.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dlt

from ..core.budget import Budget
from ..core.clock import Clock, instant
from ..core.errors import DestinationError
from ..core.file_lock import Waiting
from .duckdb_file import KeepOpen
from .sql_client import sql_client

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

_LONGEST_NAME = 63
"""Bytes of a name of an application in Postgres."""
_SET_UP = (
    "SELECT set_config(name, CASE name WHEN 'application_name' THEN %s ELSE '0' END, false) FROM pg_settings "
    "WHERE name IN ('application_name', 'idle_session_timeout')"  # Versions before 14 have no such timeout.
)
_LOCK = "SELECT pg_try_advisory_lock(hashtext(%s), hashtext(%s))"
_HOLDER = (
    "SELECT application_name, backend_start FROM pg_locks JOIN pg_stat_activity USING (pid) "
    "WHERE locktype = 'advisory' AND granted AND objsubid = 2 "
    "AND classid = hashtext(%s)::oid AND objid = hashtext(%s)::oid "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@contextmanager
def exclusive_tables(
    pipeline: SupportsPipeline,
    tables: Sequence[str],
    owner: str | None,
    keep_open: KeepOpen,
    *,
    clock: Clock,
    budget: Budget,
    wait: float,
) -> Iterator[KeepOpen]:
    """Be the only sync of tables on Postgres while the block runs; other destinations need no such lock, or have none.

    Args:
        pipeline: The pipeline of the destination.
        tables: Names of the tables.
        owner: OAuth application of the organization, where the dataset holds several.
        keep_open: Keeps the destination open.
        clock: Time.
        budget: Bounds of the run, which also end the wait.
        wait: Seconds to wait for another sync.

    Yields:
        `keep_open`, which then also checks that the locks are still there.

    Raises:
        Busy: Another sync takes longer than that.
        BudgetSpent: The run was told to stop, or its time is over.
        DestinationError: The destination cannot be reached.
    """
    if not isinstance(pipeline.destination, dlt.destinations.postgres):
        yield keep_open
        return
    with sql_client(pipeline) as client:
        client.execute_sql(_SET_UP, f"automatum, process {os.getpid()} on {platform.node()}"[:_LONGEST_NAME])
        of_all = Waiting(f"The dataset {pipeline.dataset_name}", wait, clock, budget)
        for table in sorted(tables):  # Two runs that share two tables take them in the same order.
            key = f"automatum {client.dataset_name}", f"{table} {owner or ''}"  # The name that Postgres knows.
            while not client.execute_sql(_LOCK, *key)[0][0]:
                of_all.pause(f"is being synced ({table}) by {_holder(client, key)}")

        @contextmanager
        def keep_open_and_locked() -> Iterator[None]:
            try:
                client.execute_sql("SELECT 1")
            except Exception as error:  # Errors of drivers have no common base class.
                raise DestinationError(
                    f"The connection that locks the dataset {pipeline.dataset_name} has ended.",
                    "Run again. Another sync may have begun meanwhile, so nothing more was written.",
                ) from error
            with keep_open():
                yield

        yield keep_open_and_locked


def _holder(client: Any, key: tuple[str, str]) -> str:
    found = client.execute_sql(_HOLDER, *key)
    if not found or not found[0][0]:
        return "another run"  # It has just ended, or belongs to another user, of whom Postgres says nothing.
    name, since = found[0]
    return f"{name}, since {instant(since.timestamp())}"
