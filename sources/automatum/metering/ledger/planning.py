"""Compares the lines of a push with the ledger, and records those that may be sent as planned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from ..model import Line
from .attempts import accepted_once
from .entries import Comparison, Entry, LedgerMatch, Planned, date_key_of, lines_by_id, to_entry
from .states import BILLED, BLOCKING, State, chunks
from .tables import LINES


def compare(connection: Connection, lines: Iterable[Line]) -> Comparison:
    """See `Ledger.compare`."""
    wanted = lines_by_id(lines)
    entries = fetch(connection, list(wanted))
    blocked = _blocking_entries(connection, wanted.values())
    groups: dict[str, list[Any]] = defaultdict(list)
    for line_id, line in wanted.items():
        entry = entries.get(line_id)
        if other := blocked.get(line_id):
            groups["other_grain"].append(LedgerMatch(line, other))
        elif entry is None:
            groups["new"].append(line)
        elif entry.state not in BILLED:
            groups["unsettled"].append(LedgerMatch(line, entry))
        elif entry.is_settled_for(line.payload_hash):
            groups["same"].append(LedgerMatch(line, entry))
        else:
            groups["changed"].append(LedgerMatch(line, entry))
    rejected = [match.line.id for match in groups["unsettled"] if match.entry.state == "rejected"]
    once = frozenset(accepted_once(connection, rejected))
    return Comparison(**{name: tuple(found) for name, found in groups.items()}, accepted_once=once)


def plan(connection: Connection, lines: Iterable[Line], now: datetime) -> Planned:
    """See `Run.plan`. The caller holds the only write transaction."""
    wanted = lines_by_id(lines)
    entries = fetch(connection, list(wanted))
    blocked = _blocking_entries(connection, wanted.values())
    planned: list[Line] = []
    other_grain: list[LedgerMatch] = []
    other_state: list[LedgerMatch] = []
    new: list[Line] = []
    known: list[Line] = []
    grains: dict[str, str] = {}
    for line_id, line in wanted.items():
        entry = entries.get(line_id)
        if other := blocked.get(line_id):
            other_grain.append(LedgerMatch(line, other))
            continue
        if entry is not None and entry.state != "planned":
            other_state.append(LedgerMatch(line, entry))
            continue
        if grains.setdefault(date_key_of(line), line.grain) != line.grain:
            raise ValueError(f"lines of both grains are planned at once for {line.dimension!r} on {line.day}")
        planned.append(line)
        (new if entry is None else known).append(line)
    write_new(connection, new, "planned", now)
    refresh(connection, known, "planned", now)
    return Planned(tuple(planned), tuple(other_grain), tuple(other_state))


def fetch(connection: Connection, ids: Sequence[str]) -> dict[str, Entry]:
    """Entries by id, without the ids that are not in the ledger."""
    found: dict[str, Entry] = {}
    for chunk in chunks(ids):
        for row in connection.execute(select(LINES).where(LINES.c.line_id.in_(chunk))).mappings():
            found[row["line_id"]] = to_entry(row)
    return found


def write_new(connection: Connection, lines: Sequence[Line], state: State, now: datetime, error: str = "") -> None:
    """Insert lines that are not in the ledger."""
    for chunk in chunks(lines):
        connection.execute(
            insert(LINES),
            [
                {
                    "line_id": line.id,
                    "vendor": line.vendor,
                    "listing_id": line.listing_id,
                    "customer_id": line.customer_id,
                    "dimension": line.dimension,
                    "grain": line.grain,
                    "starts_at": line.starts_at,
                    "day": line.day,
                    "date_key": date_key_of(line),
                    **_payload(line),
                    "state": state,
                    "attempts": 0,
                    "entitlement_id": line.entitlement_id,
                    "carried_from": line.carried_from,
                    "carry_number": line.carry_number or None,
                    "first_seen_at": now,
                    "planned_at": now if state == "planned" else None,
                    "settled_at": None if state == "planned" else now,
                    "error": error or None,
                }
                for line in chunk
            ],
        )


def refresh(connection: Connection, lines: Sequence[Line], state: State, now: datetime) -> None:
    """Update units, price and texts of lines that were not sent and are still in this state."""
    statement = (
        update(LINES)
        .where(LINES.c.line_id == bindparam("id_"), LINES.c.state == state)
        .values({name: bindparam(name) for name in _PAYLOAD} | ({"planned_at": now} if state == "planned" else {}))
    )
    for chunk in chunks(lines):
        connection.execute(statement, [{"id_": line.id, **_payload(line)} for line in chunk])


_PAYLOAD = ("units", "price", "charged", "title", "description", "per", "payload_hash")


def _payload(line: Line) -> dict[str, Any]:
    return {name: getattr(line, name) for name in _PAYLOAD}


def _blocking_entries(connection: Connection, lines: Iterable[Line]) -> Mapping[str, Entry]:
    """Entries that block lines, by the lines' ids: of the other grain; or of the same hour or day with an entitlement
    where the line has none, or the other way round, because they may be of the same usage.

    Lines that are carried from others neither block nor are blocked: they bill usage of other hours.
    """
    wanted: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if line.carried_from is None:
            wanted[date_key_of(line)].append(line)
    found: dict[str, Entry] = {}
    for chunk in chunks(list(wanted)):
        query = select(LINES).where(LINES.c.date_key.in_(chunk), LINES.c.state.in_(sorted(BLOCKING)))
        query = query.where(LINES.c.carried_from.is_(None))
        for row in connection.execute(query.order_by(LINES.c.starts_at)).mappings():
            for line in wanted[row["date_key"]]:
                without = (row["entitlement_id"] is None) != (line.entitlement_id is None)
                if row["grain"] != line.grain or (without and row["starts_at"] == line.starts_at):
                    found.setdefault(line.id, to_entry(row))
    return found


def free_of_other_grain(connection: Connection, entries: Iterable[Entry]) -> list[str]:
    """Ids of the entries that no entry of the other grain blocks."""
    lines = {entry.line_id: entry.line for entry in entries}
    blocked = _blocking_entries(connection, lines.values())
    return [line_id for line_id in lines if line_id not in blocked]
