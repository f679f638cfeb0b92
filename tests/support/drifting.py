"""The connector between a vendor that moves and a warehouse that keeps: both models, all between them real."""

import random
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from types import SimpleNamespace

import dlt
import duckdb
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from automatum.api.http import ApiResponse
from automatum.api.overrides import resolve_endpoints
from automatum.api.rate_limit import RateLimiter
from automatum.api.session import ApiSession
from automatum.config.settings import resolve_settings
from automatum.core.budget import Budget
from automatum.core.errors import BudgetSpent, NotThere, RequestRefused
from automatum.sync.list_sync import ListSync
from automatum.sync.options import SyncOptions
from automatum.sync.results import Chunk
from automatum.warehouse.dlt_schema import stamp
from tests.support.clocks import FakeClock


class Vendor:
    """A list of rows, in an order of its own, that changes between requests; stands where the client does.

    Attributes:
        hidden: Keys of live rows that are at their own URLs and on no page.
        offset: What the announced total has too much.
        cap: The announced total is at most this, and further pages have rows all the same; None for no cap.
        detail_status: What the own URLs of rows answer; None for the row, or 404.
        settings: Settings of all syncs.
        runs: Request after which a run ends, because its budget is spent.
    """

    def __init__(self, rows: int, order: str, rng: random.Random, page_size: int = 100) -> None:
        self.rng, self.order, self.page_size = rng, order, page_size
        self.hidden: set[str] = set()
        self.offset = 0
        self.cap: int | None = None
        self.detail_status: int | None = None
        self.runs: set[int] = set()
        self.settings: dict[str, object] = {}
        self.clock = FakeClock()
        self.now = self.born = 0
        self.rows: dict[str, dict] = {}
        self.requests = 0
        self.events: dict[int, list[str]] = {}
        self.budget = Budget(self.clock)
        self.limiter = RateLimiter((), (), self.clock)  # nothing is asked of it but whether there is a wait
        self.tokens = SimpleNamespace(max_wait=None)
        self.shuffled: dict[str, float] = {}
        for _ in range(rows):
            self.insert()

    def stamp(self) -> str:
        self.now += 1
        return (datetime(2026, 1, 1) + timedelta(seconds=self.now)).isoformat() + "Z"

    def insert(self) -> None:
        at = self.stamp()
        key = f"cust_{self.born:05d}"
        self.born += 1
        self.rows[key] = {"id": key, "companyName": f"v0 of {key}", "createdAt": at, "updatedAt": at}
        self.shuffled[key] = self.rng.random()

    def delete(self) -> None:
        if self.rows:
            del self.rows[self.rng.choice(sorted(self.rows))]

    def purge(self) -> None:
        """Many rows that follow each other go at once."""
        listed = self.listed()
        first = self.rng.randrange(len(listed)) if listed else 0
        for row in listed[first : first + self.rng.randint(1, max(1, min(250, len(listed) // 2)))]:
            del self.rows[row["id"]]

    def pause(self) -> None:
        self.clock.advance(3600)

    def update(self, lie: bool = False) -> None:
        if self.rows:
            row = self.rows[self.rng.choice(sorted(self.rows))]
            row["companyName"] += "'"
            if not lie:
                row["updatedAt"] = self.stamp()

    def reorder(self) -> None:
        for key in self.rng.sample(sorted(self.rows), min(5, len(self.rows))):
            self.shuffled[key] = self.rng.random()

    def listed(self) -> list[dict]:
        rows = [row for key, row in self.rows.items() if key not in self.hidden]
        if self.order == "random":
            return sorted(rows, key=lambda row: self.shuffled[row["id"]])
        field, direction = self.order.split("_")
        return sorted(rows, key=lambda row: (row[f"{field}At"], row["id"]), reverse=direction == "desc")

    def get(self, path: str, params: dict | None = None, scope: str = "", url: str | None = None) -> ApiResponse:
        if self.requests in self.runs:
            self.runs.discard(self.requests)
            raise BudgetSpent("The run's budget is spent.")
        for event in self.events.pop(self.requests, []):
            (partial(self.update, lie=True) if event == "lie" else getattr(self, event))()
        self.requests += 1
        self.clock.advance(1)
        self.budget.charge_request()
        if params is None and self.detail_status:
            raise RequestRefused("GET", path, self.detail_status, "no")
        if params is None:
            row = self.rows.get(path.rsplit("/", 1)[1])
            if row is None:
                raise NotThere("GET", path, 404, "not found")
            return ApiResponse({"code": 200, "data": dict(row)}, 200, self.clock.time())
        number, rows = int(params["page"]), [dict(row) for row in self.listed()]
        start = (number - 1) * self.page_size
        total = max(0, min(len(rows) + self.offset, len(rows) + self.offset if self.cap is None else self.cap))
        body = {
            "data": rows[start : start + self.page_size],
            "pagination": {"total": total, "pages": -(-total // self.page_size)},
        }
        return ApiResponse(body, 200, self.clock.time())


KEYS = {"customers": "id", "_automatum_sweeps": "sweep_id", "_automatum_pages": "page"}


class Warehouse:
    """Tables in DuckDB that are merged by key; stands where the pipeline does."""

    dataset_name = "drifting"

    def __init__(self) -> None:
        self.connection = self.native_connection = duckdb.connect()
        self.destination = dlt.destinations.duckdb()
        self.connection.execute("CREATE TABLE _dlt_loads (load_id TEXT, status BIGINT)")
        self.loads = 0

    def close(self) -> None:
        self.connection.close()

    @contextmanager
    def destination_client(self):
        yield self

    @property
    def sql_client(self):
        return self

    def make_qualified_table_name(self, name: str) -> str:
        return name

    def escape_column_name(self, name: str) -> str:
        return f'"{name}"'

    @contextmanager
    def execute_query(self, text: str, *values):
        try:
            yield self.connection.cursor().execute(text.replace("%s", "?"), list(values))
        except duckdb.CatalogException as error:
            raise DatabaseUndefinedRelation(error) from None

    def load(self, tables) -> None:
        """A load package: all or nothing is not the point here, the latest reading wins is."""
        load_id = str(self.loads)
        for name, table in tables(load_id):
            key = KEYS[name]
            self.connection.register("incoming", table)
            self.connection.execute(f"CREATE TABLE IF NOT EXISTS {name} AS SELECT * FROM incoming LIMIT 0")
            self.connection.execute(f"DELETE FROM {name} WHERE {key} IN (SELECT {key} FROM incoming)")
            self.connection.execute(f"INSERT INTO {name} SELECT * FROM incoming")
            self.connection.unregister("incoming")
        self.connection.execute("INSERT INTO _dlt_loads VALUES (?, 0)", [load_id])
        self.loads += 1

    def customers(self) -> dict[str, tuple[str, bool]]:
        try:
            rows = self.connection.execute("SELECT id, company_name, _deleted_at IS NOT NULL FROM customers").fetchall()
        except duckdb.CatalogException:
            return {}
        assert len(rows) == len({row[0] for row in rows}), "a key twice"
        return {key: (name, deleted) for key, name, deleted in rows}


def sweep_once(vendor: Vendor, warehouse: Warehouse, allow_deletes: bool = False, **settings):
    """One sync of one table; returns its result."""
    explicit = {"client_id": "app_x", "client_secret": "secret_x", **vendor.settings, **settings}
    known = resolve_settings(explicit)
    session = ApiSession(known, resolve_endpoints(known), vendor.clock, vendor.budget, vendor, checks=1000)
    run = ListSync(session.select(("customers",))[0], session, SyncOptions(allow_deletes=allow_deletes))
    while not run.done:
        tables = run.extract(warehouse, Chunk(max_rows=300))
        warehouse.load(lambda load_id, tables=tables: ((name, stamp(table, load_id)) for name, table in tables))
    assert run.result.error is None, run.result.error
    return run.result
