"""What a person decides about lines that are planned, or were: keep, cancel, or plan again."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import select

from ...core.errors import ConfigurationError
from . import line_rows
from .decision_log import KEPT, NOBODY, Author, DecisionLog
from .holds import BY_DECISION, release
from .ledger import Ledger
from .plan_reader import lines_on_hold
from .selectors import ALL
from .states import Transition
from .tables import LINES, PLANS
from .transitions import apply_transition

_REFUSED = (*Transition.RETRY.before, *Transition.RETRY_EXPIRED.before)


def keep(ledger: Ledger, ids: Collection[str], author: Author = NOBODY) -> list[str]:
    """Release lines that are on hold, and plan canceled lines again. The next push sends them.

    A canceled line stays as it is if another line bills the same usage, or may: see `line_rows.blocked_by`.

    Args:
        ledger: The ledger of the lines.
        ids: Ids of lines, from `find_planned`.
        author: Who decides, and why.

    Returns:
        Ids of the lines that the next push sends.
    """
    now = ledger.database.now()
    with ledger.database.write() as connection:
        entries = line_rows.fetch(connection, list(ids))
        log = DecisionLog(connection, now, author)
        before = {line_id: log.snapshot(line_id) for line_id in entries}
        canceled = [entry for entry in entries.values() if entry.state == "canceled"]
        free = line_rows.unblocked(connection, canceled)
        values = {"planned_at": now, "settled_at": None, "settled_by": None, "error": None}
        again = apply_transition(connection, Transition.PLAN_AGAIN, free, values)
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
        before = {line_id: log.snapshot(line_id) for line_id in line_rows.fetch(connection, list(ids))}
        moved = apply_transition(connection, Transition.CANCEL, list(ids), values)
        for line_id in moved:
            log.record_line(before[line_id], "canceled", "canceled")
    return moved


def plan_again(ledger: Ledger, ids: Collection[str], author: Author = NOBODY) -> list[str]:
    """Plan rejected and expired lines again, with the units in the ledger; never lines that may have been billed.

    A line stays as it is if another line bills the same usage, or may: see `line_rows.blocked_by`.

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
        entries = line_rows.fetch(connection, list(ids)).values()
        free = line_rows.unblocked(connection, [entry for entry in entries if entry.state in _REFUSED])
        before = {line_id: log.snapshot(line_id) for line_id in free}
        values = {"planned_at": now, "settled_at": None, "settled_by": None, "error": None}
        for transition in (Transition.RETRY, Transition.RETRY_EXPIRED):
            for line_id in apply_transition(connection, transition, free, values):
                log.record_line(before[line_id], "retry", transition.after)
                moved.append(line_id)
        # The usage of the next push need not contain them: a person has decided.
        release(connection, line_rows.fetch(connection, moved).values(), now, author.by, BY_DECISION)
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
            raise ConfigurationError("--plan", f"{plan!r} is not a plan in {ledger.location}.", next_step)
        found |= dict.fromkeys(row.line_id for row in rows if row.state == "planned")
    if ALL in selectors:
        found |= dict.fromkeys(entry.line_id for entry, _ in lines_on_hold(ledger))
    named = [selector for selector in selectors if selector != ALL]
    entries = ledger.reader.fetch(named)
    for line_id in named:
        state = entries[line_id].state if line_id in entries else None
        if state != "planned" and not (canceled and state == "canceled"):
            problem = f"is {state}, not planned" if state else "is not a line"
            raise ConfigurationError("LINE_ID", f"{line_id!r} {problem} in {ledger.location}.", next_step)
        found[line_id] = None
    return list(found)
