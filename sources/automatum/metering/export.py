"""Loads the ledger to the destination as tables, by an ordinary dlt run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

import dlt
import pyarrow as pa
from dlt.extract import DltResource

from ..api.session import ApiSession
from ..core.errors import DestinationError
from ..core.redaction import redact
from ..endpoints import ORGANIZATION
from ..schema.columns import DLT_LOAD_ID
from ..schema.metering_tables import ATTEMPTS, EVENTS, LINES, METERING_TABLES
from ..schema.stored import StoredTable
from ..schema.tables import owned
from ..warehouse.catalog import update_catalog
from ..warehouse.dlt_internals import current_load_id
from ..warehouse.dlt_schema import dlt_columns, references
from .ledger.ledger import Ledger
from .ledger.location import default_ledger_url, ledger_owner
from .model import format_decimal

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

Rows = Callable[[], Iterator[dict[str, Any]]]
BATCH = 5_000
EXPORTED = tuple(table.name for table in METERING_TABLES)
"""Tables of the export."""


@dlt.source(name="automatum_metering", section="automatum")
def metering_ledger(
    ledger: Ledger, organization_id: str | None = None, table_format: Any = None
) -> Iterable[DltResource]:
    """The ledger's lines, attempts and events, as `metering_lines`, `metering_attempts` and `metering_events`.

    Args:
        ledger: An open ledger; it is read while the source is read.
        organization_id: Organization of the ledger, a part of the key, if the dataset contains several organizations.
        table_format: `delta` or `iceberg`; see `sources.automatum.table_format`.

    Returns:
        A dlt source whose resources are merged by key, so that each run updates the destination.
    """
    reader = ledger.reader
    read: dict[StoredTable, Rows] = {
        LINES: lambda: (entry.as_row() for entry in reader.lines()),
        ATTEMPTS: lambda: (entry.as_row() for entry in reader.attempts()),
        EVENTS: reader.events,
    }
    return [_resource(table, rows, organization_id, table_format) for table, rows in read.items()]


def _resource(table: StoredTable, read: Rows, organization_id: str | None, table_format: Any) -> DltResource:
    def batches() -> Iterator[pa.Table]:
        rows = read()
        # Also of a table without rows: with it dlt makes the table in the destination.
        yield entries_table(table, list(islice(rows, BATCH)), organization_id)
        while batch := list(islice(rows, BATCH)):
            yield entries_table(table, batch, organization_id)

    return declare_resource(table.name, table, batches, organization_id, EXPORTED, table_format)


def declare_resource(
    name: str,
    table: StoredTable,
    read: Callable[[], Iterator[Any]],
    organization_id: str | None,
    known: Collection[str],
    table_format: Any = None,
) -> DltResource:
    """A dlt resource that merges rows into a table of the export.

    Args:
        name: Name of the resource.
        table: The table.
        read: Yields Arrow tables (`entries_table`).
        organization_id: Organization of the ledger, if the dataset contains several organizations.
        known: Tables to which references are declared.
        table_format: `delta` or `iceberg`; see `sources.automatum.table_format`.
    """
    made = stored_table(table, organization_id)
    resource = dlt.resource(
        read,
        name=name,
        table_name=made.name,
        write_disposition="merge",
        primary_key=made.key,
        columns=dlt_columns(made),
        references=references(made, known),
        table_format=table_format,
    )
    return resource.apply_hints(additional_table_hints={"description": made.description})


def stored_table(table: StoredTable, organization_id: str | None) -> StoredTable:
    """A table of the export as the dataset has it.

    Args:
        table: The table, as it is without several organizations.
        organization_id: Organization of the ledger, if the dataset contains several organizations.
    """
    return table if organization_id is None else owned(table)


def export_ledger(
    ledger: Ledger, pipeline: SupportsPipeline, organization_id: str | None = None, table_format: Any = None
) -> dict[str, int]:
    """Load the ledger to the pipeline's destination.

    Args:
        ledger: An open ledger.
        pipeline: Pipeline of the destination and dataset.
        organization_id: Organization of the ledger, if the dataset contains several organizations.
        table_format: `delta` or `iceberg`; see `sources.automatum.table_format`.

    Returns:
        Table to number of loaded rows.

    Raises:
        DestinationError: The destination refuses the rows, or cannot be reached.
    """
    try:
        pipeline.run(metering_ledger(ledger, organization_id, table_format))
    except Exception as error:
        cause = error.__context__ or error.__cause__ or error
        raise DestinationError(f"The ledger cannot be loaded: {redact(str(cause))[:500]}") from error
    update_catalog(pipeline, (stored_table(table, organization_id) for table in METERING_TABLES))
    counts = pipeline.last_trace.last_normalize_info.row_counts if pipeline.last_trace else {}  # type: ignore[attr-defined]
    return {table: counts.get(table, 0) for table in EXPORTED}


def entries_table(table: StoredTable, rows: Sequence[Mapping[str, Any]], organization_id: str | None) -> pa.Table:
    """Rows of the ledger as Arrow.

    Args:
        table: The table of the export.
        rows: From `Entry.as_row`, `AttemptEntry.as_row` or `LedgerReader.events`.
        organization_id: Organization of the ledger, if the dataset contains several organizations.

    Raises:
        DestinationError: A number has more digits than its column.
    """
    schema = stored_table(table, organization_id).schema
    same = {ORGANIZATION: organization_id, DLT_LOAD_ID: current_load_id() or None}
    columns = [
        pa.repeat(pa.scalar(same[field.name], field.type), len(rows))
        if field.name in same
        else _column(field, [row[field.name] for row in rows])
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _column(field: pa.Field, values: list[Any]) -> pa.Array:
    if pa.types.is_decimal(field.type):
        values = [None if value is None else _check_digits(value, field.type) for value in values]
    return pa.array(values, type=field.type)


def _check_digits(value: Decimal, kind: pa.Decimal128Type) -> Decimal:
    whole, decimals = kind.precision - kind.scale, kind.scale
    if abs(value) >= Decimal(10) ** whole or len(format_decimal(value).partition(".")[2]) > decimals:
        raise DestinationError(f"{format_decimal(value)} does not fit into decimal({kind.precision}, {decimals}).")
    return value


def export(session: ApiSession, pipeline: SupportsPipeline) -> dict[str, int]:
    """Load the ledger of a session's settings, if it exists; returns table to number of rows."""
    with Ledger.open(
        default_ledger_url(session.settings), session.clock, create=False, owner=ledger_owner(session.settings)
    ) as ledger:
        settings = session.settings
        return export_ledger(ledger, pipeline, settings.owner, settings.table_format) if ledger.exists else {}
