"""A sandbox on a real socket, one clock for both sides, and the DuckDB file that syncs fill."""

from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone

import dlt
import duckdb

from automatum.api.session import connect
from automatum.config.settings import resolve_settings
from automatum.core.budget import Budget
from automatum.endpoints import ENDPOINTS
from automatum.operations.verify import check_rules
from automatum.sync import results
from automatum.sync.engine import sync
from automatum.sync.options import SyncOptions
from automatum.warehouse.target import open_pipeline
from automatum_sandbox import Sandbox, SandboxConfig, serve
from tests.support.clocks import FakeClock

WIDE = [[100_000, 60]]
"""Limits of no concern here."""
HOUR = 3600.0
SETTINGS = {"application_limits": WIDE}


@contextmanager
def chunks_of(rows):
    """Chunks of so many rows at most: few rows are many chunks then."""
    before, results.CHUNK_ROWS = results.CHUNK_ROWS, rows
    try:
        yield
    finally:
        results.CHUNK_ROWS = before


@dataclass
class Synced:
    """What a sync came to.

    Attributes:
        summary: Its own summary.
        entries: The API requests that the server saw, tokens apart.
    """

    summary: object
    entries: list

    @property
    def code(self):
        return self.summary.exit_code

    @property
    def tables(self):
        return self.summary.to_json()["tables"]

    @property
    def pages(self):
        """Pages asked for, in their order."""
        return [entry.page for entry in self.entries if entry.page and entry.path.count("/") == 3]

    @property
    def details(self):
        """Ids of rows that were asked for at their own URLs."""
        return [entry.path.split("/")[4] for entry in self.entries if entry.path.count("/") == 4]

    def counts(self, table):
        """Inserted, updated, deleted, unchanged."""
        one = self.tables[table]
        return one["inserted"], one["updated"], one["deleted"], one["unchanged"]


class Site:
    """One API and one destination.

    Args:
        folder: Where its files go.

    Attributes:
        clock: Time of connector and sandbox; moves on by a minute with each sync, and when told to.
        served: The sandbox that was served last, or anything else with `base_url`, `client_id`, `client_secret`.
        settings: Settings of all syncs.
    """

    def __init__(self, folder):
        self.folder = folder
        self.database = folder / "site.duckdb"
        self.pipelines_dir = folder / "pipelines"
        self.clock = FakeClock()
        self.served = None
        self.settings = dict(SETTINGS)
        self._opened = None, None
        self._stack = ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._stack.close()

    @property
    def today(self):
        return datetime.fromtimestamp(self.clock.time(), timezone.utc).date()

    def serve(self, **options):
        """Serve a sandbox with these options; nothing in it but what they name."""
        empty = {"customers": 0, "entitlements": 0, "private_offers": 0, "days": 0}
        options = {"limits": None, "traps": True, **empty, **options}
        self.served = self._stack.enter_context(serve(Sandbox(SandboxConfig(**options), time=self.clock.time)))
        return self.served.sandbox

    def resolved(self, **settings):
        known = self.served
        return resolve_settings(
            {
                "base_url": known.base_url,
                "client_id": known.client_id,
                "client_secret": known.client_secret,
                **self.settings,
                **settings,
            }
        )

    def pipeline(self, destination=None):
        """The pipeline of a destination, the DuckDB file by default; kept, as to open one takes a third of a sync."""
        place = destination or self.database
        if self._opened[0] != place:
            target = destination or dlt.destinations.duckdb(str(self.database))
            self._opened = place, open_pipeline(target, "automatum", str(self.pipelines_dir))
        return self._opened[1]

    def sync(
        self,
        *names,
        max_requests=None,
        allow_deletes=False,
        since=None,
        destination=None,
        on_page=None,
        chunk_rows=results.CHUNK_ROWS,
        **settings,
    ):
        """One whole sync, a minute after the last one."""
        self.clock.advance(60)
        resolved = self.resolved(**settings)
        session = connect(resolved, clock=self.clock, budget=Budget(self.clock, max_requests))
        options = SyncOptions(tables=names, since=since, allow_deletes=allow_deletes)
        sandbox = getattr(self.served, "sandbox", None)
        if sandbox:
            sandbox.requests.clear()
        with chunks_of(chunk_rows):
            summary = sync(session, self.pipeline(destination), options, on_page=on_page)
        entries = sandbox.requests.to("/api/v1/") if sandbox else []
        assert summary.requests == len(entries) or not sandbox  # I3: what it says is what it sent
        return Synced(summary, entries)

    def query(self, sql, *parameters):
        """Rows of a query on the dataset."""
        with duckdb.connect(str(self.database), read_only=True) as connection:
            connection.execute("USE automatum")
            return connection.execute(sql, parameters).fetchall()

    def execute(self, sql, *parameters):
        """Change the destination by hand."""
        with duckdb.connect(str(self.database)) as connection:
            connection.execute("USE automatum")
            connection.execute(sql, parameters)

    def tables(self):
        """The user's tables: not dlt's, not the connector's own."""
        found = self.query(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'automatum' "
            "AND table_type = 'BASE TABLE' ORDER BY ALL"
        )
        return [name for (name,) in found if not name.startswith("_")]

    def dump(self):
        """Every value of every table of the user, `_synced_at` included."""
        return {name: self.query(f'SELECT COLUMNS(*)::VARCHAR FROM "{name}" ORDER BY ALL') for name in self.tables()}

    def live(self, table, key="id"):
        """Keys of rows that are not marked deleted; a key twice is a fault."""
        keys = Counter(one for (one,) in self.query(f'SELECT {key} FROM "{table}" WHERE _deleted_at IS NULL'))
        assert not [one for one, count in keys.items() if count > 1]
        return set(keys)

    def dead(self, table, key="id"):
        """Keys of rows that are marked deleted."""
        return {one for (one,) in self.query(f'SELECT DISTINCT {key} FROM "{table}" WHERE _deleted_at IS NOT NULL')}

    def broken(self, endpoints=ENDPOINTS):
        """What `verify` finds: table and rule to number."""
        found = check_rules(self.pipeline(), endpoints, self.settings.get("deletes", "soft"))
        return {(one.table, one.rule): one.broken for one in found if one.broken}

    def sweeps(self, table):
        """Sweeps of a table, oldest first: verdict and reason."""
        return self.query(
            "SELECT verdict, reason FROM _automatum_sweeps WHERE table_name = ? ORDER BY finished_at", table
        )


def with_dimensions(sandbox):
    """Ids of entitlements that have dimensions."""
    return [row["id"] for row in sandbox.rows.all("entitlements") if row["dimensions"]]
