"""I4: processes of one machine, and of several, spend one quota: fairly, never beyond it, also when they are killed.

`KILLS=100` runs the kills long.
"""

import os
import random
import threading
import time

import pytest

from automatum_sandbox import Limits
from tests.support.desk import await_
from tests.support.quota_processes import Spender, finish, optimum, to_json, worst
from tests.support.valkey import valkey, valkey_server  # noqa: F401  fixtures

KILLS = int(os.environ.get("KILLS", "10"))
SCALE = 1 / 900
LIMITS = [(12, 60 * SCALE), (160, 3600 * SCALE)]
TIGHT = [(3, 60 * SCALE), (90, 3600 * SCALE)]
"""So few that the tickets of those who are killed would fill them, were they kept for ever."""
HOUR = 3600 * SCALE
FAIR = 4
"""There is no queue: chance decides who sends the next request, and on a busy machine not evenly. None starves."""
TIMEOUT = 0.6
"""Seconds; twice that, and the ticket of a process that was killed begins to age."""
SLOW = 0.1
"""Seconds that an answer takes where processes are killed."""
STALE = 3.0
"""Seconds for which a dead process keeps its place in the queue; see `windows`."""
SLACK = 2.0
"""Seconds for what a loaded machine may take."""


def serve(start, limits):
    """A sandbox with small windows: sliding, which are the stricter ones. Its headers, in whole seconds, are too coarse
    for them."""
    allowed = Limits(limits[0][0], limits[1][0], 100_000, 100_000)
    return start(customers=4, limits=allowed, window_kind="sliding", window_scale=SCALE, limit_headers=False)


@pytest.fixture(params=["sqlite", "valkey"])
def machines(request, tmp_path):
    """Where processes run: homes of their own, and what they are told about where the quota is."""
    if request.param == "sqlite":
        return [tmp_path / "home"], {}
    url = request.getfixturevalue("valkey").url
    return [tmp_path / "one", tmp_path / "two"], {"quota_url": url}


def settings_for(served, limits, **more):
    # No reserve: what may spend it is the matter of others' tests, and shares are to be counted over the whole.
    return {
        "base_url": served.base_url,
        "client_id": served.client_id,
        "client_secret": served.client_secret,
        "application_limits": [list(limit) for limit in limits],
        "request_timeout": TIMEOUT,
        **more,
    }


def counted(served):
    """When the sandbox counted a request, by its own log; none may have been refused."""
    log = served.sandbox.requests.all()
    assert [one for one in log if one.status == 429] == [], "a 429 of our own making"
    return [one.time for one in log if one.app is not None]


def test_processes_share_one_quota_and_never_exceed_it(start, machines, tmp_path):
    homes, told = machines
    served = serve(start, LIMITS)
    settings = settings_for(served, LIMITS, **told)
    spenders = [
        Spender(settings, homes[number % len(homes)], tmp_path, f"spender {number}", until=1.4 * HOUR)
        for number in range(4)
    ]
    finish(spenders, 1.4 * HOUR + SLACK)
    shares, times = [len(one.answers) for one in spenders], counted(served)
    print(to_json({"shares": shares, "requests": len(times)}))
    assert worst(times, LIMITS) <= 0
    assert len(times) > LIMITS[1][0], "they did not get beyond the first hour"
    assert max(shares) <= FAIR * min(shares), shares
    if not told:
        assert len([*homes[0].rglob("quota-*.sqlite")]) == 1


def test_a_killed_process_neither_exceeds_a_window_nor_blocks_the_others(start, machines, tmp_path):
    homes, told = machines
    served = serve(start, TIGHT)
    settings, seed = settings_for(served, TIGHT, **told), random.randrange(10**6)
    rng, everybody = random.Random(seed), []
    print(f"seed {seed}")
    # Slow answers: most of the time a process holds a ticket.
    served.sandbox.faults.add("slow", "/api/v1/", seconds=SLOW, count=None)

    def begin(count=None):
        number = len(everybody)
        everybody.append(Spender(settings, homes[number % len(homes)], tmp_path, f"spender {number}", count))
        everybody[-1].go()
        return everybody[-1]

    survivors = [begin(20 * (1 + KILLS // 50)) for _ in range(2)]
    victims = [begin() for _ in range(3)]
    for one in (*survivors, *victims):
        one.await_ready()
    lost = 0
    for number in range(KILLS):
        victim = victims.pop(rng.randrange(len(victims)))
        victim.await_ready()
        # One in two while it holds a ticket; the others at any moment: then they mostly wait, behind the dead.
        if number % 2 == 0:
            await_(lambda one=victim: one.holds_a_ticket)
        threading.Event().wait(rng.uniform(0, 0.5 * SLOW))
        victim.kill()
        lost += victim.holds_a_ticket
        victims.append(begin())
    for one in victims:
        one.kill()
    left = sum(one.count - len(one.answers) for one in survivors)
    # At worst the windows are full, of tickets that only now begin to age.
    bound = 2 * TIMEOUT + STALE + 1.05 * optimum(TIGHT, [SLOW] * (TIGHT[1][0] + left + 1)) + SLACK
    stopped = time.monotonic()
    for one in survivors:
        one.join(max(0.1, stopped + bound - time.monotonic()))
    took, times = time.monotonic() - stopped, counted(served)

    fresh = begin(1)
    fresh.await_ready()
    began = time.time()
    # Room for a token and a request: the sandbox's log tells when.
    room = max(sorted(times)[2 - limit] + seconds for limit, seconds in TIGHT if len(times) > limit)
    fresh.join(max(0.0, room - began) + 2 * TIMEOUT + SLACK)
    late = time.time() - max(began, room)

    times = counted(served)
    figures = {"seed": seed, "kills": KILLS, "lost": lost, "left": left, "took": took, "bound": bound}
    print(to_json({**figures, "fresh late": late}))
    assert worst(times, TIGHT) <= 0, figures
    assert lost > TIGHT[0][0], "so few were killed with a ticket that it would not matter if these were kept for ever"
