"""Loads the ledger to the destination as tables, by an ordinary dlt run, and makes views of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
import duckdb
import orjson
import pyarrow as pa
from dlt.extract import DltResource

from ..core.errors import ConfigurationError, DestinationError
from ..core.redaction import redact
from ..endpoints import ORGANIZATION
from ..schema.columns import DLT_LOAD_ID
from ..schema.metering_tables import ATTEMPTS, JOURNAL, LINES, METERING_TABLES
from ..schema.stored import StoredTable
from ..schema.tables import owned
from ..warehouse.catalog import update_catalog, write_views
from ..warehouse.dlt_internals import current_load_id
from ..warehouse.dlt_schema import dlt_columns, references
from ..warehouse.sql import column_names, organization_filter, read_rows
from .ledger.entries import Entry, entry_figures
from .ledger.ledger import Ledger
from .ledger.location import KEY
from .ledger.tables import META
from .model import exact

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline
    from duckdb import DuckDBPyConnection

BATCH = 5_000
EXPORTED = tuple(table.name for table in METERING_TABLES)
"""Tables of the export."""
VIEWS = {f"metering_{name}": name for name in ("statement", "usual", "silence")}
"""Views of the export, each with the file in `sql` that defines it."""


@cache
def read_sql(name: str) -> str:
    """The text of a file in `sql`, without its comments."""
    lines = (Path(__file__).parent / "sql" / f"{name}.sql").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("--"))


@contextmanager
def open_view(name: str, entries: Iterable[Entry]) -> Iterator[DuckDBPyConnection]:
    """A database in memory with one of `VIEWS`, of entries of the ledger.

    Args:
        name: Name of the file, such as `usual`; the view is called `metering_usual`.
        entries: What the view reads, as `metering_lines`.
    """
    with duckdb.connect() as connection:
        rows = map(entry_figures, entries)
        connection.from_arrow(as_arrow(LINES, ())).create(LINES.name)
        while batch := list(islice(rows, BATCH)):
            connection.from_arrow(as_arrow(LINES, batch)).insert_into(LINES.name)
        connection.execute(f"CREATE VIEW metering_{name} AS {_view(name, None).replace('{lines}', LINES.name)}")
        yield connection


def line_rows(ledger: Ledger) -> Iterator[dict[str, Any]]:
    """Lines as rows of `metering_lines`, in the order of their ids.

    Lines of which a call is under way are missing: the API may refuse it for now, and then they are in no ledger. Of a
    push that died, its calls and its journal item are there, and its lines after the next push.
    """
    return (entry_figures(entry) for entry in ledger.entries() if entry.state != "sending")


def _attempt_rows(ledger: Ledger) -> Iterator[dict[str, Any]]:
    return ({**row, "amount": exact().multiply(row["units"], row["price"])} for row in ledger.attempts())


def _item_rows(ledger: Ledger) -> Iterator[dict[str, Any]]:
    for item in ledger.items():
        yield {
            "item_id": item.id,
            "kind": item.kind,
            "subject": item.subject,
            "reason": item.reason,
            "data": orjson.dumps(dict(item.data), default=str).decode(),
            "recorded_by": item.by,
            "recorded_at": item.at,
            "closed_at": item.closed_at,
            **{name: getattr(item, name) or None for name in ("source", "closed_by", "closed_reason")},
        }


_READ: Mapping[StoredTable, Callable[[Ledger], Iterator[dict[str, Any]]]] = {
    LINES: line_rows, ATTEMPTS: _attempt_rows, JOURNAL: _item_rows,
}  # fmt: skip


@dlt.source(name="automatum_metering", section="automatum")
def metering_ledger(ledger: Ledger, organization_id: str | None = None) -> Iterable[DltResource]:
    """The ledger's lines, attempts and journal, as `metering_lines`, `metering_attempts` and `metering_journal`.

    Args:
        ledger: An open ledger; it is read while the source is read.
        organization_id: Organization of the ledger, a part of the key, if the dataset contains several organizations.

    Returns:
        A dlt source whose resources are merged by key, so that each run updates the destination.
    """
    return [_resource(ledger, table, organization_id) for table in _READ]


def _resource(ledger: Ledger, table: StoredTable, organization_id: str | None) -> DltResource:
    def batches() -> Iterator[pa.Table]:
        rows = _READ[table](ledger)
        # Also of a table without rows: with it dlt makes the table in the destination.
        yield as_arrow(table, list(islice(rows, BATCH)), organization_id)
        while batch := list(islice(rows, BATCH)):
            yield as_arrow(table, batch, organization_id)

    return declare_resource(table.name, table, batches, organization_id)


def declare_resource(
    name: str,
    table: StoredTable,
    read: Callable[[], Iterator[Any]],
    organization_id: str | None,
) -> DltResource:
    """A dlt resource that merges rows into a table of the export.

    Args:
        name: Name of the resource.
        table: The table.
        read: Yields Arrow tables (`as_arrow`).
        organization_id: Organization of the ledger, if the dataset contains several organizations.
    """
    made = _stored(table, organization_id)
    resource = dlt.resource(
        read,
        name=name,
        table_name=made.name,
        write_disposition="merge",
        primary_key=made.key,
        columns=dlt_columns(made),
        references=references(made, EXPORTED if name in EXPORTED else (table.name,)),
    )
    return resource.apply_hints(additional_table_hints={"description": made.description})


def _stored(table: StoredTable, organization_id: str | None) -> StoredTable:
    """The table as the dataset has it, which may contain several organizations."""
    return table if organization_id is None else owned(table)


def as_arrow(table: StoredTable, rows: Iterable[Mapping[str, Any]], organization_id: str | None = None) -> pa.Table:
    """Rows of the ledger as Arrow.

    Args:
        table: The table of the export.
        rows: Such as from `entry_figures`.
        organization_id: Organization of the ledger, if the dataset contains several organizations.

    Raises:
        DestinationError: A number has more digits than its column.
    """
    same = {ORGANIZATION: organization_id, DLT_LOAD_ID: current_load_id() or None}
    try:
        return pa.Table.from_pylist([{**row, **same} for row in rows], _stored(table, organization_id).schema)
    except pa.ArrowInvalid as error:
        raise DestinationError(f"A number does not fit into its column of {table.name}: {error}.") from None


def export_ledger(ledger: Ledger, pipeline: SupportsPipeline, organization_id: str | None = None) -> dict[str, int]:
    """Load the ledger to the pipeline's destination, and make the views of `VIEWS` where it is DuckDB or Postgres.

    Args:
        ledger: An open ledger.
        pipeline: Pipeline of the destination and dataset.
        organization_id: Organization of the ledger, if the dataset contains several organizations.

    Returns:
        Table to number of loaded rows.

    Raises:
        ConfigurationError: The ledger is older than what was exported before, see `refuse_older`; or the dataset is
            that of its own tables.
        DestinationError: The destination refuses the rows, or cannot be reached.
    """
    refuse_own_tables(pipeline)
    refuse_older(ledger, pipeline, organization_id)
    try:
        pipeline.run(metering_ledger(ledger, organization_id))
    except Exception as error:
        cause = error.__context__ or error.__cause__ or error
        cause = getattr(cause, "client_exception", None) or cause  # dlt names the job first, and a traceback.
        raise DestinationError(f"The ledger cannot be loaded: {redact(str(cause))[:500]}") from error
    update_catalog(pipeline, (_stored(table, organization_id) for table in METERING_TABLES))
    write_views(pipeline, {view: _view(file, organization_id) for view, file in VIEWS.items()}, LINES.name)
    counts = pipeline.last_trace.last_normalize_info.row_counts if pipeline.last_trace else {}  # type: ignore[attr-defined]
    return {table: counts.get(table, 0) for table in EXPORTED}


def _view(file: str, organization_id: str | None) -> str:
    return read_sql(file).replace("{organization}", "" if organization_id is None else f"{ORGANIZATION}, ")


def refuse_own_tables(pipeline: SupportsPipeline) -> None:
    """Refuse to load `EXPORTED` to the schema of a ledger, whose own tables have these names.

    Raises:
        ConfigurationError: The dataset is that schema.
        DestinationError: The destination cannot be read.
    """
    if column_names(pipeline, META.name):
        raise ConfigurationError(
            "--dataset",
            f"{pipeline.dataset_name} is the schema of a ledger, whose own tables have the names of the export.",
            "Name another dataset, or move the ledger to a database of its own.",
        )


def refuse_older(ledger: Ledger, pipeline: SupportsPipeline, organization_id: str | None) -> None:
    """Refuse a ledger that lacks the last call of an export in the destination: another one sent it.

    Calls never leave a ledger. A copy that was used beside it, or an older state of it, lacks some.

    Raises:
        ConfigurationError: It lacks that call.
        DestinationError: The destination cannot be read.
    """
    calls = read_rows(pipeline, ATTEMPTS.name, ("attempt_id",), organization_filter(organization_id))
    last = max((row[0] for row in calls), default=None)
    if last is not None and not ledger.has_call(last):
        raise ConfigurationError(
            KEY,
            f"{ATTEMPTS.name} in the destination has the call {last}, which the ledger {ledger.location} lacks. "
            "Another ledger sent it, or this one is an old copy.",
            "Find the ledger that was exported, or restore its backup: `automatum push ledger restore --from FILE`. If "
            f"it is lost: settle what {LINES.name} has of the last day with the vendor, and drop the three metering "
            f"tables of the dataset {pipeline.dataset_name}.",
        )
