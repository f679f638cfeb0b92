"""Reads and writes the rows of lines and of the journal, and finds lines that would bill the same usage twice.

Open items of the journal need someone: what pushes had to send, what they refused, events, and decisions of people.
"""

from __future__ import annotations

import base64
import itertools
import json
import secrets
import uuid
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, or_, select, update

from ..model import Line, Refusal, exact, format_decimal, format_money
from .entries import Entry, Item, Kind
from .tables import ATTEMPTS, JOURNAL, LINES, batches, shorten

PUSH = "push"
_NUMBERS = itertools.count()
_COLUMNS = [column.name for column in LINES.columns]
_OF_LINE = [*_COLUMNS[1:11], *_COLUMNS[12:17]]
_OF_ENTRY = _COLUMNS[17:]


# Lines


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


def to_entries(connection: Connection, rows: Sequence[Row[Any]]) -> Iterator[Entry]:
    """Rows of `metering_lines` as entries, with what other lines carry of them."""
    context, units, amounts = exact(), defaultdict[str, Decimal](Decimal), defaultdict[str, Decimal](Decimal)
    query = select(LINES.c.carried_from, LINES.c.asked_units, LINES.c.price).where(LINES.c.state != "unbilled")
    for batch in batches(rows):
        carried = query.where(LINES.c.carried_from.in_([row.line_id for row in batch]))
        for parent, asked, price in connection.execute(carried):
            units[parent] = context.add(units[parent], asked)
            amounts[parent] = context.add(amounts[parent], context.multiply(asked, price))
    for row in rows:
        yield _to_entry(row, units[row[0]], amounts[row[0]])


def _to_entry(row: Sequence[Any], carried_units: Decimal, carried_amount: Decimal) -> Entry:
    """A row of `metering_lines`, with its columns in their order, as an entry."""
    line_id, vendor, listing_id, customer_id, dimension, entitlement_id, grain, starts_at, date_key = row[:9]
    carried_from, carry_number, units, price, currency, title, description, per = row[9:17]
    state, why, error, accepted_units, accepted_price, *others = row[17:]
    key = (vendor, listing_id, customer_id, dimension, grain, starts_at)
    late = (entitlement_id, carried_from, carry_number, currency)
    line = Line(*key, units, price, title, description, per, 0, *late).with_keys(line_id, date_key)
    known = (state, why, error, accepted_units, accepted_price, carried_units)
    return Entry(line, *known, *(*others, carried_amount))


def to_row(entry: Entry) -> dict[str, Any]:
    """An entry as a row of `metering_lines`."""
    row = {name: getattr(entry.line, name) for name in _OF_LINE} | {name: getattr(entry, name) for name in _OF_ENTRY}
    return {**row, "line_id": entry.id, "asked_units": entry.line.units}


def fetch(connection: Connection, ids: Iterable[str]) -> dict[str, Entry]:
    """Entries by id, without the ids that are not in the ledger."""
    found: dict[str, Entry] = {}
    for batch in batches(list(dict.fromkeys(ids))):
        rows = connection.execute(select(LINES).where(LINES.c.line_id.in_(batch))).all()
        found |= {entry.id: entry for entry in to_entries(connection, rows)}
    return found


def add(connection: Connection, entries: Sequence[Entry]) -> None:
    """Insert entries of lines that are not in the ledger."""
    for batch in batches(entries):
        connection.execute(insert(LINES), [to_row(entry) for entry in batch])
    refresh_parents(connection, entries)


def save(connection: Connection, entries: Sequence[Entry]) -> None:
    """Write entries of lines that are in the ledger, and open or close the lines that they are carried from."""
    statement = update(LINES).where(LINES.c.line_id == bindparam("id_"))
    statement = statement.values({name: bindparam(name) for name in _COLUMNS[1:]})
    for batch in batches(entries):
        connection.execute(statement, [{"id_": entry.id, **to_row(entry)} for entry in batch])
    refresh_parents(connection, entries)


def remove(connection: Connection, entries: Sequence[Entry]) -> None:
    """Remove entries of lines that the API certainly did not take, and that were new when they were claimed."""
    for batch in batches(entries):
        connection.execute(delete(LINES).where(LINES.c.line_id.in_([entry.id for entry in batch])))
    refresh_parents(connection, entries)


def refresh_parents(connection: Connection, children: Iterable[Entry]) -> None:
    """Give the lines that others bill the state that follows from how much of them is carried now."""
    parents = fetch(connection, [entry.line.carried_from for entry in children if entry.line.carried_from])
    billed = confirmed(connection, parents.values())
    changed = [(entry, entry.with_carried(entry.id in billed)) for entry in parents.values()]
    if new := [after for before, after in changed if after != before]:
        save(connection, new)


def confirmed(connection: Connection, entries: Iterable[Entry]) -> set[str]:
    """Ids of those entries of whose last call the vendor's events say that it was billed."""
    last = {(entry.id, entry.attempt_id) for entry in entries if entry.attempt_id}
    columns = (ATTEMPTS.c.line_id, ATTEMPTS.c.attempt_id)
    query = select(*columns).where(ATTEMPTS.c.confirmed_at.is_not(None), ATTEMPTS.c.failed_at.is_(None))
    found: set[str] = set()
    for batch in batches(sorted(line_id for line_id, _ in last)):
        rows = connection.execute(query.where(ATTEMPTS.c.line_id.in_(batch)))
        found |= {row.line_id for row in rows if (row.line_id, row.attempt_id) in last}
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
            for entry in to_entries(connection, sorted(rows, key=lambda row: (row.starts_at, row.line_id))):
                bills = entry.state != "unbilled" or entry.carried_units
                for line in wanted[entry.line.date_key] if bills else ():
                    if overlaps(line, entry.line):
                        found.setdefault(line.id, entry)
    return found


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


# The journal


def new_id(now: datetime) -> str:
    """An id that sorts by time, and within this process by number."""
    return f"{int(now.timestamp() * 1e6):014x}{next(_NUMBERS):06x}{secrets.token_hex(8)}"


def to_item(row: Row[Any]) -> Item:
    """A row of `metering_journal`."""
    about = (row.item_id, row.kind, row.subject, row.source, row.reason, json.loads(row.data))
    return Item(*about, row.recorded_by, row.recorded_at, row.closed_at, row.closed_by, row.closed_reason)


def new_item(
    kind: Kind,
    subject: str,
    now: datetime,
    reason: str,
    data: Mapping[str, Any],
    *,
    source: str = "",
    line_ids: Sequence[str] = (),
    by: str = "",
    closed_by: str = "",
) -> dict[str, Any]:
    """A row of `metering_journal`; the item is open unless someone closes it at once."""
    return {
        "item_id": new_id(now),
        "kind": kind,
        "subject": subject,
        "source": source,
        "reason": shorten(reason) or "",
        "data": json.dumps(data),
        "line_ids": pack(line_ids) if line_ids else None,
        "recorded_by": by,
        "recorded_at": now,
        "closed_at": now if closed_by else None,
        "closed_by": closed_by,
        "closed_reason": "",
    }


def add_item(connection: Connection, row: Mapping[str, Any]) -> Item:
    """Write an item of `new_item`."""
    connection.execute(insert(JOURNAL).values(row))
    return to_item(connection.execute(select(JOURNAL).where(JOURNAL.c.item_id == row["item_id"])).one())


def note(connection: Connection, row: Mapping[str, Any]) -> None:
    """Write an item, or that the same was found again. What a person has closed stays closed if it is equal."""
    of_subject = [JOURNAL.c[name] == row[name] for name in ("kind", "subject", "source")]
    query = select(JOURNAL).where(*of_subject).order_by(JOURNAL.c.item_id.desc()).limit(1)
    found = connection.execute(query).first()
    same = found is not None and (found.reason, _content(found.data)) == (row["reason"], _content(row["data"]))
    if found is not None and not found.closed_at:
        values = {"reason": row["reason"], "data": row["data"]}
        connection.execute(update(JOURNAL).where(JOURNAL.c.item_id == found.item_id).values(values))
    elif found is None or found.closed_by == PUSH or not same:
        add_item(connection, row)


def _content(data: str) -> dict[str, Any]:
    """Data of an item, without the positions of its rows in the source."""
    return {name: value for name, value in json.loads(data).items() if name != "rows"}


def refusal_item(refusal: Refusal, now: datetime, source: str, by: str) -> dict[str, Any]:
    """An item for refused rows."""
    data = {"rows": list(refusal.rows), "count": refusal.count, "line_id": refusal.line_id}
    data |= {"about": dict(refusal.about)}
    return new_item("refusal", refusal.subject, now, refusal.reason, data, source=source, by=by)


def source_item(line: Line, entry: Entry, now: datetime, source: str, by: str) -> dict[str, Any]:
    """An item for usage of a line that a second source has."""
    ours, theirs = (format_decimal(one.units) for one in (line, entry.line))
    reason = (
        f"{source or 'This usage'} has {ours} units ({format_money(line.charged, line.currency)}) of a line that "
        f"{entry.source or 'another usage'} asked for with {theirs} ({format_money(entry.line.charged, line.currency)})"
        ". They were not sent."
    )
    data = {"units": ours, "price": format_decimal(line.price), "currency": line.currency, "other_source": entry.source}
    data |= {"other_units": theirs, "other_price": format_decimal(entry.line.price)}
    return new_item("source", line.id, now, reason, data, source=source, by=by)


def close(connection: Connection, ids: Collection[str], now: datetime, by: str, reason: str) -> list[str]:
    """Close open items; returns the ids of those that were open, sorted."""
    closed: list[str] = []
    values = {"closed_at": now, "closed_by": by, "closed_reason": shorten(reason) or ""}
    for batch in batches(sorted(set(ids))):
        open_ = (JOURNAL.c.item_id.in_(batch), JOURNAL.c.closed_at.is_(None))
        closed += connection.scalars(select(JOURNAL.c.item_id).where(*open_).order_by(JOURNAL.c.item_id))
        connection.execute(update(JOURNAL).where(*open_).values(values))
    return closed


def close_sent(connection: Connection, line_ids: Collection[str], now: datetime) -> None:
    """Close the refusals of lines that are sent now."""
    query = select(JOURNAL.c.item_id).where(JOURNAL.c.kind == "refusal", JOURNAL.c.closed_at.is_(None))
    for batch in batches(sorted(line_ids)):
        ids = connection.scalars(query.where(JOURNAL.c.subject.in_(batch))).all()
        close(connection, ids, now, PUSH, "The line was sent.")


def close_whole(connection: Connection, source: str, first: Line, now: datetime) -> None:
    """Close the refusals of a file that was read whole without any, but those of lines that are not in the ledger, and
    those of a time before the file begins: it was replaced by later usage, not corrected.
    """
    query = select(JOURNAL).where(JOURNAL.c.kind == "refusal", JOURNAL.c.closed_at.is_(None))
    found = [to_item(row) for row in connection.execute(query.where(JOURNAL.c.source == source))]
    there = in_ledger(connection, {item.data["line_id"] for item in found if item.data.get("line_id")})
    done = [item.id for item in found if item.data.get("line_id") in {None, *there} and _reaches(first, item)]
    close(connection, done, now, PUSH, "The file was pushed whole.")


def _reaches(first: Line, item: Item) -> bool:
    """Whether usage that begins with a line has the time of refused rows; if that is unknown, what had ended then."""
    start = (item.data.get("about") or {}).get("starts_at")
    if start:
        return first.starts_at <= datetime.fromisoformat(start)
    return item.at is not None and first.ends_at <= item.at


def close_runs(connection: Connection, now: datetime) -> None:
    """Close the items of runs of which each line is in the ledger, or has an item of its own."""
    # The item of a run that has died is all that shows its calls until the next push finds out about them.
    calling = set(connection.scalars(select(ATTEMPTS.c.run_id).where(ATTEMPTS.c.state == "sending")))
    # A run that an earlier checkout restored from an export has no ids: only a person closes it.
    is_open = (JOURNAL.c.kind == "run", JOURNAL.c.closed_at.is_(None), JOURNAL.c.line_ids.is_not(None))
    for row in connection.execute(select(JOURNAL).where(*is_open)).all():
        if row.subject in calling:
            continue
        if not missing_of(connection, unpack(row.line_ids), row.recorded_at):
            close(connection, [row.item_id], now, PUSH, "Each line is in the ledger.")


def missing_of(connection: Connection, line_ids: Collection[str], since: datetime) -> list[str]:
    """Those of the ids of a run that began then that are neither in the ledger nor subject of another item.

    Such an item is a refusal or a second source. One that a person closed before the run says nothing about it.
    """
    missing = set(line_ids) - in_ledger(connection, line_ids)
    query = select(JOURNAL.c.subject).where(JOURNAL.c.kind.in_(("refusal", "source")))
    query = query.where(or_(JOURNAL.c.closed_at.is_(None), JOURNAL.c.closed_at >= since))
    for batch in batches(sorted(missing)):
        missing -= set(connection.scalars(query.where(JOURNAL.c.subject.in_(batch))))
    return sorted(missing)


def pack(line_ids: Sequence[str]) -> str:
    """Ids of lines as a short text: 22 characters each."""
    return base64.b64encode(zlib.compress(b"".join(uuid.UUID(line_id).bytes for line_id in line_ids))).decode()


def unpack(text: str | None) -> list[str]:
    """The ids of lines in a text of `pack`."""
    content = zlib.decompress(base64.b64decode(text)) if text else b""
    return [str(uuid.UUID(bytes=content[at : at + 16])) for at in range(0, len(content), 16)]
