"""Copies whole ledgers: to a backup, and back from one or from an export; a failure leaves nothing behind (I5)."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection, Table, func, insert, select, update

from ...core.clock import Clock
from ...core.errors import ConfigurationError, DestinationError
from ...warehouse.sql import as_utc, read_column_names, stream_columns
from ..model import date_key, exact, format_decimal
from .database import LedgerDatabase
from .entries import Entry
from .identity import adopt_identity, problem_of_owner, read_meta, refuse_beside_original
from .ledger import Ledger
from .lines import to_entry, to_row
from .location import Owner
from .tables import ATTEMPTS, CONTENT, JOURNAL, LINES, META, Exact, Moment, batches
from .upgrade import upgraded_attempts, upgraded_lines

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

LOST = "It was being sent when the ledger was copied; nobody knows whether it was billed."
_BATCH = 1_000
_KEY = ("vendor", "listing_id", "customer_id", "dimension")

Exported = Mapping[str, Iterable[Mapping[str, Any]]]
"""Rows of an export, by the name of the table."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a ledger holds, to compare two of them.

    Attributes:
        rows: Table to number of rows.
        digest: SHA-256 of all values, whatever their order and the kind of the database.
        last_call: Time of the last call; None if there was none.
    """

    rows: dict[str, int]
    digest: str
    last_call: datetime | None


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restored ledger holds.

    Attributes:
        content: Its content. What was sent after `content.last_call` is not known.
        unknown: Number of its lines that are unknown, because they were being sent at that time.
        lacks: The call that was sent from this place, and that it lacks; it must be adopted then. None if it has it.
    """

    content: Content
    unknown: int
    lacks: str | None


def url_of(ledger: Ledger) -> str:
    """Where a ledger is, as a URL without user and password."""
    return f"sqlite:///{ledger.location}" if ledger.database.path else f"postgresql://{ledger.location}"


def content_of(connection: Connection) -> Content:
    """The content of a ledger, without its identity."""
    rows, total = {}, 0
    for table in CONTENT:
        rows[table.name] = 0
        for row in _rows(connection, table):
            rows[table.name] += 1
            text = "\x1f".join([table.name, *(f"{name}={_text(row[name])}" for name in sorted(row))])
            total = (total + int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")) % 2**256
    return Content(rows, f"{total:064x}", connection.scalar(select(func.max(ATTEMPTS.c.started_at))))


def backup(ledger: Ledger, path: Path) -> Content:
    """Copy a ledger to a SQLite file. Pushes refuse the copy until it is restored or adopted.

    Args:
        ledger: The ledger. Nobody can write to it meanwhile.
        path: The file. It must not exist.

    Raises:
        ConfigurationError: There is no ledger; or the file exists, or cannot be written.
        DestinationError: A database cannot be reached, or the copy differs from the ledger.
    """
    path = path.expanduser().absolute()
    if path.exists():
        raise ConfigurationError("FILE", f"{path} exists already.", "Name another file.")
    with ledger.database.write(moved=True) as connection:
        meta = read_meta(connection)
        values = {name: meta[name] for name in ("ledger_id", "api", "organization", "created_at")}
        target = LedgerDatabase(f"sqlite:///{path}", ledger.database.clock)
        try:
            content: list[Content] = []

            def fill(into: Connection) -> None:
                content.append(_copy(connection, into, ledger.location))
                into.execute(update(META).values(values | {"copied_from": url_of(ledger)}))

            target.create(fill)
        finally:
            target.close()
    return content[0]


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
        DestinationError: A database cannot be reached, or the copy differs from the source.
    """
    if isinstance(source, Path):
        path = source.expanduser().absolute()
        with Ledger.open(f"sqlite:///{path}", clock) as copy:
            copy.database.require_tables()
            with copy.database.read() as connection:
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
                refuse_beside_original(meta, str(path), meta["copied_from"].removeprefix("sqlite:///"))
                return _restore(url, clock, owner, meta, lambda into: _copy(connection, into, str(path)))
    return _restore(url, clock, owner, {}, lambda into: _write_exported(into, source))


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
        database = ledger.database
        database.require_tables()
        with database.write(moved=True) as connection:
            adopt_identity(connection, ledger.location, database.path, owner)
        database.note.forget()


def read_exported(pipeline: SupportsPipeline, organization_id: str | None) -> Exported:
    """Rows of the exported ledger in a destination.

    Args:
        pipeline: Pipeline of the destination of the export.
        organization_id: Organization of the rows, if the tables contain several organizations.

    Raises:
        ConfigurationError: The destination holds no exported lines.
        DestinationError: The destination cannot be read.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for table in (LINES.name, ATTEMPTS.name, JOURNAL.name, "metering_events"):
        there = tuple(sorted(name for name in read_column_names(pipeline, table) if not name.startswith("_dlt")))
        rows = stream_columns(pipeline, table, there, organization_id) if there else ()
        found[table] = [dict(zip(there, row, strict=True)) for row in rows]
    if not found[LINES.name]:
        raise ConfigurationError(
            "--dataset", f"the destination holds no {LINES.name}.", "Name the dataset of `automatum push export`."
        )
    return found


def _restore(url: str, clock: Clock, owner: Owner, meta: Mapping[str, Any], fill: Any) -> Restored:
    """Create a ledger from the rows that `fill` writes; see `restore`."""
    unknown: list[int] = []
    values = {name: meta[name] for name in ("ledger_id", "created_at") if name in meta}
    values |= {"api": owner.api, "organization": owner.organization}

    def write(into: Connection) -> None:
        fill(into)
        lost = {"state": "unknown", "error": LOST}
        unknown.append(into.execute(update(LINES).where(LINES.c.state == "sending").values(lost)).rowcount)
        into.execute(update(ATTEMPTS).where(ATTEMPTS.c.state == "sending").values(lost))
        into.execute(update(META).values(values))

    with Ledger.open(url, clock) as ledger:
        database = ledger.database
        database.create(write, replace=True)
        noted = database.note.read()
    with Ledger.open(url, clock) as ledger, ledger.database.read() as connection:
        return Restored(content_of(connection), unknown[0], noted if noted and not ledger.has_call(noted) else None)


def _copy(connection: Connection, into: Connection, location: str) -> Content:
    for table in CONTENT:
        for batch in batches(list(_rows(connection, table)), _BATCH):
            into.execute(insert(table), list(batch))
    before, after = content_of(connection), content_of(into)
    if before != after:
        raise DestinationError(
            f"The copy differs from {location}: {after.rows} instead of {before.rows}.", "Nothing was kept. Try again."
        )
    return after


def _write_exported(into: Connection, source: Exported) -> None:
    lines = [_typed(LINES, row) for row in source[LINES.name]]
    for row in lines:
        vendor, listing_id, customer_id, dimension = (row[name] for name in _KEY)
        row["date_key"] = date_key(vendor, listing_id, customer_id, dimension, row["starts_at"].date())
        if row["state"] == "planned":  # of an earlier version
            row["state"] = "sending"
    entries = _entries(lines)
    for row, entry in zip(lines, entries, strict=True):
        if replace(entry.line).id != row["line_id"]:
            raise ConfigurationError(
                "--dataset",
                f"the exported line {row['line_id']} was changed: its id does not fit its key.",
                "Restore the table as it was exported, and try again.",
            )
    for batch in batches(entries):
        into.execute(insert(LINES), [to_row(entry) for entry in batch])
    events = [_typed(JOURNAL, row) for row in source.get("metering_events", ())]
    calls = [_typed(ATTEMPTS, row) for row in source.get(ATTEMPTS.name, ())]
    for calls_ in batches(list(upgraded_attempts(calls, events))):
        into.execute(insert(ATTEMPTS), list(calls_))
    items = [_item(_typed(JOURNAL, row)) for row in source.get(JOURNAL.name, ())]
    for items_ in batches(items):
        into.execute(insert(JOURNAL), list(items_))


def _entries(lines: list[dict[str, Any]]) -> list[Entry]:
    """Exported lines as entries, with what other lines carry of them."""
    carried: dict[str, Decimal] = defaultdict(Decimal)
    for row in lines:
        if (parent := row.get("carried_from")) and row["state"] not in ("unbilled", "rejected", "expired", "canceled"):
            units = row["asked_units"] if row.get("asked_units") is not None else row["units"]
            carried[parent] = exact().add(carried[parent], units)
    found: list[Entry] = []
    for row in lines:
        if row.get("units") is not None:  # of an earlier version
            found += upgraded_lines([row], carried)
        else:
            texts = {name: row.get(name) or "" for name in ("why", "error", "source", "settled_by")}
            number = {"carry_number": row.get("carry_number") or 0}
            values = {**row, **texts, **number}
            found.append(to_entry([values.get(column.name) for column in LINES.columns], carried[row["line_id"]]))
    return found


def _item(row: dict[str, Any]) -> dict[str, Any]:
    found = {column.name: row.get(column.name) for column in JOURNAL.columns}
    found |= {name: row.get(name) or "" for name in ("source", "reason", "recorded_by", "closed_by", "closed_reason")}
    data = row.get("data")
    return {**found, "data": data if isinstance(data, str) else json.dumps(data or {}), "line_ids": None}


def _typed(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of an export with the types of the ledger."""
    values = dict(row)
    for name, value in values.items():
        kind = table.c[name].type if name in table.c else None
        if isinstance(value, Decimal) and not isinstance(kind, Moment):
            values[name] = Decimal(format_decimal(value))
        elif value is not None and isinstance(kind, Exact):
            values[name] = Decimal(format_decimal(Decimal(value)))
        elif value is not None and name.endswith("_at"):
            values[name] = as_utc(value)
    return values


def _rows(connection: Connection, table: Table) -> Iterator[dict[str, Any]]:
    found = connection.execute(select(table).execution_options(yield_per=_BATCH))
    for row in found.mappings():
        yield dict(cast(Mapping[str, Any], row))


def _text(value: Any) -> str:
    if value is None:
        return "\0"
    if isinstance(value, Decimal):
        return format_decimal(value)  # 1.0 is 1
    return value.isoformat() if isinstance(value, datetime) else str(value)
