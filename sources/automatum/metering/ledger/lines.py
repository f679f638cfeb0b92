"""The rows of `metering_lines`: reads and writes them, and finds lines that would bill the same usage twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, delete, func, insert, or_, select, update

from ..model import Line, exact
from .entries import Entry
from .tables import ATTEMPTS, LINES, batches

_KEY = frozenset(
    {"line_id", "vendor", "listing_id", "customer_id", "dimension", "entitlement_id", "grain", "starts_at"}
)
_KEY |= {"date_key", "carried_from", "carry_number", "first_seen_at"}
_COLUMNS = [column.name for column in LINES.columns]
_CHANGES = [name for name in _COLUMNS if name not in _KEY]
_OF_LINE = [*_COLUMNS[1:11], *_COLUMNS[12:17]]
_OF_ENTRY = _COLUMNS[17:]


def overlaps(one: Line, other: Line) -> bool:
    """Whether two lines may bill the same usage: of one customer and dimension, at the same time, under different ids.

    A line that is carried from another overlaps none: the time of its usage is that of the other.
    """
    return (
        one.carried_from is None
        and other.carried_from is None
        and one.date_key == other.date_key  # vendor, listing, customer, dimension, and a common date
        and one.starts_at < other.ends_at
        and other.starts_at < one.ends_at
        and (one.entitlement_id == other.entitlement_id or None in (one.entitlement_id, other.entitlement_id))
        and one.id != other.id
    )


def fetch(connection: Connection, ids: Iterable[str]) -> dict[str, Entry]:
    """Entries by id, without the ids that are not in the ledger."""
    found: dict[str, Entry] = {}
    for batch in batches(list(dict.fromkeys(ids))):
        rows = connection.execute(select(LINES).where(LINES.c.line_id.in_(batch))).all()
        found |= {entry.id: entry for entry in to_entries(connection, rows, LINES.c.carried_from.in_(batch))}
    return found


def to_entries(connection: Connection, rows: Sequence[Row[Any]], of_parents: ColumnElement[bool]) -> Iterator[Entry]:
    """Rows of `metering_lines` as entries, with what other lines carry of them.

    Args:
        connection: The transaction of the rows.
        rows: The rows, with all columns.
        of_parents: Condition on `carried_from` that is true for these rows' ids.
    """
    context, carried = exact(), dict[str, Decimal]()
    query = select(LINES.c.carried_from, LINES.c.asked_units).where(of_parents, LINES.c.state != "unbilled")
    for parent, units in connection.execute(query) if rows else ():
        carried[parent] = context.add(carried.get(parent, Decimal(0)), units)
    for row in rows:
        yield to_entry(row, carried.get(row[0], Decimal(0)))


def to_entry(row: Sequence[Any], carried: Decimal) -> Entry:
    """A row of `metering_lines`, with its columns in their order, as an entry."""
    line_id, vendor, listing_id, customer_id, dimension, entitlement_id, grain, starts_at, date_key = row[:9]
    carried_from, carry_number, units, price, currency, title, description, per = row[9:17]
    state, why, error, accepted_units, accepted_price, *others = row[17:]
    key = (vendor, listing_id, customer_id, dimension, grain, starts_at)
    late = (entitlement_id, carried_from, carry_number, currency)
    line = Line(*key, units, price, title, description, per, 0, *late).with_keys(line_id, date_key)
    return Entry(line, state, why, error, accepted_units, accepted_price, carried, *others)


def to_row(entry: Entry) -> dict[str, Any]:
    """An entry as a row of `metering_lines`."""
    row = {name: getattr(entry.line, name) for name in _OF_LINE} | {name: getattr(entry, name) for name in _OF_ENTRY}
    return {**row, "line_id": entry.id, "asked_units": entry.line.units}


def add(connection: Connection, entries: Sequence[Entry]) -> None:
    """Insert entries of lines that are not in the ledger."""
    for batch in batches(entries):
        connection.execute(insert(LINES), [to_row(entry) for entry in batch])


def save(connection: Connection, entries: Sequence[Entry]) -> None:
    """Write entries of lines that are in the ledger, and open or close the lines that they are carried from."""
    statement = update(LINES).where(LINES.c.line_id == bindparam("id_"))
    statement = statement.values({name: bindparam(name) for name in _CHANGES})
    for batch in batches(entries):
        rows = [to_row(entry) for entry in batch]
        connection.execute(statement, [{"id_": row["line_id"], **{key: row[key] for key in _CHANGES}} for row in rows])
    refresh_parents(connection, [entry.line for entry in entries])


def remove(connection: Connection, entries: Sequence[Entry]) -> None:
    """Remove entries of lines that the API certainly did not take, and that were new when they were claimed."""
    for batch in batches(entries):
        connection.execute(delete(LINES).where(LINES.c.line_id.in_([entry.id for entry in batch])))
    refresh_parents(connection, [entry.line for entry in entries])


def refresh_parents(connection: Connection, children: Iterable[Line]) -> None:
    """Give the lines that others bill the state that follows from how much of them is carried now."""
    parents = fetch(connection, [line.carried_from for line in children if line.carried_from])
    billed = confirmed(connection, parents.values())
    changed = [(entry, entry.with_carried(entry.id in billed)) for entry in parents.values()]
    if new := [after for before, after in changed if after != before]:
        save(connection, new)


def is_confirmed(connection: Connection, entry: Entry) -> bool:
    """Whether the vendor's events say that the last call of a line was billed."""
    return entry.id in confirmed(connection, [entry])


def confirmed(connection: Connection, entries: Iterable[Entry]) -> set[str]:
    """Ids of those entries of whose last call the vendor's events say that it was billed."""
    calls = {(entry.id, entry.attempt_id) for entry in entries if entry.attempt_id}
    columns = (ATTEMPTS.c.line_id, ATTEMPTS.c.attempt_id)
    query = select(*columns).where(ATTEMPTS.c.confirmed_at.is_not(None), ATTEMPTS.c.failed_at.is_(None))
    found: set[str] = set()
    for batch in batches(sorted(line_id for line_id, _ in calls)):
        rows = connection.execute(query.where(ATTEMPTS.c.line_id.in_(batch)))
        found |= {row.line_id for row in rows if (row.line_id, row.attempt_id) in calls}
    return found


def overlapping(connection: Connection, lines: Iterable[Line]) -> dict[str, Entry]:
    """Ids of lines that must not be sent to an entry that bills, or may bill, the same usage.

    That is an overlapping line in any state but `unbilled`, or one that is `unbilled` and in part carried.
    """
    groups: dict[tuple[str, bool], dict[str, list[Line]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        if line.carried_from is None:
            groups[line.grain, line.entitlement_id is None][line.date_key].append(line)
    found: dict[str, Entry] = {}
    for (grain, without), wanted in groups.items():
        # The database leaves out the other hours of the date, which are many.
        named = LINES.c.entitlement_id.is_not(None) if without else LINES.c.entitlement_id.is_(None)
        query = select(LINES).where(or_(LINES.c.grain != grain, named))
        for batch in batches(list(wanted)):
            rows = connection.execute(query.where(LINES.c.date_key.in_(batch))).all()
            # Not in SQL: SQLite would take the index of what it sorts by, and read all lines.
            for entry in _blocking(connection, sorted(rows, key=lambda row: (row.starts_at, row.line_id))):
                for line in wanted[entry.line.date_key]:
                    if overlaps(line, entry.line):
                        found.setdefault(line.id, entry)
    return found


def _blocking(connection: Connection, rows: Sequence[Row[Any]]) -> Iterator[Entry]:
    for batch in batches(rows):
        ids = [row.line_id for row in batch]
        for entry in to_entries(connection, batch, LINES.c.carried_from.in_(ids)):
            if entry.state != "unbilled" or entry.carried_units:
                yield entry


def in_ledger(connection: Connection, ids: Collection[str]) -> set[str]:
    """Those of the ids that are in the ledger."""
    found: set[str] = set()
    for batch in batches(sorted(ids)):
        found |= set(connection.scalars(select(LINES.c.line_id).where(LINES.c.line_id.in_(batch))))
    return found


def calls(connection: Connection, ids: Collection[str]) -> dict[str, tuple[int, str]]:
    """Number of calls of lines, and the id of the last one, by the ids of the lines that were in any."""
    found: dict[str, tuple[int, str]] = {}
    columns = (ATTEMPTS.c.line_id, func.count().label("number"), func.max(ATTEMPTS.c.attempt_id).label("last"))
    for batch in batches(sorted(ids)):
        query = select(*columns).where(ATTEMPTS.c.line_id.in_(batch)).group_by(ATTEMPTS.c.line_id)
        found |= {row.line_id: (row.number, row.last) for row in connection.execute(query)}
    return found
