"""Loads the ledger to the destination as tables, by an ordinary dlt run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from ..schema.coerce import TIMESTAMP
from .ledger.ledger import Ledger
from .ledger.location import default_ledger_url, ledger_owner
from .model import format_decimal

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

BATCH = 5_000
_MONEY = pa.decimal128(38, 12)
_CHARGED = pa.decimal128(38, 18)
"""The rules allow 6 decimals of units times 12 of a price, and 20 digits before the decimal point."""
_TYPES = {
    "starts_at": TIMESTAMP, "first_seen_at": TIMESTAMP, "planned_at": TIMESTAMP, "sending_at": TIMESTAMP,
    "settled_at": TIMESTAMP, "started_at": TIMESTAMP, "ended_at": TIMESTAMP, "taken_at": TIMESTAMP,
    "day": pa.date32(), "attempts": pa.int64(), "status_code": pa.int64(), "carry_number": pa.int64(),
    "units": _MONEY, "price": _MONEY, "charged": _CHARGED, "accepted_units": _MONEY, "accepted_price": _MONEY,
    "asked_units": _MONEY, "asked_price": _MONEY, "carried_units": _MONEY,
}  # fmt: skip
LINES_KEY = ("line_id",)
ATTEMPTS_KEY = ("attempt_id", "line_id")
EVENTS_KEY = ("event_key", "attempt_id", "line_id")
EXPORTED = ("metering_lines", "metering_attempts", "metering_events")
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

    def lines() -> Iterator[pa.Table]:
        yield from _tables((entry.as_row() for entry in ledger.reader.lines()), owner, LINES_KEY)

    def attempts() -> Iterator[pa.Table]:
        yield from _tables((entry.as_row() for entry in ledger.reader.attempts()), owner, ATTEMPTS_KEY)

    def events() -> Iterator[pa.Table]:
        yield from _tables(ledger.reader.events(), owner, EVENTS_KEY)

    owner = owner_of(organization_id)
    return [
        dlt.resource(
            read,
            name=name,
            write_disposition="merge",
            primary_key=[*owner, *key],
            table_format=table_format,
        )
        for read, name, key in (
            (lines, "metering_lines", LINES_KEY),
            (attempts, "metering_attempts", ATTEMPTS_KEY),
            (events, "metering_events", EVENTS_KEY),
        )
    ]


def owner_of(organization_id: str | None) -> dict[str, str]:
    """The organization column and its value; empty if the dataset contains one organization."""
    return {} if organization_id is None else {ORGANIZATION: organization_id}


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
    counts = pipeline.last_trace.last_normalize_info.row_counts if pipeline.last_trace else {}  # type: ignore[attr-defined]
    return {table: counts.get(table, 0) for table in EXPORTED}


def entries_table(rows: Sequence[dict[str, Any]], key: Sequence[str]) -> pa.Table:
    """Rows of the ledger as Arrow.

    Args:
        rows: At least one row, from `Entry.as_row` or `AttemptEntry.as_row`.
        key: Names of the key columns.

    Raises:
        DestinationError: A number has more digits than its column.
    """
    # dlt declares keys as not nullable, so Arrow must do the same.
    never_null = (ORGANIZATION, *key)
    fields = [pa.field(name, _TYPES.get(name, pa.string()), nullable=name not in never_null) for name in rows[0]]
    return pa.table([_column(field, [row[field.name] for row in rows]) for field in fields], schema=pa.schema(fields))


def _tables(rows: Iterator[dict[str, Any]], owner: Mapping[str, str], key: Sequence[str]) -> Iterator[pa.Table]:
    while batch := list(islice(rows, BATCH)):
        yield entries_table([{**owner, **row} for row in batch], key)


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
