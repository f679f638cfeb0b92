"""Loads the ledger to the destination as tables, by an ordinary dlt run, and makes views of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
import pyarrow as pa
from dlt.extract import DltResource

from ..api.session import ApiSession
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
from ..warehouse.sql import stream_columns
from .ledger.entries import Entry, Item
from .ledger.ledger import Ledger
from .ledger.location import KEY, default_ledger_url, ledger_owner
from .model import exact, format_decimal

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

Rows = Callable[[], Iterator[dict[str, Any]]]
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


def line_rows(ledger: Ledger) -> Iterator[dict[str, Any]]:
    """Lines as rows of `metering_lines`, in the order of their ids.

    A line that a push is sending at this moment is missing: the API may refuse it for now, and then it is in no ledger.
    """
    abandoned, carried = ledger.abandoned(), carried_amounts(ledger.entries())
    return (line_row(entry, carried) for entry in ledger.entries() if entry.state != "sending" or entry.id in abandoned)


def carried_amounts(entries: Iterable[Entry]) -> dict[str, Decimal]:
    """Id of a line to the amount of the lines that bill it. They may have another price than the line has by now."""
    context, found = exact(), dict[str, Decimal]()
    for entry in entries:
        parent = entry.line.carried_from
        if parent is not None and entry.state != "unbilled":
            found[parent] = context.add(found.get(parent, Decimal(0)), entry.line.charged)
    return found


def line_row(entry: Entry, carried: Mapping[str, Decimal]) -> dict[str, Any]:
    """A line as a row of `metering_lines`; the organization and the load are missing.

    Args:
        entry: The line.
        carried: From `carried_amounts`.
    """
    line, context, zero = entry.line, exact(), Decimal(0)
    accepted = None
    if entry.accepted_units is not None and entry.accepted_price is not None:
        accepted = context.multiply(entry.accepted_units, entry.accepted_price)
    carried_amount = carried.get(entry.id, zero)
    open_amount = context.subtract(line.charged, context.add(accepted or zero, carried_amount))
    return {
        "line_id": entry.id,
        "asked_units": line.units,
        "asked_amount": line.charged,
        "accepted_amount": accepted,
        "carried_amount": carried_amount,
        "open_amount": open_amount,
        **{name: getattr(line, name) for name in _OF_LINE},
        **{name: getattr(entry, name) for name in _OF_ENTRY},
        **{name: getattr(entry, name) or None for name in ("why", "error", "settled_by")},
    }


_OF_LINE = (
    "vendor", "listing_id", "customer_id", "dimension", "entitlement_id", "grain", "starts_at", "day", "currency",
    "price", "carried_from", "carry_number", "title", "description", "per",
)  # fmt: skip
_OF_ENTRY = (
    "state", "accepted_units", "accepted_price", "carried_units", "open_units", "source", "attempts", "attempt_id",
    "first_seen_at", "sent_at", "settled_at",
)  # fmt: skip


def _attempt_rows(ledger: Ledger) -> Iterator[dict[str, Any]]:
    for row in ledger.attempts():
        yield {**row, "amount": exact().multiply(row["units"], row["price"])}


def _item_row(item: Item) -> dict[str, Any]:
    import orjson

    return {
        "item_id": item.id,
        "kind": item.kind,
        "subject": item.subject,
        "source": item.source or None,
        "reason": item.reason,
        "data": orjson.dumps(dict(item.data), default=str).decode(),
        "recorded_by": item.by,
        "recorded_at": item.at,
        "closed_at": item.closed_at,
        "closed_by": item.closed_by or None,
        "closed_reason": item.closed_reason or None,
    }


@dlt.source(name="automatum_metering", section="automatum")
def metering_ledger(
    ledger: Ledger, organization_id: str | None = None, table_format: Any = None
) -> Iterable[DltResource]:
    """The ledger's lines, attempts and journal, as `metering_lines`, `metering_attempts` and `metering_journal`.

    Args:
        ledger: An open ledger; it is read while the source is read.
        organization_id: Organization of the ledger, a part of the key, if the dataset contains several organizations.
        table_format: `delta` or `iceberg`; see `sources.automatum.table_format`.

    Returns:
        A dlt source whose resources are merged by key, so that each run updates the destination.
    """
    read: dict[StoredTable, Rows] = {
        LINES: lambda: line_rows(ledger),
        ATTEMPTS: lambda: _attempt_rows(ledger),
        JOURNAL: lambda: map(_item_row, ledger.items()),
    }
    return [_resource(table, rows, organization_id, table_format) for table, rows in read.items()]


def _resource(table: StoredTable, read: Rows, organization_id: str | None, table_format: Any) -> DltResource:
    def batches() -> Iterator[pa.Table]:
        rows = read()
        # Also of a table without rows: with it dlt makes the table in the destination.
        yield as_arrow(table, list(islice(rows, BATCH)), organization_id)
        while batch := list(islice(rows, BATCH)):
            yield as_arrow(table, batch, organization_id)

    return declare_resource(table.name, table, batches, organization_id, table_format)


def declare_resource(
    name: str,
    table: StoredTable,
    read: Callable[[], Iterator[Any]],
    organization_id: str | None,
    table_format: Any = None,
) -> DltResource:
    """A dlt resource that merges rows into a table of the export.

    Args:
        name: Name of the resource.
        table: The table.
        read: Yields Arrow tables (`as_arrow`).
        organization_id: Organization of the ledger, if the dataset contains several organizations.
        table_format: `delta` or `iceberg`; see `sources.automatum.table_format`.
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
        table_format=table_format,
    )
    return resource.apply_hints(additional_table_hints={"description": made.description})


def _stored(table: StoredTable, organization_id: str | None) -> StoredTable:
    """The table as the dataset has it, which may contain several organizations."""
    return table if organization_id is None else owned(table)


def as_arrow(table: StoredTable, rows: Sequence[Mapping[str, Any]], organization_id: str | None = None) -> pa.Table:
    """Rows of the ledger as Arrow.

    Args:
        table: The table of the export.
        rows: Such as from `line_row`.
        organization_id: Organization of the ledger, if the dataset contains several organizations.

    Raises:
        DestinationError: A number has more digits than its column.
    """
    schema = _stored(table, organization_id).schema
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


def export_ledger(
    ledger: Ledger, pipeline: SupportsPipeline, organization_id: str | None = None, table_format: Any = None
) -> dict[str, int]:
    """Load the ledger to the pipeline's destination, and make the views of `VIEWS` where it is DuckDB or Postgres.

    Args:
        ledger: An open ledger.
        pipeline: Pipeline of the destination and dataset.
        organization_id: Organization of the ledger, if the dataset contains several organizations.
        table_format: `delta` or `iceberg`; see `sources.automatum.table_format`.

    Returns:
        Table to number of loaded rows.

    Raises:
        ConfigurationError: The ledger is older than what was exported before; see `refuse_older`.
        DestinationError: The destination refuses the rows, or cannot be reached.
    """
    refuse_older(ledger, pipeline, organization_id)
    try:
        pipeline.run(metering_ledger(ledger, organization_id, table_format))
    except Exception as error:
        cause = error.__context__ or error.__cause__ or error
        raise DestinationError(f"The ledger cannot be loaded: {redact(str(cause))[:500]}") from error
    update_catalog(pipeline, (_stored(table, organization_id) for table in METERING_TABLES))
    write_views(pipeline, {view: _view(file, organization_id) for view, file in VIEWS.items()}, LINES.name)
    counts = pipeline.last_trace.last_normalize_info.row_counts if pipeline.last_trace else {}  # type: ignore[attr-defined]
    return {table: counts.get(table, 0) for table in EXPORTED}


def _view(file: str, organization_id: str | None) -> str:
    return read_sql(file).replace("{organization}", "" if organization_id is None else f"{ORGANIZATION}, ")


def refuse_older(ledger: Ledger, pipeline: SupportsPipeline, organization_id: str | None) -> None:
    """Refuse a ledger that lacks the last call of an export in the destination: another one sent it.

    Calls never leave a ledger. A copy that was used beside it, or an older state of it, lacks some.

    Raises:
        ConfigurationError: It lacks that call.
        DestinationError: The destination cannot be read.
    """
    calls = stream_columns(pipeline, ATTEMPTS.name, ("attempt_id",), organization_id)
    last = max((row[0] for row in calls), default=None)
    if last is not None and not ledger.has_call(last):
        raise ConfigurationError(
            KEY,
            f"{ATTEMPTS.name} in the destination has the call {last}, which the ledger {ledger.location} lacks. "
            "Another ledger sent it, or this one is an old copy.",
            "Find the ledger that was exported; or bring back what it lacks: `automatum push ledger restore`.",
        )


def export(session: ApiSession, pipeline: SupportsPipeline) -> dict[str, int]:
    """Load the ledger of a session's settings, if it exists; returns table to number of rows."""
    settings = session.settings
    with Ledger.open(default_ledger_url(settings), session.clock, ledger_owner(settings)) as ledger:
        return export_ledger(ledger, pipeline, settings.owner, settings.table_format) if ledger.exists else {}
