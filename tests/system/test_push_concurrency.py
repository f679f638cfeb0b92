"""I5: two pushes of the same usage at once send each line once, on SQLite and on Postgres."""

import pytest

from tests.support.postgres import postgres  # noqa: F401  the fixture
from tests.support.pushing import (
    CONTEXT,
    Process,
    Teller,
    cost,
    cost_of_bodies,
    keys_of,
    keys_of_bodies,
    rows_of,
    taken_by,
    write_csv,
)


@pytest.fixture(params=["sqlite", "postgres"])
def ledger_url(request, tmp_path):
    """URL of a ledger that is not there yet."""
    return request.getfixturevalue("postgres") if request.param == "postgres" else f"sqlite:///{tmp_path}/ledger.sqlite"


def test_two_pushes_of_the_same_usage_send_each_line_once(start, desk, ledger_url):
    served = start(customers=60, entitlements=80, private_offers=3, days=2)
    desk.use(served)
    rows, teller = rows_of(served.sandbox, back=(1,)), Teller(desk, ledger_url)
    teller.push(rows[:1], "--confirm")  # Of an empty ledger, the one that comes later would ask.
    usage, go = write_csv(rows), CONTEXT.Event()
    desk.set(ledger_url=ledger_url)
    both = [Process(desk.folder, "push", "--usage", usage, "--confirm", "--json", go=go) for _ in range(2)]
    # Neither is done before the other has begun, however late that one starts.
    served.sandbox.faults.add("slow", "/api/v1/metering", seconds=0.1, count=None)
    go.set()
    # The first that ends says 65 if the other one is still in a call: it may die there.
    assert {one.code for one in both} <= {0, 65}, [one.err for one in both]
    bodies, figures = taken_by(served.sandbox), [one.json for one in both]
    print([one["lines"]["accepted"] for one in figures])
    assert keys_of_bodies(bodies) == keys_of(rows)
    assert cost_of_bodies(bodies) == cost(rows)
    assert min(one["lines"]["accepted"] for one in figures) > 0, "one was done before the other began"
    assert sum(one["lines"]["accepted"] for one in figures) == len(rows) - 1
    assert sum(sum(one["charged"].values()) for one in figures) == cost(rows[1:])
    assert sum(one["requests"] for one in figures) == len(bodies) - 1
    assert teller.states() == {"accepted": len(rows)}
    assert teller.run("status")["open"] == []
