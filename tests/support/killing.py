"""Syncs in processes of their own, to be killed at any moment. Forked from a server that has imported everything."""

import json
import multiprocessing
import os
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["automatum.sync.engine", "dlt.destinations.impl.duckdb.duckdb", "duckdb", "pyarrow.parquet"]
)


def sync_once(environment: dict[str, str], database: str, folder: str, rows: int, result: str) -> None:
    """One run of a sync; writes its summary, if it gets that far. Runs in the child."""
    os.environ.update(environment, RUNTIME__DLTHUB_TELEMETRY="false")
    import dlt

    from automatum.api.session import connect
    from automatum.config.settings import resolve_settings
    from automatum.core.budget import Budget
    from automatum.core.clock import SystemClock
    from automatum.sync import results
    from automatum.sync.engine import sync
    from automatum.warehouse.target import open_pipeline

    results.CHUNK_ROWS = rows
    clock = SystemClock()
    session = connect(resolve_settings(), clock=clock, budget=Budget(clock))
    pipeline = open_pipeline(dlt.destinations.duckdb(database), "automatum", folder)
    summary = sync(session, pipeline)
    Path(result).write_text(json.dumps({**summary.to_json(), "exit_code": summary.exit_code}))


class KillableSync:
    """A run that can be killed with -9.

    Args:
        environment: Settings.
        database: DuckDB file.
        folder: dlt's working folder.
        rows: Rows of a chunk.
    """

    def __init__(self, environment: dict[str, str], database: Path, folder: Path, rows: int) -> None:
        self._result = folder.with_suffix(".json")
        self._result.unlink(missing_ok=True)
        self._process = _CONTEXT.Process(
            target=sync_once, args=(environment, str(database), str(folder), rows, str(self._result))
        )
        self._process.start()

    def finish(self, within: float) -> dict | None:
        """Its summary, or None if it was still running after so many seconds and has been killed."""
        self._process.join(within)
        killed = self._process.is_alive()
        if killed:
            self._process.kill()
        self._process.join(30)
        assert killed or self._process.exitcode == 0, f"the sync ended with {self._process.exitcode}"
        return None if killed and not self._result.exists() else json.loads(self._result.read_text())
