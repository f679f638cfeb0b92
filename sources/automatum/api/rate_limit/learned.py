"""What was learned about the server's rate limits, for `plan` and `status`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...core.clock import instant
from .headers import PERIODS
from .server_limit import ServerLimit
from .state import LimiterState

_NAMES = {seconds: name for name, seconds in PERIODS.items()}


def learned_rows(
    state: LimiterState, now: float, configured: Callable[[str], dict[float, int]]
) -> list[dict[str, Any]]:
    """The limits of the server that are in the state, shortest window first.

    Args:
        state: The refreshed state.
        now: Time of the state.
        configured: Returns length to limit of the configured windows of a scope.

    Returns:
        For each: `scope`, `limit`, `seconds`, `period` (name of the window), `configured` (its configured limit, or
        null), `applies` (whether requests keep to it), `evidence` (see `learning`), `source` (header or field),
        `learned_at`, `setting`, and `set` (value of the setting that matches the server; null if it is as configured
        or not certain).
    """
    latest = {}
    for one in sorted(state.server_limits.values(), key=lambda limit: limit.seen):
        if now < one.until:
            latest[one.scope, one.seconds] = one
    rows = []
    for (scope, seconds), one in sorted(latest.items()):
        ours = configured(scope)
        stated = {row.seconds: row.limit for row in latest.values() if row.scope == scope and _stated(row)}
        wanted, differs = {**ours, **stated}, _stated(one) and ours.get(seconds) != one.limit
        rows.append(
            {
                "scope": scope,
                "limit": one.limit,
                "seconds": _whole(seconds),
                "period": _NAMES.get(seconds, f"{seconds:g} seconds"),
                "configured": ours.get(seconds),
                "applies": one.applies(now) and one.limit < ours.get(seconds, one.limit + 1),
                "evidence": one.evidence,
                "source": one.source,
                "learned_at": instant(one.learned_at),
                "setting": f"sources.automatum.{scope}_limits",
                "set": [[limit, _whole(length)] for length, limit in sorted(wanted.items())] if differs else None,
            }
        )
    return rows


def _stated(one: ServerLimit) -> bool:
    """Whether the server states the limit of a known window. What its refusals prove may be due to other programs."""
    return one.certain and one.evidence != "refusal"


def _whole(seconds: float) -> float:
    return int(seconds) if seconds == int(seconds) else seconds
