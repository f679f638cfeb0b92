"""A destination in memory, and a sync into it: all of the connector but dlt, in milliseconds."""

from automatum.api.session import connect
from automatum.config.settings import resolve_settings
from automatum.core.budget import Budget
from automatum.core.clock import utc
from automatum.core.errors import AutomatumError
from automatum.sync.facts import PastSweep
from automatum.sync.list_sync import ListSync
from automatum.sync.prior_state import PriorState
from automatum.sync.report_sync import ReportSync
from automatum.sync.results import DELETED, Chunk, KnownRows
from tests.support.clocks import FakeClock
from tests.support.shapes.cell import Outcome


class MemorySite:
    """One table in memory, filled by syncs.

    Args:
        api: What is synced, served.
        settings: Further settings.

    Attributes:
        clock: The connector's time.
        rows: Key to the columns of its row.
        deleted: Keys of rows that are marked deleted.
    """

    def __init__(self, api, **settings):
        self.clock = FakeClock()
        self.rows, self.deleted = {}, set()
        self._api, self._hashes, self._past = api, {}, []
        self._children = {}
        self._resolved = None
        self._settings = {
            "base_url": api.base_url,
            "client_id": api.client_id,
            "client_secret": api.client_secret,
            "application_limits": [[100_000, 60]],
            "quota_url": "memory://",
            **settings,
        }

    def sync(self):
        """Sync the table; the next sync is later."""
        try:
            return self._sync()
        finally:
            self.clock.advance(self._api.pause.total_seconds())

    def _sync(self):
        self._api.calls.clear()
        try:
            self._resolved = self._resolved or resolve_settings(self._settings)
            session = connect(self._resolved, clock=self.clock, budget=Budget(self.clock, self._api.most_requests))
            (endpoint,) = session.select((self._api.table,))
            session.require_scopes((endpoint,))
        except AutomatumError as error:
            return Outcome.failed(error)
        run = _RUNS[endpoint.kind](self, endpoint, session)
        for name, table in run.extract(None, Chunk()):
            self._load(endpoint, name, table)
        verdict = run.result.verdict
        if run.started and not (run.result.error or run.result.skipped):
            facts = run.facts()
            self._past.insert(0, PastSweep(str(len(self._past)), utc(self.clock.time()), verdict.value, facts))
        return Outcome.of(run.result)

    @property
    def live(self):
        """Key to the columns of the rows that are not marked deleted, and their dimensions under the child table."""
        found = {key: dict(row) for key, row in self.rows.items() if key not in self.deleted}
        for table, parent, rows in self._children.values():
            for key, row in found.items():
                own = [one for one in rows.values() if one[parent] == key and not one["_removed"]]
                # The key and the quantity of each entry tell the lists of the battery apart.
                row[table] = [(one["key"], one["quantity"]) for one in own] or None
        return found

    def prior(self):
        hashes = {**self._hashes, **dict.fromkeys(self.deleted, DELETED)}
        return PriorState(KnownRows(hashes), list(self._past))

    def mark_deleted(self, keys):
        self.deleted.update(keys)

    def _load(self, endpoint, name, table):
        if name != endpoint.table:
            child = next(one for one in endpoint.children if one.table == name)
            _, _, rows = self._children.setdefault(name, (name, child.parent_key, {}))
            for row in table.to_pylist():
                rows[row[child.parent_key], row["position"]] = row
            return
        for row in table.to_pylist():
            key = row[endpoint.row_key]
            self.rows[key], self._hashes[key] = row, row["_row_hash"]
            self.deleted.discard(key)


class _InMemory:
    """A table run that compares with the memory instead of a pipeline."""

    def __init__(self, site, endpoint, session):
        super().__init__(endpoint, session)
        self._site = site

    def _prepare(self, pipeline):
        self._start(self._site.prior(), compares=True)

    def _delete(self, pipeline):
        gone = self._take_gone()
        self.result.counts.deleted += len(gone)
        self.prior.known.hashes.update(dict.fromkeys(gone, DELETED))
        self._site.mark_deleted(gone)
        return iter(())


class _ListRun(_InMemory, ListSync):
    pass


class _ReportRun(_InMemory, ReportSync):
    pass


_RUNS = {"list": _ListRun, "report": _ReportRun}
