"""The exported `metering_lines`, `metering_attempts` and `metering_events` as proof: of a ledger that lacks lines, and
for a lost one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table, insert, select

from ..core.errors import ConfigurationError
from ..schema import metering_tables
from ..warehouse.sql import as_utc, read_column_names, stream_columns
from .ledger.batches import batches
from .ledger.entries import AttemptEntry, Entry
from .ledger.ledger import Ledger
from .ledger.location import KEY
from .ledger.states import TAKEN
from .ledger.tables import ATTEMPTS, EVENTS, LINES, Exact, Moment
from .model import format_decimal

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

    from ..core.clock import Clock
    from .ledger.location import Owner

_LOST = "It was planned or being sent when the ledger was exported; nobody knows whether it was sent."
_LINE = tuple(field.name for field in fields(Entry))
_ATTEMPT = tuple(field.name for field in fields(AttemptEntry))
_UNCERTAIN = ("planned", "sending")


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore added.

    Attributes:
        lines: Number of lines.
        attempts: Number of lines in calls.
        unknown: Number of those lines that are unknown, because they may have been sent after the export.
        last_call: Time of the last exported call. What was sent later is not known.
    """

    lines: int
    attempts: int
    unknown: int
    last_call: datetime | None


def check_exported(
    url: str, clock: Clock, owner: Owner | None, pipeline: SupportsPipeline, organization_id: str | None
) -> None:
    """Refuse a ledger that lacks lines which were exported to the destination: it is not the one that sent them.

    Lines are never removed from a ledger, so it has each sent line of any export of it. A copy that was used beside it
    has not.

    Raises:
        ConfigurationError: More lines were sent by the export than by the ledger.
        DestinationError: The destination cannot be read.
    """
    rows = list(stream_columns(pipeline, LINES.name, ("line_id", "attempts", "state"), organization_id))
    sent = {line_id for line_id, attempts, _ in rows if attempts}
    if not sent:
        return
    accepted = sum(state in TAKEN for line_id, _, state in rows if line_id in sent)
    with Ledger.open(url, clock, create=False, owner=owner) as ledger:
        here: set[str] = set()
        if ledger.exists:
            with ledger.database.read() as connection:
                here = set(connection.scalars(select(LINES.c.line_id).where(LINES.c.attempts > 0)))
        location = ledger.location
    if missing := len(sent - here):
        raise ConfigurationError(
            KEY,
            f"{LINES.name} in the destination holds {len(sent)} lines that were sent ({accepted} accepted), and the "
            f"ledger {location} has only {len(sent) - missing} of them. Another ledger sent the others, or this one is "
            "an old copy.",
            "Find the ledger that was exported; or add the missing lines with `automatum push ledger restore`.",
        )


def restore_ledger(ledger: Ledger, pipeline: SupportsPipeline, organization_id: str | None) -> Restored:
    """Add the exported lines and attempts that a ledger lacks. What it has stays as it is.

    Args:
        ledger: A ledger, often a new one.
        pipeline: Pipeline of the destination of the export.
        organization_id: Organization of the rows, if the tables contain several organizations.

    Raises:
        ConfigurationError: The destination holds no exported lines; or they were changed.
        DestinationError: The destination or the ledger cannot be reached.
    """
    lines = list(_exported(pipeline, LINES, _LINE, organization_id))
    attempts = list(_exported(pipeline, ATTEMPTS, _ATTEMPT, organization_id))
    events = list(_exported(pipeline, EVENTS, tuple(EVENTS.c.keys()), organization_id))
    if not lines:
        raise ConfigurationError(
            "--dataset", f"the destination holds no {LINES.name}.", "Name the dataset of `automatum push export`."
        )
    rows = [_line_row(values) for values in lines]
    calls = [_attempt_row(values) for values in attempts]
    with ledger.database.write() as connection:
        known = set(connection.scalars(select(LINES.c.line_id)))
        sent = {
            (row.attempt_id, row.line_id)
            for row in connection.execute(select(ATTEMPTS.c.attempt_id, ATTEMPTS.c.line_id))
        }
        new = [row for row in rows if row["line_id"] not in known]
        new_calls = [row for row in calls if (row["attempt_id"], row["line_id"]) not in sent]
        key = metering_tables.EVENTS.key
        settled = {tuple(row) for row in connection.execute(select(*(EVENTS.c[name] for name in key)))}
        new_events = [row for row in events if tuple(row[name] for name in key) not in settled]
        for table, found in ((LINES, new), (ATTEMPTS, new_calls), (EVENTS, new_events)):
            for batch in batches(found):
                connection.execute(insert(table), list(batch))
    unknown = sum(row["error"] == _LOST for row in new)
    last = max((row["started_at"] for row in calls), default=None)
    return Restored(len(new), len(new_calls), unknown, last)


def _exported(
    pipeline: SupportsPipeline, table: Table, names: Sequence[str], organization_id: str | None
) -> Iterator[dict[str, Any]]:
    # The export of an earlier version has fewer columns.
    there = read_column_names(pipeline, table.name)
    found = tuple(name for name in names if name in there)
    for row in list(stream_columns(pipeline, table.name, found, organization_id)) if found else ():
        values = dict.fromkeys(names) | dict(zip(found, row, strict=True))
        for name, value in values.items():
            kind = table.c[name].type
            if value is not None and isinstance(kind, Exact):
                values[name] = Decimal(format_decimal(Decimal(value)))
            elif value is not None and isinstance(kind, Moment):
                values[name] = as_utc(value)
        yield values


def _line_row(values: dict[str, Any]) -> dict[str, Any]:
    line = Entry(**values).line
    if (line.id, line.payload_hash) != (values["line_id"], values["payload_hash"]):
        raise ConfigurationError(
            "--dataset",
            f"the exported line {values['line_id']} was changed: its id or its amount does not fit its key.",
            "Restore the table as it was exported, and try again.",
        )
    row = {**values, "date_key": line.date_key}
    if values["state"] in _UNCERTAIN:
        row |= {"state": "unknown", "error": _LOST}
    return row


def _attempt_row(values: dict[str, Any]) -> dict[str, Any]:
    if values["state"] == "sending":
        return {**values, "state": "unknown", "error": _LOST}
    return values
