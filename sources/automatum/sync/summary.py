"""What a sync did: of one organization, by table; of several, by organization."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.clock import instant
from ..core.errors import (
    EXIT_COMPLETE,
    EXIT_INCOMPLETE,
    EXIT_MORE_TO_DO,
    AutomatumError,
    MoreToDo,
    QuotaExhausted,
    worst_exit_code,
)
from ..core.result_line import describe_verdict, format_changes, result_line
from ..core.text import plural
from ..endpoints import Endpoint
from .results import TableResult, Verdict

_EXIT_CODES: dict[Verdict, int] = {
    Verdict.COMPLETE: EXIT_COMPLETE,
    Verdict.INCOMPLETE: EXIT_INCOMPLETE,
    Verdict.MORE_TO_DO: EXIT_MORE_TO_DO,
}

_COUNTS = ("inserted", "updated", "deleted", "unchanged")


@dataclass
class OrganizationSummary:
    """What the sync of one organization did.

    Attributes:
        verdict: `complete`, `incomplete` or `more_to_do`.
        requests: API requests sent, retries included.
        token_requests: Requests for a token.
        seconds: Duration.
        results: Each table with its result.
        skipped: Group or table to the reason why it was skipped.
        left_out: Of a pool, client id of each application that was left out to the reason.
        errors: What went wrong.
        pipeline: Name of the dlt pipeline, for `dlt pipeline NAME info`. Empty if it was not opened.
    """

    verdict: Verdict = Verdict.COMPLETE
    requests: int = 0
    token_requests: int = 0
    seconds: float = 0.0
    results: list[tuple[Endpoint, TableResult]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    errors: list[AutomatumError] = field(default_factory=list)
    pipeline: str = ""

    @property
    def exit_code(self) -> int:
        """Exit code of the process: of the worst error, or of the verdict."""
        return worst_exit_code([_EXIT_CODES[self.verdict], *(error.exit_code for error in self.errors)])

    @property
    def stops(self) -> list[MoreToDo]:
        """The bounds that cut tables or the whole sync short."""
        stopped = [one.stopped for _, one in self.results if one.verdict == Verdict.MORE_TO_DO]
        return [stop for stop in (*stopped, *self.errors) if isinstance(stop, MoreToDo)]

    @property
    def resume_at(self) -> float | None:
        """Epoch seconds at which the rest can be synced. None if any time will do, or nothing is left."""
        return max((stop.resume_at for stop in self.stops if stop.resume_at is not None), default=None)

    @property
    def next_turn(self) -> float | None:
        """Epoch seconds from which on it can go on. None if it is done, has failed, or has used up its budget."""
        only_waits = all(isinstance(stop, QuotaExhausted) for stop in (*self.stops, *self.errors))
        return max(stop.resume_at or 0.0 for stop in self.stops) if self.stops and only_waits else None

    @property
    def pages(self) -> int:
        """Pages read."""
        return sum(result.pages for _, result in self.results)

    @property
    def named_errors(self) -> list[tuple[str, AutomatumError]]:
        """The errors, each with an empty text in place of an organization."""
        return [("", error) for error in self.errors]

    @property
    def changed(self) -> bool:
        """Whether any row was inserted, updated or deleted."""
        counted = [result.counts for _, result in self.results]
        return any(counts.inserted or counts.updated or counts.deleted for counts in counted)

    def take_over(self, earlier: OrganizationSummary) -> None:
        """Add what an earlier turn of the same sync did.

        Args:
            earlier: The summary of that turn.
        """
        known = {endpoint.table: result for endpoint, result in earlier.results}
        for endpoint, result in self.results:
            if endpoint.table in known and not result.finished_earlier:
                result.requests += known[endpoint.table].requests
        self.results = [
            (endpoint, known.get(endpoint.table, result) if result.finished_earlier else result)
            for endpoint, result in self.results
        ] or earlier.results
        self.requests = max(self.requests, earlier.requests)
        self.token_requests = max(self.token_requests, earlier.token_requests)
        self.seconds += earlier.seconds
        self.left_out = earlier.left_out | self.left_out

    def line(self, brief: bool = False) -> str:
        """The summary in one line, such as `automatum sync: complete; customers +3 ~2 -1; 11 requests, 4.2 s`.

        Args:
            brief: Leave out what a server or the destination said, because it may hold customers' data.
        """
        tables = self.to_json()["tables"]
        reasons = [f"{name}: {row['reason']}" for name, row in tables.items() if row["verdict"] == Verdict.INCOMPLETE]
        reasons += list(dict.fromkeys(one.stopped.message for _, one in self.results if one.stopped))[:1]
        return result_line(
            "sync",
            self.verdict,
            self.exit_code,
            changes=format_changes(tables),
            cost=f"{plural(self.requests, 'request')}, {self.seconds:.1f} s",
            reasons=reasons,
            errors=self.named_errors,
            resume_at=self.resume_at,
            brief=brief,
        )

    def to_json(self) -> dict[str, Any]:
        """The summary as one JSON object; reports are summed under `analytics` and listed there."""
        groups: dict[str, dict[str, TableResult]] = {}
        for endpoint, result in self.results:
            if not result.skipped:
                groups.setdefault(endpoint.group, {})[endpoint.table] = result
        tables = {group: _figures(list(results.values())) for group, results in groups.items()}
        for group in {endpoint.group for endpoint, _ in self.results if endpoint.kind == "report"} & tables.keys():
            tables[group]["reports"] = {table: _figures([result]) for table, result in groups[group].items()}
        return {
            "verdict": self.verdict.value,
            "requests": self.requests,
            "token_requests": self.token_requests,
            "seconds": round(self.seconds, 3),
            "pipeline": self.pipeline or None,
            "resume_at": None if self.resume_at is None else instant(self.resume_at),
            "tables": tables,
            "skipped": self.skipped,
            "left_out": self.left_out,
            "errors": [error.to_json() for error in self.errors],
        }


@dataclass
class MultiOrgSummary:
    """What the sync of several organizations did.

    Attributes:
        organizations: Name to summary, in the order in which the organizations were named.
        seconds: Duration.
    """

    organizations: dict[str, OrganizationSummary] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """`incomplete` if any organization is; else `more_to_do` if any is."""
        return _worst_verdict(one.verdict for one in self.organizations.values())

    @property
    def exit_code(self) -> int:
        """The worst exit code of the organizations."""
        return worst_exit_code(one.exit_code for one in self.organizations.values())

    @property
    def requests(self) -> int:
        """API requests sent, retries included."""
        return sum(one.requests for one in self.organizations.values())

    @property
    def token_requests(self) -> int:
        """Requests for a token."""
        return sum(one.token_requests for one in self.organizations.values())

    @property
    def resume_at(self) -> float | None:
        """Epoch seconds at which the first organization with more to do can go on."""
        return min((one.resume_at for one in self.organizations.values() if one.resume_at is not None), default=None)

    @property
    def errors(self) -> list[AutomatumError]:
        """What went wrong, in the order of the organizations."""
        return [error for _, error in self.named_errors]

    @property
    def named_errors(self) -> list[tuple[str, AutomatumError]]:
        """The errors, each with its organization."""
        return [(name, error) for name, one in self.organizations.items() for error in one.errors]

    @property
    def changed(self) -> bool:
        """Whether any row of any organization was inserted, updated or deleted."""
        return any(one.changed for one in self.organizations.values())

    def line(self, brief: bool = False) -> str:
        """The summary in one line: changes by table, summed over the organizations.

        Args:
            brief: Leave out what a server or the destination said, because it may hold customers' data.
        """
        tables: dict[str, Counter[str]] = {}
        for one in self.organizations.values():
            for table, figures in one.to_json()["tables"].items():
                counts = {name: figures[name] for name in _COUNTS[:3]}
                tables.setdefault(table, Counter()).update(counts)
        changed = sum(one.changed for one in self.organizations.values())
        unfinished = [
            f"{name}: {describe_verdict(one.verdict)}"
            for name, one in self.organizations.items()
            if one.verdict != Verdict.COMPLETE
        ]
        return result_line(
            "sync",
            self.verdict,
            self.exit_code,
            changes=format_changes(tables),
            cost=f"{changed} of {plural(len(self.organizations), 'organization')} changed, "
            f"{plural(self.requests, 'request')}, {self.seconds:.1f} s",
            reasons=[", ".join(unfinished)],
            errors=self.named_errors,
            resume_at=self.resume_at,
            brief=brief,
        )

    def to_json(self) -> dict[str, Any]:
        """The summary as one JSON object."""
        return {
            "verdict": self.verdict.value,
            "requests": self.requests,
            "token_requests": self.token_requests,
            "seconds": round(self.seconds, 3),
            "resume_at": None if self.resume_at is None else instant(self.resume_at),
            "organizations": {name: one.to_json() for name, one in self.organizations.items()},
        }


SyncSummary = OrganizationSummary | MultiOrgSummary
"""What `run_sync` returns."""


def _worst_verdict(verdicts: Iterable[Verdict]) -> Verdict:
    found = set(verdicts)
    return next((one for one in (Verdict.INCOMPLETE, Verdict.MORE_TO_DO) if one in found), Verdict.COMPLETE)


def _figures(results: Sequence[TableResult]) -> dict[str, Any]:
    """The numbers of one table, or of all reports together."""
    announced = [result.announced for result in results if result.announced is not None]
    reasons = [result.reason or str(result.error or result.stopped or "") for result in results]
    return {
        "verdict": _worst_verdict(result.verdict or Verdict.INCOMPLETE for result in results).value,
        "reason": "; ".join(reason for reason in reasons if reason),
        "requests": sum(result.requests for result in results),
        "pages": sum(result.pages for result in results),
        "announced": sum(announced) if announced else None,
        "distinct": sum(result.distinct for result in results),
        **{name: sum(getattr(one.counts, name) for one in results) for name in _COUNTS},
        "rejected": sum(result.rejected for result in results),
        "waiting": sum(result.waiting for result in results),
        "unread": {name: count for result in results for name, count in result.unread.items()},
    }
