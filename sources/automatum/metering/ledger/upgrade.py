"""Upgrades ledgers of versions 1 to 5, once, in one transaction. Nothing that may have been billed is sent again."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Column, Connection, MetaData, Table, insert, inspect, select, text

from ..model import Line, exact
from .entries import Entry, State
from .identity import insert_meta, is_same_place, place_of
from .journal import to_row as to_item
from .lines import to_row
from .tables import ATTEMPTS, JOURNAL, LINES, METADATA, VERSION, Exact, Moment

EARLIER_TABLES = frozenset({"metering_schema", "metering_lines", "metering_attempts", "metering_events"})
"""Tables that each of these versions has."""
PLANNED = "Planned by an earlier version, and not sent: push the usage again."
_PREFIX = "earlier_"
_UPGRADED = EARLIER_TABLES | {"metering_identity", "metering_decisions", "metering_refusals", "metering_holds"}
_UPGRADED |= {"metering_sources", "metering_plans"}
_NUMBERS = {"units", "price", "charged", "accepted_units", "accepted_price", "asked_units", "asked_price"}
_NUMBERS |= {"carried_units"}
_STATES: Mapping[str, tuple[State, str]] = {
    "sending": ("sending", ""),
    "accepted": ("accepted", ""),
    "confirmed": ("confirmed", ""),
    "rejected": ("unbilled", "rejected"),
    "expired": ("unbilled", "expired"),
    "canceled": ("unbilled", "rejected"),
    "conflict": ("conflict", "differs"),
    "unknown": ("unknown", ""),
    "writeoff": ("settled", "never"),
    "carried": ("settled", "carried"),
}
_LINE = ("vendor", "listing_id", "customer_id", "dimension", "grain", "starts_at")
_OPTIONAL = ("title", "description", "per", "entitlement_id", "carried_from")
_REFUSED = ("vendor", "customer_id", "listing_id", "dimension", "starts_at", "units", "price")


def upgrade(connection: Connection, path: Path | None, now: datetime) -> None:
    """Bring an open ledger to this version.

    Args:
        connection: The write transaction.
        path: The file; a copy of it is kept beside it. None for Postgres.
        now: Time.
    """
    version = connection.scalar(text("SELECT version FROM metering_schema"))
    if version == VERSION:
        return  # Another process has upgraded it meanwhile.
    if path:
        _keep(path, path.with_name(f"{path.name}.v{version}"))
    same_place = _is_in_place(connection)
    earlier = _rename(connection)
    METADATA.create_all(connection)
    _upgrade_meta(connection, earlier, path, now, same_place)
    for batch in _batches(upgraded_lines(_rows(connection, earlier, "metering_lines"), _carried(connection, earlier))):
        connection.execute(insert(LINES), [to_row(entry) for entry in batch])
    events = list(_rows(connection, earlier, "metering_events"))
    for batch in _batches(upgraded_attempts(_rows(connection, earlier, "metering_attempts"), events)):
        connection.execute(insert(ATTEMPTS), batch)
    for batch in _batches(_journal(connection, earlier, events, now)):
        connection.execute(insert(JOURNAL), batch)
    for table in earlier.values():
        table.drop(connection)


def upgraded_lines(rows: Iterable[Mapping[str, Any]], carried: Mapping[str, Decimal]) -> Iterator[Entry]:
    """Lines of earlier versions as entries, without those that were only planned.

    Args:
        rows: Rows of `metering_lines`.
        carried: Units that other lines bill, by the ids of the lines.
    """
    for row in rows:
        if row["state"] != "planned":
            yield _entry(row, carried.get(row["line_id"], Decimal(0)))


def upgraded_attempts(
    rows: Iterable[Mapping[str, Any]], events: Iterable[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Calls of earlier versions as rows of this one.

    Args:
        rows: Rows of `metering_attempts`.
        events: Rows of `metering_events`.
    """
    seen = {(row["attempt_id"], row["line_id"], row["event"]): row["taken_at"] for row in events}
    for row in rows:
        values = {column.name: row.get(column.name) for column in ATTEMPTS.columns}
        call = (row["attempt_id"], row["line_id"])
        values |= {"confirmed_at": seen.get((*call, "confirmed")), "failed_at": seen.get((*call, "failed"))}
        yield values | {"state": "unbilled" if row["state"] == "rejected" else row["state"]}


def _entry(row: Mapping[str, Any], carried: Decimal) -> Entry:
    state, why = _STATES[row["state"]]
    asked = row.get("asked_units") is not None
    key: dict[str, Any] = {name: row[name] for name in _LINE} | {name: row.get(name) for name in _OPTIONAL}
    line = Line(
        **key,
        units=row["asked_units"] if asked else row["units"],
        price=row["asked_price"] if asked else row["price"],
        carry_number=row.get("carry_number") or 0,
    )
    billed = state in ("accepted", "confirmed", "conflict", "settled")
    entry = Entry(
        line=line.with_keys(row["line_id"], row["date_key"]),
        state=state,
        why=why,
        error=row["error"] or "",
        accepted_units=row["accepted_units"] if billed else None,
        accepted_price=row["accepted_price"] if billed else None,
        carried_units=carried,
        source="",  # Any usage may ask for it: earlier versions named their sources otherwise.
        attempts=row["attempts"],
        attempt_id=row["attempt_id"],
        settled_by=row["settled_by"] or ("push" if state == "unbilled" else ""),
        first_seen_at=row["first_seen_at"],
        sent_at=row["sending_at"],
        settled_at=row["settled_at"],
    )
    if state == "conflict" and entry.accepted_units is None:
        return replace(entry, why="refused by the marketplace")
    if state in ("accepted", "confirmed") and not entry.agrees and not carried:
        # A person has accepted that the usage differs.
        return replace(entry, state="settled", why="never", settled_by="hand")
    if why == "carried" or (carried and why != "never" and state not in ("sending", "unknown")):
        return entry.judged()  # What was carried by lines that were only planned is open again.
    return entry


def _carried(connection: Connection, earlier: Mapping[str, Table]) -> dict[str, Decimal]:
    lines = earlier["metering_lines"]
    found: dict[str, Decimal] = defaultdict(Decimal)
    if "carried_from" in lines.c:
        query = select(lines.c.carried_from, lines.c.units).where(lines.c.carried_from.is_not(None))
        billing = lines.c.state.not_in(("planned", "rejected", "expired", "canceled"))
        for parent, units in connection.execute(query.where(billing)):
            found[parent] = exact().add(found[parent], units)
    return found


def _journal(
    connection: Connection, earlier: Mapping[str, Table], events: Iterable[Mapping[str, Any]], now: datetime
) -> Iterator[dict[str, Any]]:
    sources = {row["line_id"]: row["source"] for row in _rows(connection, earlier, "metering_sources")}
    planned: dict[str, list[str]] = defaultdict(list)
    lines = earlier["metering_lines"]
    for line_id in connection.scalars(select(lines.c.line_id).where(lines.c.state == "planned")):
        planned[sources.get(line_id, "")].append(line_id)
    for source, ids in sorted(planned.items()):
        yield to_item("run", str(uuid.uuid4()), now, PLANNED, {"lines": len(ids)}, source=source, line_ids=ids)
    seen: dict[str, tuple[Mapping[str, Any], list[str]]] = {}
    for event in events:
        seen.setdefault(event["event_key"], (event, []))[1].append(event["line_id"])
    for key, (event, ids) in seen.items():
        data = {"event": event["event"], "call": event["call_key"], "lines": ids}
        yield to_item("event", key, event["taken_at"], f"{event['event']}: {len(ids)} lines", data, closed_by="event")
    for row in _rows(connection, earlier, "metering_decisions"):
        data = {name: row[name] for name in ("subject", "decision", "before", "after")}
        by, at = row["decided_by"] or "", row["decided_at"]
        yield to_item("decision", row["subject_id"], at, row["reason"] or "", data, by=by, closed_by=by or "hand")
    for row in _rows(connection, earlier, "metering_refusals"):
        if row["closed_at"] is None:
            about = {name: str(row[name]) for name in _REFUSED if row[name] is not None}
            data = {"rows": [], "count": row["rows"], "line_id": row["line_id"], "about": about}
            yield to_item("refusal", row["refusal_id"], row["first_seen_at"], row["reason"], data)


def _is_in_place(connection: Connection) -> bool:
    """Whether the earlier ledger is no copy in another Postgres database. The inode of a file is kept as it is."""
    if connection.dialect.name != "postgresql" or not inspect(connection).has_table("metering_identity"):
        return True
    known = connection.scalar(text("SELECT inode FROM metering_identity"))
    return is_same_place(known, place_of(connection, None, "metering_identity"))


def _upgrade_meta(
    connection: Connection, earlier: Mapping[str, Table], path: Path | None, now: datetime, same_place: bool
) -> None:
    rows = list(_rows(connection, earlier, "metering_identity"))
    identity: dict[str, Any] = dict(rows[0]) if rows else {}
    place, begun_at = identity.pop("inode", None), identity.pop("begun_at", now)
    values = {"path": None, **identity, "created_at": begun_at}
    if path or not same_place:  # The inode of a file is kept, whatever it is.
        values["place"] = place
    insert_meta(connection, now, path, values)


def _rename(connection: Connection) -> dict[str, Table]:
    """The earlier tables, out of the way of those of this version."""
    inspector = inspect(connection)
    found, schema = {}, MetaData()
    for name in sorted(set(inspector.get_table_names()) & _UPGRADED):
        columns = [Column(column["name"], _type(name, column)) for column in inspector.get_columns(name)]
        for index in inspector.get_indexes(name):
            connection.execute(text(f"DROP INDEX {index['name']}"))
        connection.execute(text(f"ALTER TABLE {name} RENAME TO {_PREFIX}{name}"))
        found[name] = Table(_PREFIX + name, schema, *columns)
    return found


def _type(table: str, column: Any) -> Any:
    if column["name"].endswith("_at"):
        return Moment()
    # The numbers of refused rows may be none.
    return Exact() if column["name"] in _NUMBERS and table != "metering_refusals" else column["type"]


def _rows(connection: Connection, earlier: Mapping[str, Table], name: str) -> Iterator[Mapping[str, Any]]:
    if name in earlier:
        for row in connection.execute(select(earlier[name]).execution_options(yield_per=1000)).mappings():
            yield cast(Mapping[str, Any], row)


def _batches(items: Iterator[Any]) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) == 500:
            yield batch
            batch = []
    if batch:
        yield batch


def _keep(path: Path, copy: Path) -> None:
    """Keep the file of the earlier version. It is a copy, so its version refuses to push from it."""
    draft = copy.with_name(f".{copy.name}.{uuid.uuid4().hex}")
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(draft)) as target:
            source.backup(target)
        draft.replace(copy)
    finally:
        draft.unlink(missing_ok=True)
