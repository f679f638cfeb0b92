"""I1 and I2 while the list moves between any two reads, in every order; and never a live row deleted."""

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.drifting import Vendor, Warehouse, sweep_once

ORDERS = ("created_asc", "created_desc", "updated_asc", "updated_desc", "random")
SCHEDULES = int(os.environ.get("SCHEDULES", "40"))
"""Number of schedules for each of the five orders."""

moves = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(("insert", "delete", "update", "lie", "reorder"))), max_size=12
)
costs: dict[str, list[int]] = {}


@pytest.fixture(scope="module", autouse=True)
def report():
    """Prints what drift costs, if pytest runs with -s."""
    yield
    for order, extra in sorted(costs.items()):
        print(
            f"\n{order}: {len(extra)} schedules, extra requests: mean {sum(extra) / len(extra):.1f}, most {max(extra)}",
            end="",
        )


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
@settings(max_examples=SCHEDULES, deadline=None, print_blob=True)
@given(rows=st.integers(0, 900), schedules=st.lists(moves, min_size=1, max_size=2), seed=st.integers(0, 10**6))
def test_a_second_sweep_repairs_what_the_first_could_not_see(order, rows, schedules, seed):
    """Any number of changes between any two reads, cancelling each other out or not; then the list rests."""
    vendor, warehouse = Vendor(rows, order, random.Random(seed)), Warehouse()
    for schedule in schedules:
        for place, event in schedule:
            vendor.events.setdefault(vendor.requests + place, []).append(event)
        needed, before, there_throughout = pages(vendor), vendor.requests, set(vendor.rows)
        result = sweep_once(vendor, warehouse)
        costs.setdefault(order, []).append(max(0, vendor.requests - before - needed))
        vendor.events.clear()
        held = warehouse.customers()
        for key in there_throughout & set(vendor.rows) & set(held):
            assert not held[key][1], f"{key} is alive and was marked deleted ({result})"
        sweep_once(vendor, warehouse)
        live = {key: name for key, (name, deleted) in warehouse.customers().items() if not deleted}
        assert live == {key: row["companyName"] for key, row in vendor.rows.items()}
    before = vendor.requests
    result = sweep_once(vendor, warehouse)
    assert (result.verdict, vendor.requests - before) == ("complete", pages(vendor))
    assert (result.counts.inserted, result.counts.updated, result.counts.deleted) == (0, 0, 0)


def pages(vendor):
    return -(-len(vendor.rows) // 100) or 1


def test_missing_rows_are_decided_also_if_the_chunk_ends_with_the_verdict(monkeypatch):
    """I2: a long wait for the rate limit ends the chunk in which the sweep is proven. The next chunk decides."""
    vendor, warehouse = Vendor(50, "created_asc", random.Random(1)), Warehouse()
    sweep_once(vendor, warehouse)
    vendor.delete()
    monkeypatch.setattr(vendor.limiter, "wait_for", lambda requests: 120.0)
    result = sweep_once(vendor, warehouse)
    assert (result.verdict, result.counts.deleted) == ("complete", 1)
