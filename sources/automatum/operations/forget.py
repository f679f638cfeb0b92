"""`automatum forget`: removes the personal data of one customer from the tables, and keeps it out of later syncs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..config.settings import AutomatumSettings
from ..core.budget import Budget
from ..core.clock import Clock
from ..core.errors import ConfigurationError
from ..endpoints import Endpoint
from ..schema.columns import EXTRA, IS_DELETED, ROW_HASH, VERSION, history_table
from ..schema.personal import customer_column
from ..warehouse.dataset import FORGOTTEN_TABLE, can_forget, has_organizations, read_owners
from ..warehouse.postgres_lock import exclusive_tables
from ..warehouse.sql_client import sql_client

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

    from ..warehouse.duckdb_file import KeepOpen

NOT_REACHED = (
    "the ledger of the push and its exported tables: ids, units and amounts, which billing needs",
    "files of the destination: space that it has freed, until it is used again (Postgres: VACUUM; and the WAL)",
    "read copies: the next sync with --read-copy replaces them",
    "backups, working folders of dlt of other machines, and tables and reports of your own",
    "the vendor and the marketplace: ask them",
)
"""What a person has to look at."""
_NO_HASH = "0" * 16
"""The row hash of a forgotten row. The hash of its values would tell whether a guess of them is right."""


@dataclass(frozen=True)
class _Part:
    """The rows of the customer in one table: what to set, and the condition with a parameter for the id."""

    table: str
    changes: Sequence[str]
    condition: str


class Forget:
    """The rows of one customer in a dataset of DuckDB or Postgres.

    Args:
        pipeline: The pipeline whose destination has the tables.
        endpoints: All endpoints, with overrides applied.
        customer_id: Automatum's id of the customer.

    Raises:
        ConfigurationError: The destination is another one.
    """

    def __init__(self, pipeline: SupportsPipeline, endpoints: Sequence[Endpoint], customer_id: str) -> None:
        if not can_forget(pipeline):
            name = pipeline.destination.destination_name
            raise ConfigurationError(
                "--destination",
                f"{name} is not supported: `automatum forget` changes rows in duckdb and postgres.",
                "Set the columns to null yourself, and drop them from later syncs with the setting personal.",
            )
        self._pipeline, self._endpoints, self._id = pipeline, endpoints, customer_id

    def show(self) -> dict[str, Any]:
        """The number of rows by table.

        Raises:
            ConfigurationError: No table has a row of the customer.
            DestinationError: The destination cannot be read.
        """
        with sql_client(self._pipeline) as client:
            return self._figures(self._counts(client), confirmed=False)

    def confirm(self) -> dict[str, Any]:
        """Remove the personal data in one transaction, and remember the id; as `show`."""
        with sql_client(self._pipeline) as client:
            counts, parts = self._counts(client), list(self._parts(client))
            # Children first: their rows are found by those of their parents.
            statements: list[tuple[str, tuple[str, ...]]] = []
            statements += [(_update(client, part), (self._id,)) for part in reversed(parts) if counts[part.table]]
            statements += [(f"DELETE FROM {name}", ()) for name in self._staging(client)]
            name = client.make_qualified_table_name(FORGOTTEN_TABLE)
            statements += [
                (f"CREATE TABLE IF NOT EXISTS {name} (customer_id VARCHAR PRIMARY KEY, forgotten_at TIMESTAMPTZ)", ()),
                (f"DELETE FROM {name} WHERE customer_id = %s", (self._id,)),
                (f"INSERT INTO {name} VALUES (%s, CURRENT_TIMESTAMP)", (self._id,)),
            ]
            with client.begin_transaction():
                for statement, values in statements:
                    client.execute_sql(statement, *values)
            return self._figures(counts, confirmed=True)

    def lock(self, keep_open: KeepOpen, clock: Clock, wait: float) -> ExitStack:
        """Keep the syncs of all organizations out until it is closed; Postgres only, a DuckDB file has one writer."""
        several = bool(has_organizations(self._pipeline))
        owners = [one.application for one in read_owners(self._pipeline, True)] if several else [None]
        tables, stack = [one.table for one in self._endpoints], ExitStack()
        with stack:
            for owner in dict.fromkeys(owners):
                lock = exclusive_tables(
                    self._pipeline, tables, owner, keep_open, clock=clock, budget=Budget(clock), wait=wait
                )
                stack.enter_context(lock)
            return stack.pop_all()

    def _counts(self, client: Any) -> dict[str, int]:
        counts = {}
        for part in self._parts(client):
            rows = client.make_qualified_table_name(part.table)
            counts[part.table] = int(
                client.execute_sql(f"SELECT COUNT(*) FROM {rows} {part.condition}", self._id)[0][0]
            )
        if not any(counts.values()):
            raise ConfigurationError(
                "argument CUSTOMER_ID",
                f"no table of the dataset {self._pipeline.dataset_name} has a row of {self._id!r}.",
                "Give the column id of customers, such as cust_1a2b3c4d.",
            )
        return counts

    def _figures(self, counts: dict[str, int], confirmed: bool) -> dict[str, Any]:
        found = {"customer_id": self._id, "confirmed": confirmed, "dataset": self._pipeline.dataset_name}
        return {**found, "rows": counts, "not_reached": list(NOT_REACHED)}

    def _parts(self, client: Any) -> Iterator[_Part]:
        quoted, stored = client.escape_column_name, _stored_columns(client)
        for endpoint in self._endpoints:
            customer = customer_column(endpoint)
            if customer is None:
                continue
            condition = f"WHERE {quoted(customer.name)} = %s"
            personal = [one.name for one in endpoint.columns if one.personal and one.name not in endpoint.key]
            for table in (endpoint.table, history_table(endpoint)):
                if customer.name in (there := stored.get(table, set())):
                    changes = [f"{quoted(name)} = NULL" for name in (*personal, EXTRA) if name in there]
                    changes.append(f"{quoted(ROW_HASH)} = '{_NO_HASH}'")
                    if VERSION in there:
                        ended = f"CASE WHEN {quoted(IS_DELETED)} THEN '{_NO_HASH}:deleted' ELSE '{_NO_HASH}' END"
                        changes.append(f"{quoted(VERSION)} = {ended}")
                    yield _Part(table, changes, condition)
            rows = client.make_qualified_table_name(endpoint.table)
            own = f"SELECT {quoted(endpoint.row_key)} FROM {rows} {condition}"
            for child in endpoint.children if endpoint.table in stored else ():
                if EXTRA in stored.get(child.table, set()):
                    yield _Part(
                        child.table, [f"{quoted(EXTRA)} = NULL"], f"WHERE {quoted(child.parent_key)} IN ({own})"
                    )

    def _staging(self, client: Any) -> list[str]:
        """Tables of the staging datasets of all pipelines that load to this dataset, apart from dlt's own.

        A schema of that name may have tables of others, such as dbt's: only those that the dataset has, too, are ours.
        """
        query = "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
        begin, loaded = f"{client.dataset_name}_staging", _stored_columns(client)
        own = [(schema, name) for schema, name in client.execute_sql(query) if name in loaded]
        own = [(schema, name) for schema, name in own if schema == begin or schema.startswith(f"{begin}_")]
        return [f'"{schema}"."{name}"' for schema, name in own if not name.startswith("_dlt")]


def forget_customer(pipeline: SupportsPipeline, settings: AutomatumSettings, customer_id: str) -> Forget:
    """What `automatum forget` does, for the endpoints of the settings; see `Forget`."""
    from ..api.overrides import resolve_endpoints

    return Forget(pipeline, resolve_endpoints(settings, bool(has_organizations(pipeline))), customer_id)


def _stored_columns(client: Any) -> dict[str, set[str]]:
    query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = %s"
    stored: dict[str, set[str]] = {}
    for table, column in client.execute_sql(query, client.dataset_name):
        stored.setdefault(table, set()).add(column)
    return stored


def _update(client: Any, part: _Part) -> str:
    return f"UPDATE {client.make_qualified_table_name(part.table)} SET {', '.join(part.changes)} {part.condition}"
