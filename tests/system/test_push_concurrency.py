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
    rows = rows_of(served.sandbox, back=(1,))
    usage, go = write_csv(rows), CONTEXT.Event()
    Teller(desk, ledger_url).begin()
    desk.set(ledger_url=ledger_url)
    arguments = ("push", "--usage", usage, "--new-ledger", "--confirm", "--json")
    both = [Process(desk.folder, *arguments, go=go) for _ in range(2)]
    # Each waits for a token after it has looked into the ledger, so that both find it empty.
    served.sandbox.faults.add("slow", "/oauth/token", seconds=0.2, count=None)
    go.set()
    # The first that ends says 65 if the other one is still in a call: it may die there.
    assert {one.code for one in both} <= {0, 65}, [one.err for one in both]
    bodies, figures = taken_by(served.sandbox), [one.json for one in both]
    print([one["lines"]["accepted"] for one in figures])
    assert keys_of_bodies(bodies) == keys_of(rows)
    assert cost_of_bodies(bodies) == cost(rows)
    assert min(one["lines"]["accepted"] for one in figures) > 0, "one was done before the other began"
    assert sum(one["lines"]["accepted"] for one in figures) == len(rows)
    assert sum(sum(one["charged"].values()) for one in figures) == cost(rows)
    assert sum(one["requests"] for one in figures) == len(bodies)
    assert Teller(desk, ledger_url).states() == {"accepted": len(rows)}
    assert Teller(desk, ledger_url).run("status")["open"] == []
