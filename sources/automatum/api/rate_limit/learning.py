"""Assigns rate limits that the server reports, or that its refusals prove, to windows.

The vendor's headers name a limit without its window. A limit that is taken for the wrong window costs an hour, so the
window follows from evidence, strongest first:

1. the name of the window, where the response has it (`name`);
2. the distance to the reset: a window is at least as long (`reset`);
3. a configured window with this limit (`configured`);
4. how the number of requests that are left moves. If it rises again and again while this side sends, the window is
   shorter; if it falls by exactly what this side sends for longer than the window, the window is longer (`remaining`);
5. the configured window whose limit is nearest (`guess`). A guess never imposes a wait of an hour (`applies`).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from .headers import PERIODS, Reported
from .server_limit import ServerLimit
from .state import LimiterState

MOST_LIMITS = 12
"""Limits that are remembered; the oldest are dropped."""
REFRESH = 60.0
"""Seconds after which a repeated report is stored again."""
_EARLY, _SLACK = 2.0, 1.5
"""Seconds of rounding: of a reset beyond the length of its window, and of the start of a window."""


def applied_limits(state: LimiterState, now: float) -> dict[tuple[str, float], int]:
    """For scope and length of a window: the limit of the server that applies, the latest if there are several."""
    found = sorted((one for one in state.server_limits.values() if one.applies(now)), key=lambda one: one.seen)
    return {(one.scope, one.seconds): one.limit for one in found}


def learn(
    state: LimiterState, now: float, wall: float, one: Reported, configured: dict[float, int], memory: float
) -> ServerLimit | None:
    """Assign a reported limit to a window.

    Args:
        state: The refreshed state.
        now: Time of the state.
        wall: Epoch seconds.
        one: The report.
        configured: Length to limit of the configured windows of this scope.
        memory: Seconds for which a limit applies after its last report.

    Returns:
        The limit, which the state now holds; None if the report names no limit.
    """
    if not one.limit:
        return None
    key = f"{one.scope} {one.limit}"
    known = state.server_limits.get(key)
    seconds, evidence = _window_of(one, configured, known)
    if known and not one.seconds and one.resets is None and known.evidence in ("guess", "remaining"):
        seconds, evidence = _by_remaining(state, now, known, one.left, sorted(configured))
    if known is None or (known.seconds, known.evidence) != (seconds, evidence):
        fresh = ServerLimit(one.scope, one.limit, seconds, evidence, one.source, wall, now, now + memory)
        if known:
            fresh.since, fresh.falls_from, fresh.holds = known.since, known.falls_from, known.holds
        else:
            fresh.falls_from = now
        state.server_limits[key], known = fresh, fresh
        # They were counted against another limit. This report counts them again.
        state.others.pop(f"{one.scope} {seconds:g}", None)
        state.changed = True
        _forget_oldest(state)
    # A report that says nothing new is kept in memory only, which saves a write for each response.
    state.changed |= known.seen + REFRESH <= now or not known.certain
    known.seen, known.until, known.left = now, now + memory, -1 if one.left is None else one.left
    return known


def learn_from_refusal(
    state: LimiterState, now: float, wall: float, retry_after: float, configured: dict[float, int], memory: float
) -> bool:
    """Learn a limit from a 429 that names a time and no limit.

    The time tells the window, and when it began: at a fixed window's start, or with the oldest request of a sliding
    window. The requests since then are the limit. Other programs may have sent a part of them, so a first refusal
    applies for a few windows only. A second refusal at about the same limit confirms it.

    Args:
        state: The refreshed state.
        now: Time of the state.
        wall: Epoch seconds.
        retry_after: Seconds that the 429 asks to wait.
        configured: Length to limit of the configured windows of the application.
        memory: Seconds for which a confirmed limit applies.

    Returns:
        Whether a limit explains the refusal. If not, the server refuses bursts: the time is that of a few requests.
    """
    seconds = next((length for length in sorted(configured) if retry_after <= length + _EARLY), None)
    if seconds is None:
        return False
    before = state.server_limits.get(f"application {seconds:g} refused")
    # The refused request is in the log.
    sent = count_since(state, now + retry_after - seconds - _SLACK) - 1
    if before and before.applies(now):
        sent = min(sent, before.limit - 1)
    few, burst = configured[seconds] / 10, 3 * seconds / max(1, configured[seconds] - 1)
    if not max(1, few) <= sent < configured[seconds] or retry_after <= burst:
        return False
    confirmed = before is not None and abs(before.limit - sent) <= max(1, 0.1 * before.limit)
    until = now + (memory if confirmed else max(2 * seconds, min(5 * seconds, 600.0)))
    learned = ServerLimit("application", sent, seconds, "refusal", "a 429", wall, now, until)
    state.server_limits[learned.key] = learned
    state.others.pop(f"application {seconds:g}", None)
    state.changed = True
    return True


def count_since(state: LimiterState, since: float, until: float = math.inf) -> int:
    """Requests of all processes whose responses came after `since`, and not after `until`."""
    return sum(
        bisect_right(times, until) - bisect_right(times, min(since, until)) for times in (state.general, state.reserved)
    )


def forget(state: LimiterState, now: float, memory: float) -> None:
    """Drop limits that were not reported for a long time."""
    for key in [key for key, one in state.server_limits.items() if max(one.until, one.seen + memory) <= now]:
        del state.server_limits[key]
        state.changed = True


def _forget_oldest(state: LimiterState) -> None:
    while len(state.server_limits) > MOST_LIMITS:
        del state.server_limits[min(state.server_limits, key=lambda key: state.server_limits[key].seen)]


def _window_of(one: Reported, configured: dict[float, int], known: ServerLimit | None) -> tuple[float, str]:
    if one.seconds:
        return one.seconds, "name"
    reset = one.resets
    if reset is None:
        possible = sorted(configured)
    else:
        lengths = sorted({*configured, *PERIODS.values()})
        possible = [length for length in lengths if reset <= length + max(_EARLY, 0.05 * length)]
    if not possible:
        return float(reset or 0.0), "reset"
    if known and known.seconds in possible and (known.certain or reset is None):
        return known.seconds, known.evidence
    same = [length for length in possible if configured.get(length) == one.limit]
    if same:
        return same[0], "configured"
    if reset is not None:
        return possible[0], "reset"
    return min(possible, key=lambda length: abs(math.log(configured[length] / (one.limit or 1)))), "guess"


def _by_remaining(
    state: LimiterState, now: float, known: ServerLimit, left: int | None, lengths: Sequence[float]
) -> tuple[float, str]:
    """The window of a limit without a reset, after one more report of the number of requests left."""
    same = known.seconds, known.evidence
    if left is None:
        return same
    shorter = [length for length in lengths if length < known.seconds]
    longer = [length for length in lengths if length > known.seconds]
    start = now - 0.9 * known.seconds
    # A factor of two covers requests that the server does not count, such as those for a token.
    if known.limit - left < count_since(state, max(start, known.since)) / 2 - 2:
        if known.since > start and shorter:
            known.since = known.falls_from = now
            return shorter[-1], "remaining"
        known.since = known.seen
    if known.left >= 0 and left != known.left - count_since(state, known.seen):
        known.falls_from = now
    elif now - known.falls_from > 1.2 * known.seconds and longer:
        expired = count_since(state, known.falls_from, now - 1.1 * known.seconds)
        if expired >= 3:
            return longer[0], "remaining"
    return same
