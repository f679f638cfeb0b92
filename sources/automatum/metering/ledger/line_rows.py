"""The rows of `metering_lines`: reads them, compares them with the lines of a push, and writes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import permutations
from typing import Any

from sqlalchemy import Column, Connection, bindparam, insert, or_, select, update

from ..model import Line
from .attempts import accepted_once
from .batches import batches
from .entries import Comparison, Entry, LedgerMatch, Planned, is_settled_for, lines_by_id, to_entry
from .states import BILLED, BLOCKING, State
from .tables import LINES


def compare(connection: Connection, lines: Iterable[Line]) -> Comparison:
    """See `Ledger.compare`."""
    wanted = lines_by_id(lines)
    blocking = _blocking_entries(connection, wanted.values())
    groups: dict[str, list[Any]] = defaultdict(list)
    for ids in batches(list(wanted)):
        # Most lines of a later push are settled, and of these no other column is needed.
        known, settled = _read_known(connection, [wanted[line_id] for line_id in ids])
        entries = fetch(connection, [line_id for line_id in known if line_id not in settled])
        for line_id in ids:
            line, entry = wanted[line_id], entries.get(line_id)
            if other := blocking.get(line_id):
                groups["blocked"].append(LedgerMatch(line, other))
            elif line_id in settled:
                groups["same"].append(line)
            elif entry is None:
                groups["new"].append(line)
            else:
                groups["changed" if entry.state in BILLED else "unsettled"].append(LedgerMatch(line, entry))
    rejected = [match.line.id for match in groups["unsettled"] if match.entry.state == "rejected"]
    once = frozenset(accepted_once(connection, rejected))
    return Comparison(**{name: tuple(found) for name, found in groups.items()}, accepted_once=once)


def plan(connection: Connection, lines: Iterable[Line], now: datetime) -> Planned:
    """See `Run.plan`. The caller holds the only write transaction."""
    wanted = lines_by_id(lines)
    states = fetch_states(connection, list(wanted))
    blocking = _blocking_entries(connection, wanted.values())
    entries = fetch(connection, [line_id for line_id, state in states.items() if state != "planned"])
    planned: list[Line] = []
    blocked: list[LedgerMatch] = []
    other_state: list[LedgerMatch] = []
    grains: dict[str, str] = {}
    for line_id, line in wanted.items():
        if other := blocking.get(line_id):
            blocked.append(LedgerMatch(line, other))
        elif line_id in entries:
            other_state.append(LedgerMatch(line, entries[line_id]))
        elif grains.setdefault(line.date_key, line.grain) != line.grain:
            raise ValueError(f"lines of both grains are planned at once for {line.dimension!r} on {line.day}")
        else:
            planned.append(line)
    write_new(connection, [line for line in planned if line.id not in states], "planned", now)
    refresh(connection, [line for line in planned if line.id in states], "planned", now)
    return Planned(tuple(planned), tuple(blocked), tuple(other_state))


def _read_known(connection: Connection, lines: Sequence[Line]) -> tuple[list[str], set[str]]:
    """Ids of the lines that are in the ledger, and of those among them that are billed as they are."""
    hashes = {line.id: line.payload_hash for line in lines}
    columns = (LINES.c.line_id, LINES.c.state, LINES.c.accepted_hash, LINES.c.asked_hash, LINES.c.carried_units)
    rows = connection.execute(select(*columns).where(LINES.c.line_id.in_(list(hashes)))).all()
    billed = (row for row in rows if row[1] in BILLED)
    return [row[0] for row in rows], {row[0] for row in billed if is_settled_for(hashes[row[0]], *row[2:])}


def fetch_states(connection: Connection, ids: Sequence[str]) -> dict[str, State]:
    """States by id, without the ids that are not in the ledger."""
    return _fetch_column(connection, LINES.c.state, ids)


def fetch_hashes(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """Payload hashes by id, without the ids that are not in the ledger."""
    return _fetch_column(connection, LINES.c.payload_hash, ids)


def _fetch_column(connection: Connection, column: Column[Any], ids: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for batch in batches(ids):
        query = select(LINES.c.line_id, column).where(LINES.c.line_id.in_(batch))
        found |= {row[0]: row[1] for row in connection.execute(query)}
    return found


def fetch(connection: Connection, ids: Sequence[str]) -> dict[str, Entry]:
    """Entries by id, without the ids that are not in the ledger."""
    found: dict[str, Entry] = {}
    for batch in batches(ids):
        for row in connection.execute(select(LINES).where(LINES.c.line_id.in_(batch))).mappings():
            found[row["line_id"]] = to_entry(row)
    return found


def write_new(connection: Connection, lines: Sequence[Line], state: State, now: datetime, error: str = "") -> None:
    """Insert lines that are not in the ledger."""
    for batch in batches(lines):
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
                    "date_key": line.date_key,
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
                for line in batch
            ],
        )


def refresh(connection: Connection, lines: Sequence[Line], state: State, now: datetime) -> None:
    """Update units, price and texts of lines that were not sent and are still in this state."""
    statement = (
        update(LINES)
        .where(LINES.c.line_id == bindparam("id_"), LINES.c.state == state)
        .values({name: bindparam(name) for name in _PAYLOAD} | ({"planned_at": now} if state == "planned" else {}))
    )
    for batch in batches(lines):
        connection.execute(statement, [{"id_": line.id, **_payload(line)} for line in batch])


def write_asked(connection: Connection, lines: Sequence[Line]) -> None:
    """Write what a push asks for, of lines that were accepted with other units or another price."""
    columns = {"asked_units": "units", "asked_price": "price", "asked_hash": "payload_hash"}
    statement = update(LINES).where(LINES.c.line_id == bindparam("id_"))
    statement = statement.values({name: bindparam(name) for name in columns})
    for batch in batches(lines):
        values = [{name: getattr(line, own) for name, own in columns.items()} for line in batch]
        connection.execute(statement, [{"id_": line.id, **one} for line, one in zip(batch, values, strict=True)])


_PAYLOAD = ("units", "price", "charged", "title", "description", "per", "payload_hash")


def _payload(line: Line) -> dict[str, Any]:
    return {name: getattr(line, name) for name in _PAYLOAD}


def _blocking_entries(connection: Connection, lines: Iterable[Line]) -> Mapping[str, Entry]:
    """Entries that block lines, by the lines' ids: of the other grain; or of the same hour or day with an entitlement
    where the line has none, or the other way round, because they may be of the same usage.

    Lines that are carried from others neither block nor are blocked: they bill usage of other hours.
    """
    groups: dict[tuple[str, bool], dict[str, list[Line]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        if line.carried_from is None:
            groups[line.grain, line.entitlement_id is None][line.date_key].append(line)
    found: dict[str, Entry] = {}
    for (grain, without), wanted in groups.items():
        # The database leaves out the lines of the other hours of the date, which are many.
        named = LINES.c.entitlement_id.is_not(None) if without else LINES.c.entitlement_id.is_(None)
        query = select(LINES).where(LINES.c.carried_from.is_(None), or_(LINES.c.grain != grain, named))
        query = query.where(LINES.c.state.in_(sorted(BLOCKING))).order_by(LINES.c.starts_at)
        for batch in batches(list(wanted)):
            for row in connection.execute(query.where(LINES.c.date_key.in_(batch))).mappings():
                for line in wanted[row["date_key"]]:
                    if row["grain"] != grain or row["starts_at"] == line.starts_at:
                        found.setdefault(line.id, to_entry(row))
    return found


def blocked_by(connection: Connection, entries: Iterable[Entry]) -> dict[str, str]:
    """Ids of the entries that must not be planned, to the id of a line that bills the same usage, or may: one that is
    planned or was sent, or another of these entries.
    """
    lines = {entry.line_id: entry.line for entry in entries}
    found = {line_id: entry.line_id for line_id, entry in _blocking_entries(connection, lines.values()).items()}
    dates: dict[str, list[Line]] = defaultdict(list)
    for line in lines.values():
        if line.carried_from is None and line.id not in found:
            dates[line.date_key].append(line)
    for of_date in dates.values():
        for line, other in permutations(of_date, 2):
            if line.grain != other.grain or (line.starts_at == other.starts_at and _differ_in_entitlement(line, other)):
                found.setdefault(line.id, other.id)
    return found


def _differ_in_entitlement(line: Line, other: Line) -> bool:
    """Whether one of the two names an entitlement, and the other none."""
    return (line.entitlement_id is None) != (other.entitlement_id is None)


def unblocked(connection: Connection, entries: Sequence[Entry]) -> list[str]:
    """Ids of the entries that may be planned; see `blocked_by`."""
    blocked = blocked_by(connection, entries)
    return [entry.line_id for entry in entries if entry.line_id not in blocked]
