"""Copies whole ledgers: to a backup, and back from one or from an export; a failure leaves nothing behind (I5)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Table, func, insert, select, update

from ...core.clock import Clock
from ...core.errors import ConfigurationError
from ...warehouse.sql import as_utc, column_names, organization_filter, read_rows
from ..model import format_decimal
from .database import Fill
from .identity import adopt_identity, problem_of_owner, read_meta, refuse_beside_original
from .ledger import Ledger
from .location import Owner
from .rows import to_entry
from .tables import ATTEMPTS, CONTENT, JOURNAL, LINES, META, Exact, batches

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

LOST = "It was being sent when the ledger was copied; nobody knows whether it was billed."
_BATCH = 1_000

Exported = Mapping[str, Iterable[Mapping[str, Any]]]
"""Rows of an export, by the name of the table."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restored ledger holds.

    Attributes:
        rows: Table to number of rows.
        last_call: Time of the last call; None if there was none. What was sent after it is not known.
        unknown: Number of its lines that are unknown, because they were being sent at that time.
        lacks: The call that was sent from this place, and that it lacks; it must be adopted then. None if it has it.
    """

    rows: dict[str, int]
    last_call: datetime | None
    unknown: int
    lacks: str | None


def url_of(ledger: Ledger) -> str:
    """Where a ledger is, as a URL without user and password."""
    return f"sqlite:///{ledger.location}" if ledger.path else f"postgresql://{ledger.location}"


def count_rows(connection: Connection) -> dict[str, int]:
    """Number of rows by table, without those that say what the ledger is."""
    return {table.name: connection.scalar(select(func.count()).select_from(table)) or 0 for table in CONTENT}


def backup(ledger: Ledger, path: Path) -> dict[str, int]:
    """Copy a ledger to a SQLite file. Pushes refuse the copy until it is restored or adopted.

    Args:
        ledger: The ledger. Nobody can write to it meanwhile.
        path: The file. It must not exist.

    Returns:
        Table to number of rows.

    Raises:
        ConfigurationError: There is no ledger; or the file exists, or cannot be written.
        DestinationError: A database cannot be reached.
    """
    path = path.expanduser().absolute()
    if path.exists():
        raise ConfigurationError("FILE", f"{path} exists already.", "Name another file.")
    with ledger.write() as connection, Ledger.open(f"sqlite:///{path}", ledger.clock) as target:
        meta = read_meta(connection)
        values = {name: meta[name] for name in ("ledger_id", "api", "organization", "created_at")}

        def fill(into: Connection) -> None:
            _copy(connection, into)
            into.execute(update(META).values(values | {"copied_from": url_of(ledger)}))

        target.create(fill)
        return count_rows(connection)


def restore(url: str, clock: Clock, owner: Owner, source: Path | Exported) -> Restored:
    """Bring a lost ledger back. What was being sent is unknown afterwards.

    Args:
        url: Database of the ledger. There must be none, or an empty one.
        clock: Time.
        owner: Whose ledger it is.
        source: A backup; or the rows of an export, from `read_exported`.

    Raises:
        ConfigurationError: There is a ledger with lines; or the source is no backup, is another's, was changed, or is
            still in use.
        DestinationError: A database cannot be reached.
    """
    if not isinstance(source, Path):
        return _restore(url, clock, owner, {}, lambda into: _write_exported(into, source))
    path = source.expanduser().absolute()
    with Ledger.open(f"sqlite:///{path}", clock) as copy:
        copy.require_tables()
        with copy.read() as connection:
            meta = read_meta(connection)
            if problem := problem_of_owner({**meta, "copied_from": None}, str(path), owner):
                raise problem
            if not meta["copied_from"]:
                raise ConfigurationError(
                    "--from",
                    f"{path} is a ledger that is in use, not a backup of one. Both would bill what the other has "
                    "billed.",
                    "Make a backup: `automatum push ledger backup FILE`. Then remove or rename the ledger itself.",
                )
            refuse_beside_original(meta, str(path), meta["copied_from"])
            known = {name: meta[name] for name in ("ledger_id", "created_at")}
            return _restore(url, clock, owner, known, lambda into: _copy(connection, into))


def adopt(url: str, clock: Clock, owner: Owner) -> None:
    """Make a copy, an older state or the ledger of another name the ledger of an owner.

    Args:
        url: Its database.
        clock: Time.
        owner: Whose ledger it is from now on.

    Raises:
        ConfigurationError: There is no ledger, or the one that it is a copy of is still there.
        DestinationError: The database cannot be reached.
    """
    with Ledger.open(url, clock) as ledger:
        with ledger.write() as connection:
            adopt_identity(connection, ledger.location, ledger.path, owner)
        ledger.note.forget()


def read_exported(pipeline: SupportsPipeline, organization_id: str | None) -> Exported:
    """Rows of the exported ledger in a destination.

    Args:
        pipeline: Pipeline of the destination of the export.
        organization_id: Organization of the rows, if the tables contain several organizations.

    Raises:
        ConfigurationError: The destination holds no exported lines, or those of an earlier version.
        DestinationError: The destination cannot be read.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for table in CONTENT:
        there = column_names(pipeline, table.name)
        names = tuple(column.name for column in table.columns if column.name in there)
        rows = read_rows(pipeline, table.name, names, organization_filter(organization_id)) if names else ()
        found[table.name] = [dict(zip(names, row, strict=True)) for row in rows]
    if not found[LINES.name]:
        raise ConfigurationError(
            "--dataset", f"the destination holds no {LINES.name}.", "Name the dataset of `automatum push export`."
        )
    return found


def _restore(url: str, clock: Clock, owner: Owner, known: Mapping[str, Any], fill: Fill) -> Restored:
    """Create a ledger from the rows that `fill` writes; see `restore`."""
    unknown: list[int] = []

    def write(into: Connection) -> None:
        fill(into)
        lost = {"state": "unknown", "error": LOST}
        unknown.append(into.execute(update(LINES).where(LINES.c.state == "sending").values(lost)).rowcount)
        into.execute(update(ATTEMPTS).where(ATTEMPTS.c.state == "sending").values(lost))
        into.execute(update(META).values({**known, "api": owner.api, "organization": owner.organization}))

    with Ledger.open(url, clock) as ledger:
        ledger.create(write)
        noted = ledger.note.read()
        lacks = noted if noted and not ledger.has_call(noted) else None
        with ledger.read() as connection:
            last_call = connection.scalar(select(func.max(ATTEMPTS.c.started_at)))
            return Restored(count_rows(connection), last_call, unknown[0], lacks)


def _copy(connection: Connection, into: Connection) -> None:
    for table in CONTENT:
        found = connection.execute(select(table).execution_options(yield_per=_BATCH))
        for batch in found.mappings().partitions():
            into.execute(insert(table), [dict(row) for row in batch])


def _write_exported(into: Connection, source: Exported) -> None:
    for table in CONTENT:
        for batch in batches([_imported(table, row) for row in source.get(table.name, ())]):
            into.execute(insert(table), list(batch))


def _imported(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of an export as the ledger has it. An export has null for an empty text, and no ids of a run's lines."""
    values: dict[str, Any] = {}
    for column in table.columns:
        value = row.get(column.name)
        if value is None:
            value = None if column.nullable else ""
        elif isinstance(column.type, Exact):
            value = Decimal(format_decimal(Decimal(value)))
        elif column.name.endswith("_at"):
            value = as_utc(value)
        values[column.name] = value
    if table is LINES:
        if row.get("asked_units") is None:
            raise ConfigurationError(
                "--dataset",
                f"the line {values['line_id']} was exported by an earlier version.",
                "Restore the ledger with that version. The next command of this one upgrades it.",
            )
        values["carry_number"] = values["carry_number"] or 0
        line = replace(to_entry([values[column.name] for column in LINES.columns], Decimal(0)).line)
        values["date_key"] = line.date_key
        if line.id != values["line_id"]:
            raise ConfigurationError(
                "--dataset",
                f"the exported line {values['line_id']} was changed: its id does not fit its key.",
                "Restore the table as it was exported, and try again.",
            )
    if table is JOURNAL and not isinstance(values["data"], str):
        values["data"] = json.dumps(values["data"])
    return values
