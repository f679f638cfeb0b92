"""Counts what the API answered and how long it took: the vendor's page asks for monitoring (`api/authentication`)."""

from __future__ import annotations

from math import ceil
from typing import Any, NamedTuple

_NAMED = (401, 403, 404, 429)


class Attempt(NamedTuple):
    """One request that was sent.

    Attributes:
        status: Status of the response; None without a usable response.
        seconds: Its duration.
        repeated: Whether an earlier attempt of the same request came before it.
    """

    status: int | None
    seconds: float
    repeated: bool


class RequestStats(list[Attempt]):
    """The requests that were sent, in their order. Requests for a token are not part of it."""

    def to_json(self) -> dict[str, Any]:
        """The figures: counts of refusals, failures and repetitions; milliseconds, None if nothing was sent.

        The names are those of the columns of `_automatum_sweeps`.
        """
        statuses = [one.status for one in self]
        durations = sorted(one.seconds for one in self)
        return {
            **{f"http_{status}": statuses.count(status) for status in _NAMED},
            "http_5xx": sum(status is not None and 500 <= status < 600 for status in statuses),
            "network_errors": statuses.count(None),
            "retries": sum(one.repeated for one in self),
            "latency_p50_ms": _percentile(durations, 0.5),
            "latency_p95_ms": _percentile(durations, 0.95),
            "latency_max_ms": _percentile(durations, 1.0),
        }


def _percentile(durations: list[float], share: float) -> int | None:
    """The duration that this share of the requests did not exceed (nearest rank), in milliseconds."""
    return round(1000 * durations[max(0, ceil(share * len(durations)) - 1)]) if durations else None


STATS_COLUMNS: tuple[str, ...] = tuple(RequestStats().to_json())
"""Names of the figures, each a column of type bigint."""
LATENCY_COLUMNS = ("latency_p50_ms", "latency_p95_ms", "latency_max_ms")
"""Those that are durations in milliseconds; the others are counts."""
