"""Upgrades a ledger of version 5, once, in one transaction. Nothing that may have been billed is sent again."""

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

EARLIER = 5
"""The version that is upgraded. Those before it existed for two days, before any release, and are refused."""
EARLIER_TABLES = frozenset(
    f"metering_{name}"
    for name in (
        *("schema", "identity", "lines", "attempts", "events"),
        *("decisions", "refusals", "sources", "holds", "plans"),
    )
)
PLANNED = "Planned by an earlier version, and not sent: push the usage again."
_PREFIX = "earlier_"
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
_KEY = ("vendor", "listing_id", "customer_id", "dimension", "grain", "starts_at", "entitlement_id", "carried_from")
_TEXTS = ("title", "description", "per")
_REFUSED = ("vendor", "customer_id", "listing_id", "dimension", "starts_at", "units", "price")


def upgrade(connection: Connection, path: Path | None, now: datetime) -> None:
    """Bring an open ledger to this version, in its write transaction. A copy of the file is kept beside it."""
    if connection.scalar(text("SELECT version FROM metering_schema")) == VERSION:
        return  # Another process has upgraded it meanwhile.
    if path:
        _keep(path, path.with_name(f"{path.name}.v{EARLIER}"))
    here = place_of(connection, path, "metering_identity")
    for name in EARLIER_TABLES:  # out of the way of those of this version
        for index in inspect(connection).get_indexes(name):
            connection.execute(text(f"DROP INDEX {index['name']}"))
        connection.execute(text(f"ALTER TABLE {name} RENAME TO {_PREFIX}{name}"))
    METADATA.create_all(connection)
    _upgrade_meta(connection, path, now, here)
    carried, planned = defaultdict[str, Decimal](Decimal), list[str]()
    for row in _rows(connection, "lines"):
        if row["state"] == "planned":
            planned.append(row["line_id"])
        elif row["carried_from"] and _STATES[row["state"]][0] != "unbilled":
            carried[row["carried_from"]] = exact().add(carried[row["carried_from"]], row["units"])
    sent = (row for row in _rows(connection, "lines") if row["state"] != "planned")
    _insert(connection, LINES, (to_row(_entry(row, carried[row["line_id"]])) for row in sent))
    _insert(connection, ATTEMPTS, _attempts(connection))
    _insert(connection, JOURNAL, _journal(connection, planned, now))
    for name in EARLIER_TABLES:
        connection.execute(text(f"DROP TABLE {_PREFIX}{name}"))


def _upgrade_meta(connection: Connection, path: Path | None, now: datetime, here: str | None) -> None:
    (identity,) = _rows(connection, "identity")
    place = identity.pop("inode")
    identity |= {"created_at": identity.pop("begun_at"), "place": place}
    if not path and is_same_place(place, here):
        del identity["place"]  # Its tables have other ids now. The inode of a file is kept, whatever it is.
    identity["copied_from"] = identity["copied_from"] or identity["moved_to"]  # One that was moved has a successor.
    insert_meta(connection, now, path, identity)


def _entry(row: Mapping[str, Any], carried: Decimal) -> Entry:
    state, why = _STATES[row["state"]]
    asked = "asked_" if row["asked_units"] is not None else ""
    key: dict[str, Any] = {name: row[name] for name in (*_KEY, *_TEXTS)} | {"carry_number": row["carry_number"] or 0}
    line = Line(**key, units=row[f"{asked}units"], price=row[f"{asked}price"])
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


def _attempts(connection: Connection) -> Iterator[dict[str, Any]]:
    events = _rows(connection, "events")
    seen = {(row["attempt_id"], row["line_id"], row["event"]): row["taken_at"] for row in events}
    for row in _rows(connection, "attempts"):
        call = (row["attempt_id"], row["line_id"])
        values = {column.name: row.get(column.name) for column in ATTEMPTS.columns}
        values |= {"confirmed_at": seen.get((*call, "confirmed")), "failed_at": seen.get((*call, "failed"))}
        yield values | {"state": "unbilled" if row["state"] == "rejected" else row["state"]}


def _journal(connection: Connection, planned: Iterable[str], now: datetime) -> Iterator[dict[str, Any]]:
    sources = {row["line_id"]: row["source"] for row in _rows(connection, "sources")}
    by_source: dict[str, list[str]] = defaultdict(list)
    for line_id in planned:
        by_source[sources.get(line_id, "")].append(line_id)
    for source, ids in sorted(by_source.items()):
        yield new_item("run", str(uuid.uuid4()), now, PLANNED, {"lines": len(ids)}, source=source, line_ids=ids)
    for key, rows in itertools.groupby(_rows(connection, "events"), key=lambda row: str(row["event_key"])):
        first, *others = rows
        data = {"event": first["event"], "call": first["call_key"], "lines": 1 + len(others)}
        text_ = f"{first['event']}: {data['lines']} lines"
        yield new_item("event", key, first["taken_at"], text_, data, closed_by="event")
    for row in _rows(connection, "decisions"):
        data = {name: row[name] for name in ("subject", "decision", "before", "after")}
        by, at = row["decided_by"] or "", row["decided_at"]
        yield new_item("decision", row["subject_id"], at, row["reason"] or "", data, by=by, closed_by=by or "hand")
    for row in _rows(connection, "refusals"):
        if row["closed_at"] is None:
            about = {name: str(row[name]) for name in _REFUSED if row[name] is not None}
            data = {"rows": [], "count": row["rows"], "line_id": row["line_id"], "about": about}
            yield new_item("refusal", row["refusal_id"], row["first_seen_at"], row["reason"], data)


def _rows(connection: Connection, name: str) -> Iterator[dict[str, Any]]:
    """Rows of an earlier table, in the order of its first column, with the types of this version."""
    query = select(text("*")).select_from(named(f"{_PREFIX}metering_{name}")).order_by(text("1"))
    for row in connection.execute(query.execution_options(yield_per=1000)).mappings():
        # The numbers of refused rows may be none.
        numbers = () if name == "refusals" else _NUMBERS
        yield {column: _typed(column, value, column in numbers) for column, value in row.items()}


def _typed(column: str, value: Any, number: bool) -> Any:
    if value is not None and column.endswith("_at"):
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return moment.astimezone(timezone.utc)
    return Decimal(value) if number and value is not None else value


def _insert(connection: Connection, table: Table, rows: Iterator[dict[str, Any]]) -> None:
    while batch := list(itertools.islice(rows, 500)):
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
