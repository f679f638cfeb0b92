"""Customers that were metered before and are not any more: an outage of metering looks like no usage (I5)."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, func, select

from ..model import LENGTHS, NAMESPACE
from .decision_log import Author, DecisionLog
from .ledger import Ledger
from .selectors import find_ids
from .states import TAKEN
from .tables import DECISIONS, LINES

_KEY = ("vendor", "listing_id", "customer_id", "dimension")


@dataclass(frozen=True, slots=True)
class SilentKey:
    """A customer's dimension without a recent line.

    Attributes:
        silence_id: Id of the key.
        last_at: End of its last hour or day with a line.
        lines: Number of its lines that the API took.
    """

    silence_id: str
    vendor: str
    listing_id: str
    customer_id: str
    dimension: str
    last_at: datetime
    lines: int

    def as_row(self) -> dict[str, Any]:
        """Fields to values, timestamps as they are."""
        return asdict(self)


def silent_keys(ledger: Ledger, now: datetime, after: timedelta | None) -> list[SilentKey]:
    """Keys that the API took lines of, and that have no line since, the longest silent first.

    Args:
        ledger: The ledger.
        now: The current time, aware.
        after: So long after its last hour or day a key is silent; None to look for none.
    """
    if after is None or not ledger.exists:
        return []
    columns = [LINES.c[name] for name in _KEY]
    taken = func.sum(case((LINES.c.state.in_(TAKEN), 1), else_=0)).label("taken")
    query = select(*columns, LINES.c.grain, func.max(LINES.c.starts_at).label("latest"), taken)
    query = query.group_by(*columns, LINES.c.grain)
    dismissed = select(DECISIONS.c.subject_id, func.max(DECISIONS.c.decided_at))
    dismissed = dismissed.where(DECISIONS.c.subject == "silence", DECISIONS.c.decision == "dismissed")
    dismissed = dismissed.where(DECISIONS.c.undone_at.is_(None)).group_by(DECISIONS.c.subject_id)
    found: dict[str, SilentKey] = {}
    with ledger.database.read() as connection:
        for row in connection.execute(query).mappings():
            key = {name: row[name] for name in _KEY}
            silence_id = str(uuid.uuid5(NAMESPACE, "\x1f".join(("silence", *key.values()))))
            before = found.get(silence_id)
            last, number = row["latest"] + LENGTHS[row["grain"]], row["taken"]
            if before:
                last, number = max(last, before.last_at), number + before.lines
            found[silence_id] = SilentKey(silence_id=silence_id, last_at=last, lines=number, **key)
        until = {silence_id: decided_at for silence_id, decided_at in connection.execute(dismissed)}  # noqa: C416
    silent = [
        key
        for key in found.values()
        if key.lines and now - key.last_at > after and until.get(key.silence_id, key.last_at) <= key.last_at
    ]
    return sorted(silent, key=lambda key: (key.last_at, key.silence_id))


def find_silent(silent: Collection[SilentKey], selectors: Collection[str]) -> list[str]:
    """Ids of the silent keys that a person names.

    Args:
        silent: From `silent_keys`.
        selectors: Ids, or filters such as `customer_id=cust_1,dimension=api`, or `all`.

    Raises:
        ConfigurationError: A selector names no silent key, or a filter is wrong.
    """
    rows = {key.silence_id: key.as_row() for key in silent}
    next_step = "`automatum push status` lists what is silent."
    return find_ids(selectors, rows, _KEY, "--silent", "names nothing that is silent.", next_step)


def dismiss_silence(ledger: Ledger, silence_ids: Collection[str], author: Author) -> list[str]:
    """Expect no lines of these keys any more, until there is one again.

    Args:
        ledger: The ledger.
        silence_ids: From `find_silent`.
        author: Who decides, and why.
    """
    with ledger.database.write() as connection:
        log = DecisionLog(connection, ledger.database.now(), author)
        for silence_id in silence_ids:
            log.record("silence", silence_id, "dismissed", "silent", "dismissed")
    return list(silence_ids)
