"""What responses say about the rate limits, applied to the state: it can only lower the number of requests left."""

from __future__ import annotations

from .headers import Reported
from .learning import learn, learn_from_refusal
from .server_limit import GUESS_HOLD, ServerLimit
from .state import LimiterState
from .window import Window
from .windows import Windows

ORGANIZATION_HOLD = 60.0
"""Seconds for which the headers about the organization apply, because no header reports the reset of its window."""
LONGEST_KNOWN = 3600.0
"""Seconds; a reset of a longer window is not waited for at once, because the vendor documents no such window."""


def apply_report(windows: Windows, state: LimiterState, now: float, wall: float, report: Reported) -> None:
    """Apply what a response says about a rate limit: its limit, and fewer requests left than this side counted.

    The difference are requests of other programs. They count from now on, or until the reported reset. Without a reset,
    those of the organization count for a short time only, because every response reports them again. Those in a window
    that is a guess count for a short time too, which doubles each time that no request is left.

    Args:
        windows: The windows.
        state: The refreshed state.
        now: Time of the state.
        wall: Epoch seconds.
        report: The report.
    """
    configured = windows.configured(report.scope)
    if not configured:
        return
    learned = learn(state, now, wall, report, configured, windows.memory)
    if report.left is None:
        return
    length = learned.seconds if learned else _length_of(report.resets, configured)
    window = Window(report.scope, learned.limit if learned else configured.get(length, 1), length)
    if learned and state.blocked_until <= now:
        learned.holds = learned.holds + 1 if report.left == 0 else 0
    expires_in, doubtful = _expiry(windows, report, window, learned)
    _count_others(windows, state, now, window, report.left, expires_in)
    if report.left == 0 and (report.resets is not None or report.scope == "organization" or doubtful):
        state.block(now + expires_in, f"the API says that the quota of the {window} is used up")


def explain_refusal(windows: Windows, state: LimiterState, now: float, wall: float, retry_after: float | None) -> None:
    """Learn from a 429 although no window was exhausted: a lower limit, or that the server refuses bursts.

    If it refuses bursts, the requests of one more window are spread evenly. A 429 during a block has no effect: its
    request was sent before the block.

    Args:
        windows: The windows.
        state: The refreshed state.
        now: Time of the state.
        wall: Epoch seconds.
        retry_after: Seconds that the 429 asks to wait; None if it names no time.
    """
    if state.blocked_until > now:
        return
    configured = windows.configured("application")
    if retry_after is not None and learn_from_refusal(state, now, wall, retry_after, configured, windows.memory):
        return
    level = state.smooth if now < state.smooth_until else 0
    state.smooth = min(level + 1, len(windows.application))
    state.smooth_until, state.changed = now + windows.memory, True


def _expiry(windows: Windows, report: Reported, window: Window, learned: ServerLimit | None) -> tuple[float, bool]:
    """Seconds for which a report applies, and whether that rests on a guess."""
    if report.resets is None and report.scope == "organization":
        return min(ORGANIZATION_HOLD, window.span), False
    if report.resets is None:
        expires_in = window.span
        doubtful = not (learned and learned.certain) or window.seconds not in windows.configured(report.scope)
    else:
        expires_in = min(window.span, report.resets + max(1.0, window.span - window.seconds))
        doubtful = window.seconds > max(windows.longest, LONGEST_KNOWN)
    hold = GUESS_HOLD * 2.0 ** min(20, max(0, learned.holds - 1 if learned else 0))
    return (min(expires_in, hold) if doubtful else expires_in), doubtful


def _length_of(resets: float | None, configured: dict[float, int]) -> float:
    """Length of the window of a report without a limit: the shortest that the reset allows, or the longest."""
    possible = [length for length in configured if resets is None or resets <= 1.05 * length]
    return max(configured) if resets is None or not possible else min(possible)


def _count_others(
    windows: Windows, state: LimiterState, now: float, window: Window, left: int, expires_in: float
) -> None:
    configured = windows.configured(window.scope).get(window.seconds)
    if configured is None:
        return
    window = Window(window.scope, min(window.limit, configured), window.seconds)
    foreign = window.limit - windows.used(state, window, now, reserved=True) - left
    if foreign > 0:
        state.others[window.key] = sorted([*state.others.get(window.key, ()), (now + expires_in, foreign)])
        state.changed = True
