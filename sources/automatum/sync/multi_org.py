"""The sync of several organizations in one run: while one waits for its rate limit, another is synced."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence

from ..api.rate_limit import NO_WAIT
from ..api.session import ApiSession
from ..core.budget import Budget
from ..core.clock import Clock, instant
from ..core.errors import AutomatumError, BudgetSpent, MoreToDo, QuotaExhausted, defect
from .results import Verdict
from .summary import MultiOrgSummary, OrganizationSummary

logger = logging.getLogger("automatum")

MOST_FRUITLESS = 3
"""Turns in a row without a new page, after which an organization is left for the next run. Without this bound, an API
that refuses every request would keep the run alive for ever."""


def sync_organizations(
    names: Sequence[str],
    connect: Callable[[str], ApiSession],
    sync: Callable[[ApiSession], OrganizationSummary],
    *,
    clock: Clock,
    budget: Budget,
    max_wait: float | None = None,
) -> MultiOrgSummary:
    """Sync organizations in turns. An error of one organization is kept in its summary; the others go on.

    An organization whose rate limit is used up loads what it has read and ends its turn. It goes on where it stopped
    when the limit allows it; until then the others are synced.

    Args:
        names: Organizations, in the order of their first turns.
        connect: Opens the API session of an organization.
        sync: Syncs one organization, or raises the error that ends its sync.
        clock: Time.
        budget: Bounds of the whole run.
        max_wait: Seconds to wait for a rate limit when no organization can be synced. None for as long as it takes.
    """
    started = clock.monotonic()
    sessions: dict[str, ApiSession] = {}
    total = MultiOrgSummary({name: OrganizationSummary(Verdict.MORE_TO_DO) for name in names})
    due, fruitless = dict.fromkeys(names, 0.0), Counter[str]()
    while due:
        name = min(due, key=lambda one: due[one])
        wait = due[name] - clock.time()
        if wait > 0:
            if max_wait is not None and wait > max_wait:
                break
            logger.info("every unfinished organization waits for its rate limit, until %s", instant(due[name]))
        try:
            budget.pause(max(0.0, wait))
        except BudgetSpent:
            break
        # The last organization may wait itself: no other could use the time.
        patience = max_wait if len(due) == 1 else NO_WAIT if max_wait is None else min(NO_WAIT, max_wait)
        earlier, summary = total.organizations[name], _take_turn(name, connect, sync, sessions, patience)
        summary.take_over(earlier)
        total.organizations[name] = summary
        next_turn = _next_turn(summary)
        fruitless[name] = fruitless[name] + 1 if summary.pages <= earlier.pages else 0
        if next_turn is None or fruitless[name] >= MOST_FRUITLESS:
            del due[name]
            sessions.pop(name, None)
        else:
            due[name] = next_turn
    total.seconds = clock.monotonic() - started
    return total


def _take_turn(
    name: str,
    connect: Callable[[str], ApiSession],
    sync: Callable[[ApiSession], OrganizationSummary],
    sessions: dict[str, ApiSession],
    patience: float | None,
) -> OrganizationSummary:
    try:
        session = sessions[name] = sessions.get(name) or connect(name)
        session.client.tokens.max_wait = patience
        return sync(session)
    except MoreToDo as error:
        return OrganizationSummary(Verdict.MORE_TO_DO, errors=[error])
    except AutomatumError as error:
        # The summary reports the error again at the end of the run. At info, --quiet does not show it twice.
        logger.info("%s: %s", name, error)
        return OrganizationSummary(Verdict.INCOMPLETE, errors=[error])
    except Exception as error:
        return OrganizationSummary(Verdict.INCOMPLETE, errors=[defect(error, name)])


def _next_turn(summary: OrganizationSummary) -> float | None:
    """Epoch seconds of an organization's next turn. None if it is done, has failed, or has used up its budget."""
    stops = summary.stops
    if not stops or not all(isinstance(stop, QuotaExhausted) for stop in stops):
        return None
    if not all(isinstance(error, MoreToDo) for error in summary.errors):
        return None
    return max(stop.resume_at or 0.0 for stop in stops)
