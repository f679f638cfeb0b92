"""I4: limits of another plan over real sockets, with a clock that moves only when the client waits."""

import random

import pytest

from automatum.api.client import ApiClient
from automatum.api.rate_limit import RateLimiter
from automatum.config.settings import APPLICATION_LIMITS, AutomatumSettings
from automatum.core.budget import Budget
from tests.support.clocks import FakeClock
from tests.support.plan_server import STYLES, PlanServer, ServedPlan
from tests.support.quota_fixtures import WIDE
from tests.support.quota_processes import optimum

COUNT = 90
LESSON = 60.0
"""Seconds: the wait that a lesson may cost, such as the default wait of a 429 that names no time."""


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
def test_40_a_minute_where_50_are_configured(style):
    """It was taken for 40 an hour. `tests/unit` plays more plans without sockets."""
    clock = FakeClock()
    server = PlanServer(clock, 40, 1000, "sliding", style)
    settings = AutomatumSettings()
    settings.client_id, settings.client_secret = "app_one", "secret_one"
    with ServedPlan(server) as served:
        settings.base_url = served.base_url
        limiter = RateLimiter(APPLICATION_LIMITS, WIDE, clock)
        client = ApiClient(settings, clock, limiter, Budget(clock), rng=random.Random(1))
        for _ in range(COUNT):
            client.get("customers")
        client._connections.close()
    best = optimum([(40, 60.0), (1000, 3600.0)], [0.0] * (COUNT + 1))
    assert len(server.taken) == COUNT + 1, "a token and the requests"
    assert len(server.refused) <= 1
    assert clock.slept <= 1.1 * best + LESSON
    (row,) = [one for one in limiter.learned() if one["seconds"] == 60]
    # Neither a guess nor a time without a limit is certain enough to propose a setting.
    uncertain = style in ("documented", "retryAfter alone", "no reset")
    assert (row["limit"], row["applies"]) == (40, True)
    assert row["set"] == (None if uncertain else [[40, 60], [1000, 3600]])
