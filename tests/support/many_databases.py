"""One user, one working folder of dlt, and databases that are made, deleted, swapped and copied between syncs."""

import shutil
from contextlib import ExitStack, contextmanager
from unittest import mock

import duckdb
from dlt.pipeline import Pipeline

from automatum import AutomatumError, SyncOptions, Target, run_sync
from automatum.config.settings import resolve_settings
from automatum.core.clock import utc
from automatum.warehouse.load import DuckDbWriter
from automatum_sandbox import Sandbox, SandboxConfig, serve
from tests.support.clocks import FakeClock
from tests.support.desk import forget_run
from tests.support.expected import differences, expected_lists
from tests.support.syncing import SETTINGS, chunks_of

OF_TABLE = {
    "customers": ("customers",),
    "entitlements": ("entitlements", "entitlement_dimensions"),
    "private_offers": ("private_offers", "private_offer_payments"),
}
ROWS = {"customers": 130, "entitlements": 12, "private_offers": 6, "days": 0}
"""Two pages, so that a budget of one request leaves an unfinished sweep."""


class Killed(BaseException):
    """Ends a run at once, as a kill does: no handler of the connector or of dlt takes it for an error."""


@contextmanager
def killed_at(step, after):
    """Let a run die before or after a step of either writer; without a step it goes on."""
    if step is None:
        yield
        return

    def dying(real):
        def function(*arguments, **options):
            if after:
                real(*arguments, **options)
            raise Killed

        return function

    with ExitStack() as stack:
        for owner, name in ((Pipeline, step), (DuckDbWriter, "write" if step == "load" else "read")):
            stack.enter_context(mock.patch.object(owner, name, dying(getattr(owner, name))))
        yield


class Machine:
    """Databases `a` and `b` in a folder, synced from one API.

    Args:
        folder: An empty folder.
        shared: Whether dlt's working folder lasts; else each sync finds none.
    """

    def __init__(self, folder, shared):
        self.folder, self.shared = folder, shared
        self.clock = FakeClock()
        self.served = serve(Sandbox(SandboxConfig(limits=None, **ROWS), time=self.clock.time))
        self.log = []
        self._changes = 0

    def __enter__(self):
        self.served.__enter__()
        return self

    def __exit__(self, *exc):
        self.served.__exit__(*exc)

    @property
    def sandbox(self):
        return self.served.sandbox

    def file(self, name):
        return self.folder / f"{name}.duckdb"

    def sync(self, name, tables=(), *, history=False, rows=25_000, requests=None, kill=None, after=False, **customers):
        """One sync; returns its exit code, or None for a kill. A complete one is compared with the API.

        Further arguments are settings of the table of customers; None leaves a setting out.
        """
        self.clock.advance(60)
        started = utc(self.clock.time())
        if not self.shared:
            shutil.rmtree(self.folder / "pipelines", ignore_errors=True)
        settings = resolve_settings(
            {
                "base_url": self.served.base_url,
                "client_id": self.served.client_id,
                "client_secret": self.served.client_secret,
                **SETTINGS,
                "history": history,
                "endpoints": {"customers": {setting: value for setting, value in customers.items() if value}},
            }
        )
        options = SyncOptions(
            tables=tables or tuple(OF_TABLE),
            target=Target(database=self.file(name)),
            pipelines_dir=str(self.folder / "pipelines"),
            max_requests=requests,
            lock_wait=0,
        )
        forget_run()
        code, words = None, ""
        try:
            with chunks_of(rows), killed_at(kill, after):
                summary = run_sync(options, settings=settings, clock=self.clock)
            code, words = summary.exit_code, "; ".join(error.message for error in summary.errors) or summary.line()
        except Killed:
            pass
        except AutomatumError as error:
            code, words = error.exit_code, error.message
        self.log.append(f"{name} {tables} {history} {rows} {requests} {customers} {kill} {after}: {code} {words}")
        if code == 0:
            # What an earlier run has read, a table or some pages of it, may have changed since. The next sync finds it.
            earlier = self.resumed(name, started)
            read = [endpoint.table for endpoint, result in summary.results if not result.finished_earlier]
            read = [table for table in read if table not in earlier]
            wrong = self.differences(name, read)
            assert not wrong, (wrong[:5], self.log)
        return code

    def resumed(self, name, started):
        """Tables whose last sweep began before this time."""
        with duckdb.connect(str(self.file(name)), read_only=True) as connection:
            text = "SELECT table_name FROM automatum._automatum_sweeps WHERE started_at < ? AND finished_at >= ?"
            return {table for (table,) in connection.execute(text, [started, started]).fetchall()}

    def differences(self, name, tables):
        """How the synced tables differ from the API."""
        wanted = {one for table in tables for one in OF_TABLE[table]}
        expected = {table: rows for table, rows in expected_lists(self.sandbox).items() if table in wanted}
        with duckdb.connect(str(self.file(name)), read_only=True) as connection:
            connection.execute("USE automatum")
            return differences(_LiveRows(connection), expected)

    def change(self):
        """Insert a row and change one in each list; delete one."""
        self._changes += 1
        for table in OF_TABLE:
            self.sandbox.rows.insert(table, {})
            self.sandbox.rows.change(table, self.sandbox.rows.ids(table)[0], {"status": f"changed {self._changes}"})
        self.sandbox.rows.delete("customers", self.sandbox.rows.ids("customers")[self._changes])

    def delete(self, name):
        for file in (self.file(name), self.file(name).with_name(f"{name}.duckdb.wal")):
            file.unlink(missing_ok=True)

    def swap(self):
        """The two files change places."""
        spare = self.folder / "spare"
        for source, end in ((self.file("a"), spare), (self.file("b"), self.file("a")), (spare, self.file("b"))):
            if source.exists():
                source.replace(end)

    def copy(self, name, end):
        if self.file(name).exists():
            shutil.copyfile(self.file(name), self.file(end))

    def execute(self, name, sql):
        """Change a database by hand, if it is there and has what the statement names."""
        if self.file(name).exists():
            with duckdb.connect(str(self.file(name))) as connection:
                try:
                    connection.execute(sql)
                except duckdb.CatalogException:
                    return


class _LiveRows:
    """Queries of `expected.held`, without the rows that are marked deleted."""

    def __init__(self, connection):
        self._connection = connection

    def query(self, sql, *parameters):
        if sql.endswith('"'):
            sql += " WHERE _deleted_at IS NULL"
        return self._connection.execute(sql, parameters).fetchall()
