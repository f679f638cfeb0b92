"""Planned lines: their plans, sources and holds, and what a person decides about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from sqlalchemy import select

from ...core.errors import ConfigurationError
from . import planning
from .decision_log import KEPT, NOBODY, Author, DecisionLog
from .entries import Entry, to_entry
from .holds import BY_DECISION, Hold, HoldKind, fetch_holds, release
from .ledger import Ledger
from .moves import move
from .states import Transition, chunks
from .tables import HOLDS, LINES, PLANS, SOURCES

ALL = "all"
"""In place of ids of lines: each line on hold."""


Contributions = Mapping[str, Mapping[str, tuple[Decimal, Decimal]]]
"""Line id to source to the units and the price that the source said last."""


@dataclass(frozen=True, slots=True)
class StoredHolds:
    """The holds in the ledger.

    Attributes:
        open: Line id to kind to reason of the holds that nobody has released.
        released: Line id, kind and payload hash of each release.
    """

    open: Mapping[str, Mapping[HoldKind, str]] = field(default_factory=dict)
    released: frozenset[tuple[str, str, str]] = frozenset()


def stored_holds(ledger: Ledger, ids: Collection[str]) -> StoredHolds:
    """The holds of some lines."""
    if not ledger.exists:
        return StoredHolds()
    with ledger.database.read() as connection:
        rows = fetch_holds(connection, ids).values()
    opened: dict[str, dict[HoldKind, str]] = defaultdict(dict)
    for row in rows:
        if row["released_at"] is None:
            opened[row["line_id"]][row["kind"]] = row["reason"]
    releases = (row for row in rows if row["released_at"] is not None)
    return StoredHolds(opened, frozenset((row["line_id"], row["kind"], row["payload_hash"]) for row in releases))


def lines_on_hold(ledger: Ledger) -> list[tuple[Entry, list[Hold]]]:
    """The planned lines that are on hold, with their reasons, in the order of their ids."""
    if not ledger.exists:
        return []
    query = (
        select(LINES, HOLDS.c.kind, HOLDS.c.reason)
        .join(HOLDS, HOLDS.c.line_id == LINES.c.line_id)
        .where(LINES.c.state == "planned", HOLDS.c.released_at.is_(None))
        .order_by(LINES.c.line_id, HOLDS.c.kind)
    )
    entries: dict[str, Entry] = {}
    holds: dict[str, list[Hold]] = defaultdict(list)
    with ledger.database.read() as connection:
        for row in connection.execute(query).mappings():
            entry = entries.setdefault(row["line_id"], to_entry(row))
            holds[entry.line_id].append(Hold(entry.line, row["kind"], row["reason"]))
    return [(entry, holds[line_id]) for line_id, entry in entries.items()]


def planned_fingerprints(ledger: Ledger, plan: str) -> dict[str, str]:
    """Line id to fingerprint of the lines of a plan; empty if the ledger does not have the plan."""
    if not ledger.exists:
        return {}
    with ledger.database.read() as connection:
        query = select(PLANS.c.line_id, PLANS.c.fingerprint).where(PLANS.c.plan == plan)
        return {row.line_id: row.fingerprint for row in connection.execute(query)}


def contributions(ledger: Ledger, ids: Sequence[str], source: str) -> Contributions:
    """What the sources of usage have said of the lines of which another source than this has said something."""
    found: dict[str, dict[str, tuple[Decimal, Decimal]]] = defaultdict(dict)
    if ledger.exists:
        with ledger.database.read() as connection:
            for chunk in chunks(ids):
                query = select(SOURCES.c.line_id).where(SOURCES.c.line_id.in_(chunk), SOURCES.c.source != source)
                others = sorted(set(connection.scalars(query)))
                if others:
                    for row in connection.execute(select(SOURCES).where(SOURCES.c.line_id.in_(others))):
                        found[row.line_id][row.source] = (row.units, row.price)
    return found


def keep(ledger: Ledger, ids: Collection[str], author: Author = NOBODY) -> list[str]:
    """Release lines that are on hold, and plan canceled lines again. The next push sends them.

    Args:
        ledger: The ledger of the lines.
        ids: Ids of lines, from `find_planned`.
        author: Who decides, and why.

    Returns:
        Ids of the lines that the next push sends.
    """
    now = ledger.database.now()
    with ledger.database.write() as connection:
        entries = planning.fetch(connection, list(ids))
        log = DecisionLog(connection, now, author)
        before = {line_id: log.snapshot(line_id) for line_id in entries}
        canceled = [entry for entry in entries.values() if entry.state == "canceled"]
        free = planning.free_of_other_grain(connection, canceled)
        values = {"planned_at": now, "settled_at": None, "settled_by": None, "error": None}
        again = move(connection, Transition.PLAN_AGAIN, free, values)
        kept = [entry for entry in entries.values() if entry.state == "planned" or entry.line_id in again]
        release(connection, kept, now, author.by)
        for entry in kept:
            log.record_line(before[entry.line_id], KEPT, "planned")
    return sorted(entry.line_id for entry in kept)


def cancel(ledger: Ledger, ids: Collection[str], author: Author = NOBODY) -> list[str]:
    """Withdraw planned lines. They are not sent, unless usage with other units, or a person, plans them again.

    Args:
        ledger: The ledger of the lines.
        ids: Ids of lines, from `find_planned`.
        author: Who decides, and why.

    Returns:
        Ids of the lines that are canceled now. A line that was claimed meanwhile is not among them.
    """
    now = ledger.database.now()
    values = {"settled_at": now, "settled_by": "hand", "error": author.note("canceled")}
    with ledger.database.write() as connection:
        log = DecisionLog(connection, now, author)
        before = {line_id: log.snapshot(line_id) for line_id in planning.fetch(connection, list(ids))}
        moved = move(connection, Transition.CANCEL, list(ids), values)
        for line_id in moved:
            log.record_line(before[line_id], "canceled", "canceled")
    return moved


def plan_again(ledger: Ledger, ids: Collection[str], author: Author = NOBODY) -> list[str]:
    """Plan rejected and expired lines again, with the units in the ledger; never lines that may have been billed.

    A line stays as it is if lines of the other grain with the same key and date were sent meanwhile.

    Args:
        ledger: The ledger of the lines.
        ids: Ids of the lines.
        author: Who decides, and why.

    Returns:
        Ids of the lines that are planned now.
    """
    now = ledger.database.now()
    moved: list[str] = []
    with ledger.database.write() as connection:
        log = DecisionLog(connection, now, author)
        entries = planning.fetch(connection, list(ids)).values()
        values = {"planned_at": now, "settled_at": None, "settled_by": None, "error": None}
        for transition in (Transition.RETRY, Transition.RETRY_EXPIRED):
            wanted = [entry for entry in entries if entry.state in transition.before]
            free = planning.free_of_other_grain(connection, wanted)
            before = {line_id: log.snapshot(line_id) for line_id in free}
            for line_id in move(connection, transition, free, values):
                log.record_line(before[line_id], "retry", transition.after)
                moved.append(line_id)
        # The usage of the next push need not contain them: a person has decided.
        release(connection, planning.fetch(connection, moved).values(), now, author.by, BY_DECISION)
    return moved


def find_planned(
    ledger: Ledger, selectors: Sequence[str], *, plan: str | None = None, canceled: bool = False
) -> list[str]:
    """Ids of planned lines that a person names.

    Args:
        ledger: The ledger of the lines.
        selectors: Ids of lines; or `all` for each line on hold.
        plan: Digest of a push; all of its lines that are still planned.
        canceled: Also find canceled lines by their ids.

    Raises:
        ConfigurationError: A line or a plan is not in the ledger, or a line is in another state.
    """
    next_step = "`automatum push plan` lists the lines that are on hold, `automatum push status` all others."
    found: dict[str, None] = {}
    if plan is not None:
        with ledger.database.read() as connection:
            query = select(PLANS.c.line_id, LINES.c.state).join(LINES, PLANS.c.line_id == LINES.c.line_id)
            rows = connection.execute(query.where(PLANS.c.plan == plan).order_by(PLANS.c.line_id)).all()
        if not rows:
            raise ConfigurationError("--plan", f"{plan!r} is no plan in {ledger.location}.", next_step)
        found |= dict.fromkeys(row.line_id for row in rows if row.state == "planned")
    if ALL in selectors:
        found |= dict.fromkeys(entry.line_id for entry, _ in lines_on_hold(ledger))
    named = [one for one in selectors if one != ALL]
    entries = ledger.reader.fetch(named)
    for line_id in named:
        state = entries[line_id].state if line_id in entries else None
        if state != "planned" and not (canceled and state == "canceled"):
            problem = f"is {state}, not planned" if state else "is not a line"
            raise ConfigurationError("LINE_ID", f"{line_id!r} {problem} in {ledger.location}.", next_step)
        found[line_id] = None
    return list(found)
