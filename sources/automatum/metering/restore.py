"""The exported `metering_lines` and `metering_attempts` as proof: of a ledger that lacks lines, and for a lost one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select

from ..core.errors import ConfigurationError
from ..warehouse.sql import as_utc, read_column_names, read_columns
from .ledger.engines import KEY
from .ledger.entries import AttemptEntry, Entry, date_key_of
from .ledger.ledger import Ledger
from .ledger.states import TAKEN, chunks
from .ledger.tables import ATTEMPTS, LINES, Exact, Moment
from .model import format_decimal

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

    from ..core.clock import Clock
    from .ledger.identity import Owner

_LOST = "It was planned or being sent when the ledger was exported; nobody knows whether it was sent."
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

    Lines are never removed from a ledger, so it has at least as many sent lines as any export of it.

    Raises:
        ConfigurationError: More lines were sent by the export than by the ledger.
        DestinationError: The destination cannot be read.
    """
    sent = accepted = 0
    rows = read_columns(pipeline, LINES.name, ("attempts", "state"), organization_id=organization_id)
    for attempts, state in rows:
        sent += bool(attempts)
        accepted += state in TAKEN
    if not sent:
        return
    with Ledger.open(url, clock, create=False, owner=owner) as ledger:
        here = 0
        if ledger.exists:
            with ledger.database.read() as connection:
                here = connection.scalar(select(func.count()).select_from(LINES).where(LINES.c.attempts > 0)) or 0
        counts = ledger.counts()
        location, accepted_here = ledger.location, sum(counts[state] for state in TAKEN)
    if sent > here:
        raise ConfigurationError(
            KEY,
            f"{LINES.name} in the destination holds {sent} lines that were sent ({accepted} accepted), and the ledger "
            f"{location} only {here} ({accepted_here} accepted). Another ledger sent them, or this one is an old copy.",
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
    lines = list(_exported(pipeline, LINES, organization_id))
    attempts = list(_exported(pipeline, ATTEMPTS, organization_id))
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
        for table, found in ((LINES, new), (ATTEMPTS, new_calls)):
            for chunk in chunks(found):
                connection.execute(insert(table), list(chunk))
    unknown = sum(row["error"] == _LOST for row in new)
    last = max((row["started_at"] for row in calls), default=None)
    return Restored(len(new), len(new_calls), unknown, last)


def _exported(pipeline: SupportsPipeline, table: Any, organization_id: str | None) -> Iterator[dict[str, Any]]:
    names = tuple(field.name for field in fields(Entry if table is LINES else AttemptEntry))
    # The export of an earlier version has fewer columns.
    there = read_column_names(pipeline, table.name)
    found = tuple(name for name in names if name in there)
    for row in read_columns(pipeline, table.name, found, organization_id=organization_id) if found else ():
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
    row = {**values, "date_key": date_key_of(line)}
    if values["state"] in _UNCERTAIN:
        row |= {"state": "unknown", "error": _LOST}
    return row


def _attempt_row(values: dict[str, Any]) -> dict[str, Any]:
    if values["state"] == "sending":
        return {**values, "state": "unknown", "error": _LOST}
    return values
