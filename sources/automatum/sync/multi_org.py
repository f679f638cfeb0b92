"""Several organizations in one run: one after the other, and while one waits for its quota, another has its turn."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..api.rate_limit import NO_WAIT
from ..api.session import ApiSession
from ..core.budget import Budget
from ..core.clock import Clock, instant
from ..core.errors import (
    EXIT_ACCESS,
    EXIT_COMPLETE,
    EXIT_CONFIGURATION,
    EXIT_INCOMPLETE,
    EXIT_MORE_TO_DO,
    EXIT_SOFTWARE,
    EXIT_UNREACHABLE,
    AutomatumError,
    BudgetSpent,
    Fault,
    MoreToDo,
    QuotaExhausted,
)
from ..core.redaction import redact
from ..core.result_line import format_changes, result_line
from .engine import Summary
from .results import Verdict

logger = logging.getLogger("automatum")

_WORST_FIRST = (EXIT_CONFIGURATION, EXIT_ACCESS, EXIT_SOFTWARE, EXIT_UNREACHABLE, EXIT_INCOMPLETE, EXIT_MORE_TO_DO)
MOST_FRUITLESS = 3
"""Turns in a row that bring no page, after which an organization is left for the next run: an API that refuses whatever
we wait must not keep the command for ever."""


@dataclass
class SeveralSummary:
    """What a sync of several organizations did.

    Attributes:
        summaries: Organization to what its sync did, in their order.
        seconds: From start to end.
    """

    summaries: dict[str, Summary] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """The worst of all."""
        codes = {one.exit_code for one in self.summaries.values()}
        return next((code for code in _WORST_FIRST if code in codes), EXIT_COMPLETE)

    @property
    def verdict(self) -> Verdict:
        """`incomplete` if any is; else `more_to_do` if any is."""
        verdicts = {one.verdict for one in self.summaries.values()}
        return "incomplete" if "incomplete" in verdicts else "more_to_do" if "more_to_do" in verdicts else "complete"

    @property
    def resume_at(self) -> float | None:
        """Epoch seconds at which the first of those that have more to do can go on."""
        return min((one.resume_at for one in self.summaries.values() if one.resume_at is not None), default=None)

    @property
    def errors(self) -> list[AutomatumError]:
        """What went wrong, in the order of the organizations."""
        return [error for one in self.summaries.values() for error in one.errors]

    @property
    def named_errors(self) -> list[tuple[str, AutomatumError]]:
        """The errors, each with its organization."""
        return [(name, error) for name, one in self.summaries.items() for error in one.errors]

    @property
    def changed(self) -> bool:
        """Whether any row of any organization was inserted, updated or deleted."""
        return any(one.changed for one in self.summaries.values())

    def line(self, brief: bool = False) -> str:
        """The summary in one line: changes by table, summed over the organizations.

        Args:
            brief: Without what a server or the destination said, which may hold customers' data.
        """
        tables: dict[str, Counter[str]] = {}
        for one in self.summaries.values():
            for table, figures in one.as_json()["tables"].items():
                counts = {name: figures[name] for name in ("inserted", "updated", "deleted")}
                tables.setdefault(table, Counter()).update(counts)
        changed = sum(one.changed for one in self.summaries.values())
        requests = sum(one.requests for one in self.summaries.values())
        unfinished = [f"{name}: {one.verdict}" for name, one in self.summaries.items() if one.verdict != "complete"]
        return result_line(
            "sync",
            self.verdict,
            self.exit_code,
            changes=format_changes(tables),
            cost=f"{changed} of {len(self.summaries)} organizations changed, {requests} requests, {self.seconds:.1f} s",
            reasons=[", ".join(unfinished)],
            errors=self.named_errors,
            resume_at=self.resume_at,
            brief=brief,
        )

    def as_json(self) -> dict[str, Any]:
        """The summary as one JSON object."""
        return {
            "verdict": self.verdict,
            "requests": sum(one.requests for one in self.summaries.values()),
            "token_requests": sum(one.token_requests for one in self.summaries.values()),
            "seconds": round(self.seconds, 3),
            "resume_at": None if self.resume_at is None else instant(self.resume_at),
            "organizations": {name: one.as_json() for name, one in self.summaries.items()},
        }


def sync_several(
    names: Sequence[str],
    connect: Callable[[str], ApiSession],
    sync: Callable[[ApiSession], Summary],
    *,
    clock: Clock,
    budget: Budget,
    max_wait: float | None = None,
) -> SeveralSummary:
    """Sync organizations; what goes wrong with one is in its summary, and the others go on.

    Nobody waits for one organization's quota while another could work: who would wait loads what it has and leaves, and
    goes on where it stopped when its time has come.

    Args:
        names: Which organizations.
        connect: Opens the session of one.
        sync: Syncs one, and raises what ends it.
        clock: Time.
        budget: Bounds of the whole run.
        max_wait: Seconds to wait for quota when nobody can work; None for as long as it takes.
    """
    started = clock.monotonic()
    connections: dict[str, ApiSession] = {}
    total = SeveralSummary({name: Summary("more_to_do") for name in names})
    due, fruitless = dict.fromkeys(names, 0.0), Counter[str]()
    while due:
        name = min(due, key=lambda one: due[one])
        wait = due[name] - clock.time()
        if wait > 0:
            if max_wait is not None and wait > max_wait:
                break
            logger.info("all that is left waits for its quota, until %s", instant(due[name]))
        try:
            budget.pause(max(0.0, wait))
        except BudgetSpent:
            break
        patience = max_wait if len(due) == 1 else NO_WAIT if max_wait is None else min(NO_WAIT, max_wait)
        earlier, summary = total.summaries[name], _attempt(name, connect, sync, connections, patience)
        summary.take_over(earlier)
        total.summaries[name] = summary
        again = _again(summary)
        fruitless[name] = fruitless[name] + 1 if _pages(summary) <= _pages(earlier) else 0
        if again is None or fruitless[name] >= MOST_FRUITLESS:
            del due[name]
            connections.pop(name, None)
        else:
            due[name] = again
    total.seconds = clock.monotonic() - started
    return total


def _attempt(
    name: str,
    connect: Callable[[str], ApiSession],
    sync: Callable[[ApiSession], Summary],
    connections: dict[str, ApiSession],
    patience: float | None,
) -> Summary:
    try:
        session = connections[name] = connections.get(name) or connect(name)
        session.set_max_wait(patience)
        return sync(session)
    except MoreToDo as error:
        return Summary("more_to_do", errors=[error])
    except AutomatumError as error:
        # The end of the run tells it again; with --quiet it must not be told twice.
        logger.info("%s: %s", name, error)
        return Summary("incomplete", errors=[error])
    except Exception as error:
        logger.exception("%s", name) if logger.isEnabledFor(logging.DEBUG) else None
        words = f"{type(error).__name__}: {redact(str(error))[:1000]}"
        return Summary("incomplete", errors=[Fault(words, "This is a defect of the connector; --debug shows more.")])


def _pages(summary: Summary) -> int:
    return sum(run.result.pages for run in summary.runs)


def _again(summary: Summary) -> float | None:
    """When to go on with an organization; None if it has had its turn: done, failed, or out of its budget."""
    stops = [run.result.stopped for run in summary.runs if run.result.verdict == "more_to_do"]
    stops += [error for error in summary.errors if isinstance(error, MoreToDo)]
    if not stops or any(not isinstance(stop, QuotaExhausted) for stop in stops):
        return None
    if any(not isinstance(error, MoreToDo) for error in summary.errors):
        return None
    return max(stop.resume_at or 0.0 for stop in stops if stop)
