"""The connector between a vendor that moves and a warehouse that keeps: both models, all between them real."""

import random
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import SimpleNamespace

import dlt
import duckdb
from dlt.destinations.exceptions import DatabaseUndefinedRelation

from automatum.api.client import ApiResponse
from automatum.api.rate_limit import RateLimiter
from automatum.config.settings import resolve_settings
from automatum.core.budget import Budget
from automatum.core.errors import NotThere
from automatum.endpoints import CUSTOMERS
from automatum.sync.results import Chunk
from automatum.sync.table_sync import TableSync
from tests.support.clocks import FakeClock


class Vendor:
    """A list of rows, in an order of its own, that changes between requests; stands where the client does."""

    def __init__(self, rows: int, order: str, rng: random.Random, page_size: int = 100) -> None:
        self.rng, self.order, self.page_size = rng, order, page_size
        self.now = self.born = 0
        self.rows: dict[str, dict] = {}
        self.requests = 0
        self.events: dict[int, list[str]] = {}
        self.budget = Budget(FakeClock())
        self.limiter = RateLimiter((), (), FakeClock())  # nothing is asked of it but whether there is a wait
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
        rows = list(self.rows.values())
        if self.order == "random":
            return sorted(rows, key=lambda row: self.shuffled[row["id"]])
        field, direction = self.order.split("_")
        return sorted(rows, key=lambda row: (row[f"{field}At"], row["id"]), reverse=direction == "desc")

    def get(self, path: str, params: dict | None = None) -> ApiResponse:
        for event in self.events.pop(self.requests, []):
            {"insert": self.insert, "delete": self.delete, "update": self.update, "reorder": self.reorder}.get(
                event, lambda: self.update(lie=True)
            )()
        self.requests += 1
        self.budget.charge_request()
        if params is None:
            row = self.rows.get(path.rsplit("/", 1)[1])
            if row is None:
                raise NotThere("GET", path, 404, "not found")
            return ApiResponse({"code": 200, "data": dict(row)}, 200, float(self.requests), None)
        number, rows = int(params["page"]), [dict(row) for row in self.listed()]
        start = (number - 1) * self.page_size
        body = {
            "data": rows[start : start + self.page_size],
            "pagination": {"total": len(rows), "pages": -(-len(rows) // self.page_size)},
        }
        return ApiResponse(body, 200, float(self.requests), None)


KEYS = {"customers": "id", "_automatum_sweeps": "sweep_id", "_automatum_pages": "page"}


class Warehouse:
    """Tables in DuckDB that are merged by key; stands where the pipeline does."""

    def __init__(self) -> None:
        self.connection = self.native_connection = duckdb.connect()
        self.destination = dlt.destinations.duckdb()
        self.connection.execute("CREATE TABLE _dlt_loads (load_id TEXT, status BIGINT)")
        self.loads = 0

    @contextmanager
    def sql_client(self):
        yield self

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


def sweep_once(vendor: Vendor, warehouse: Warehouse, **settings):
    """One sync of one table; returns its result."""
    explicit = {"client_id": "app_x", "client_secret": "secret_x", **settings}
    connection = SimpleNamespace(
        settings=resolve_settings(explicit),
        clock=vendor.budget._clock,
        budget=vendor.budget,
        client=vendor,
        endpoints=(CUSTOMERS,),
    )
    run = TableSync(CUSTOMERS, connection)
    while not run.done:
        warehouse.load(lambda load_id: run.extract(warehouse, Chunk(max_rows=300), load_id))
    assert run.result.error is None, run.result.error
    return run.result
