"""Upgrades ledgers of versions 1 to 5, once, in one transaction. Nothing that may have been billed is sent again."""

from __future__ import annotations

import itertools
import os
import sqlite3
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, insert, inspect, select, text
from sqlalchemy import table as named

from ..model import Line, exact
from .entries import Entry, State
from .identity import insert_meta, is_same_place, place_of
from .rows import new_item, to_row
from .tables import ATTEMPTS, JOURNAL, LINES, METADATA, VERSION

EARLIER_TABLES = frozenset({"metering_schema", "metering_lines", "metering_attempts", "metering_events"})
"""Tables that each of these versions has."""
PLANNED = "Planned by an earlier version, and not sent: push the usage again."
_PREFIX = "earlier_"
_UPGRADED = EARLIER_TABLES | {"metering_identity", "metering_decisions", "metering_refusals", "metering_holds"}
_UPGRADED |= {"metering_sources", "metering_plans"}
_NUMBERS = {"units", "price", "accepted_units", "accepted_price", "asked_units", "asked_price"}
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
    identity = _identity(connection, path, now)
    earlier = _rename(connection)

    def rows(name: str) -> Iterator[dict[str, Any]]:
        if name in earlier:
            query = select(text("*")).select_from(named(_PREFIX + name)).execution_options(yield_per=1000)
            for row in connection.execute(query).mappings():
                yield {column: _typed(name, column, value) for column, value in row.items()}

    METADATA.create_all(connection)
    insert_meta(connection, now, path, identity)
    carried, planned = defaultdict[str, Decimal](Decimal), list[str]()
    for row in rows("metering_lines"):
        if row["state"] == "planned":
            planned.append(row["line_id"])
        elif row.get("carried_from") and _STATES[row["state"]][0] != "unbilled":
            carried[row["carried_from"]] = exact().add(carried[row["carried_from"]], row["units"])
    sent = (row for row in rows("metering_lines") if row["state"] != "planned")
    _insert(connection, LINES, (to_row(_entry(row, carried[row["line_id"]])) for row in sent))
    events = list(rows("metering_events"))
    _insert(connection, ATTEMPTS, _attempts(rows("metering_attempts"), events))
    sources = {row["line_id"]: row["source"] for row in rows("metering_sources")}
    _insert(connection, JOURNAL, _planned(planned, sources, now))
    _insert(connection, JOURNAL, _events(events))
    for row in rows("metering_decisions"):
        data = {name: row[name] for name in ("subject", "decision", "before", "after")}
        by, at = row["decided_by"] or "", row["decided_at"]
        item = new_item("decision", row["subject_id"], at, row["reason"] or "", data, by=by, closed_by=by or "hand")
        connection.execute(insert(JOURNAL).values(item))
    for row in rows("metering_refusals"):
        if row["closed_at"] is None:
            about = {name: str(row[name]) for name in _REFUSED if row[name] is not None}
            data = {"rows": [], "count": row["rows"], "line_id": row["line_id"], "about": about}
            item = new_item("refusal", row["refusal_id"], row["first_seen_at"], row["reason"], data)
            connection.execute(insert(JOURNAL).values(item))
    for name in sorted(earlier):
        connection.execute(text(f"DROP TABLE {_PREFIX}{name}"))


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


def _attempts(rows: Iterable[Mapping[str, Any]], events: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    seen = {(row["attempt_id"], row["line_id"], row["event"]): row["taken_at"] for row in events}
    for row in rows:
        call = (row["attempt_id"], row["line_id"])
        values = {column.name: row.get(column.name) for column in ATTEMPTS.columns}
        values |= {"confirmed_at": seen.get((*call, "confirmed")), "failed_at": seen.get((*call, "failed"))}
        yield values | {"state": "unbilled" if row["state"] == "rejected" else row["state"]}


def _planned(line_ids: Iterable[str], sources: Mapping[str, str], now: datetime) -> Iterator[dict[str, Any]]:
    by_source: dict[str, list[str]] = defaultdict(list)
    for line_id in line_ids:
        by_source[sources.get(line_id, "")].append(line_id)
    for source, ids in sorted(by_source.items()):
        yield new_item("run", str(uuid.uuid4()), now, PLANNED, {"lines": len(ids)}, source=source, line_ids=ids)


def _events(events: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    seen: dict[str, tuple[Mapping[str, Any], list[str]]] = {}
    for event in events:
        seen.setdefault(event["event_key"], (event, []))[1].append(event["line_id"])
    for key, (event, ids) in seen.items():
        data = {"event": event["event"], "call": event["call_key"], "lines": ids}
        yield new_item("event", key, event["taken_at"], f"{event['event']}: {len(ids)} lines", data, closed_by="event")


def _identity(connection: Connection, path: Path | None, now: datetime) -> dict[str, Any]:
    """What the ledger is, but for the place of a Postgres database that is no copy."""
    if not inspect(connection).has_table("metering_identity"):
        return {"path": None, "created_at": now, **({"place": None} if path else {})}
    found: dict[str, Any] = dict(connection.execute(text("SELECT * FROM metering_identity")).mappings().one())
    place, begun_at = found.pop("inode"), found.pop("begun_at")
    same = not path and is_same_place(place, place_of(connection, None, "metering_identity"))
    found["copied_from"] = found["copied_from"] or found["moved_to"]  # One that was moved has a successor.
    return {**found, "created_at": _typed("", "begun_at", begun_at), **({} if same else {"place": place})}


def _rename(connection: Connection) -> set[str]:
    """Move the earlier tables out of the way of those of this version; returns their names."""
    inspector = inspect(connection)
    found = set(inspector.get_table_names()) & _UPGRADED
    for name in sorted(found):
        for index in inspector.get_indexes(name):
            connection.execute(text(f"DROP INDEX {index['name']}"))
        connection.execute(text(f"ALTER TABLE {name} RENAME TO {_PREFIX}{name}"))
    return found


def _typed(table: str, column: str, value: Any) -> Any:
    if value is not None and column.endswith("_at"):
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return moment.astimezone(timezone.utc)
    # The numbers of refused rows may be none.
    number = value is not None and column in _NUMBERS and table != "metering_refusals"
    return Decimal(value) if number else value


def _insert(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    found = iter(rows)
    while batch := list(itertools.islice(found, 500)):
        connection.execute(insert(table), batch)


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
