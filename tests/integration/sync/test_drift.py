"""I1 and I2 while the list moves between any two reads, in every order; and never a live row deleted."""

import os
import random
from contextlib import ExitStack, closing
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automatum.sync import list_sync
from automatum.sync.results import Verdict
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
    if soaked["syncs"]:
        print(f"\n{soaked['syncs']} syncs in {soaked['runs']} runs, {soaked['complete']} complete:", end="")
        print(" 0 of them false, 0 live rows deleted", end="")
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
    vendor = Vendor(rows, order, random.Random(seed))
    with closing(Warehouse()) as warehouse:
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
            sweep_once(vendor, warehouse, allow_deletes=True)
            live = {key: name for key, (name, deleted) in warehouse.customers().items() if not deleted}
            assert live == {key: row["companyName"] for key, row in vendor.rows.items()}
        before = vendor.requests
        result = sweep_once(vendor, warehouse)
        assert (result.verdict, vendor.requests - before) == ("complete", pages(vendor))
        assert (result.counts.inserted, result.counts.updated, result.counts.deleted) == (0, 0, 0)


def synced(vendor, warehouse, allow_deletes=False):
    """One sync, in as many runs as the budgets make of it."""
    for _ in range(60):
        result = sweep_once(vendor, warehouse, allow_deletes)
        if result.verdict is not Verdict.MORE_TO_DO:
            return result
    raise AssertionError("the sync does not end")


soaked: dict[str, int] = {"syncs": 0, "complete": 0, "runs": 0}
between = st.dictionaries(
    st.integers(0, 30), st.sampled_from(("insert", "delete", "purge", "pause", "insert", "delete")), max_size=10
)
oddities = st.sampled_from((("offset", 0), ("offset", 0), ("offset", 3), ("cap", 200), ("detail_status", 403)))


@pytest.mark.slow
@settings(max_examples=SCHEDULES, deadline=None, print_blob=True)
@given(
    rows=st.integers(30, 900),
    order=st.sampled_from(("created_asc", "created_desc")),
    hidden=st.integers(0, 30),
    odd=oddities,
    reread=st.sampled_from((0, 2, 25)),
    turns=st.lists(st.tuples(between, st.sets(st.integers(1, 30), max_size=3)), min_size=1, max_size=3),
    seed=st.integers(0, 10**6),
)
def test_a_complete_verdict_is_true_and_no_live_row_is_deleted(rows, order, hidden, odd, reread, turns, seed):
    """I1, I2, whatever the schedule: purges, pauses, runs that end, rows off the list, totals that are wrong.

    Between two requests rows come in, or rows go: the other way is the change that one sweep cannot see.
    """
    vendor = Vendor(rows, order, random.Random(seed))
    with closing(Warehouse()) as warehouse, ExitStack() as patched:
        patched.enter_context(mock.patch.object(list_sync, "REREAD_PAGES", reread))
        setattr(vendor, *odd)
        if vendor.detail_status is None:
            synced(vendor, warehouse)
            vendor.hidden = set(vendor.rng.sample(sorted(vendor.rows), hidden))
            for _ in range(6):
                synced(vendor, warehouse)
        for schedule, ends in turns:
            at = vendor.requests
            vendor.events = {at + place: [event] for place, event in schedule.items()}
            vendor.runs = {at + place for place in ends}
            before = set(vendor.rows)
            result = synced(vendor, warehouse)
            vendor.events.clear()
            vendor.runs.clear()
            throughout, found = before & set(vendor.rows), warehouse.customers()
            soaked["syncs"] += 1
            soaked["runs"] += len(ends) + 1
            assert not [key for key in throughout & set(found) if found[key][1]], "a live row is marked deleted"
            if result.verdict is Verdict.COMPLETE:
                soaked["complete"] += 1
                assert throughout - vendor.hidden <= set(found), "a row that was listed throughout is missing"
            vendor.clock.advance(3700)
        # Now the list rests. What still stands in the way has a setting.
        patched.close()
        result = synced(vendor, warehouse, allow_deletes=True)
        if vendor.offset or (vendor.cap or 900) < len(vendor.listed()):
            assert result.verdict is Verdict.INCOMPLETE
            assert 'total to ""' in result.reason
        if odd[1]:
            way_out = {"detail_path": "none"} if vendor.detail_status else {"total": ""}
            vendor.settings["endpoints"] = {"customers": way_out}
        for turn in range(60):
            result = synced(vendor, warehouse, allow_deletes=True)
            vendor.clock.advance(3700)
            # A row that is known to be off the list is asked for once in 24 sweeps, so its deletion may show late.
            if turn and live(warehouse) == set(vendor.rows):
                break
        assert result.verdict is Verdict.COMPLETE, result.reason
        assert live(warehouse) == set(vendor.rows)


def live(warehouse):
    return {key for key, (_, deleted) in warehouse.customers().items() if not deleted}


def pages(vendor):
    """Pages of the list, with the empty one behind a full last page."""
    return len(vendor.rows) // 100 + 1


def test_missing_rows_are_decided_also_if_the_chunk_ends_with_the_verdict(monkeypatch):
    """I2: a long wait for the rate limit ends the chunk in which the sweep is proven. The next chunk decides."""
    vendor = Vendor(50, "created_asc", random.Random(1))
    with closing(Warehouse()) as warehouse:
        sweep_once(vendor, warehouse)
        vendor.delete()
        monkeypatch.setattr(vendor.limiter, "wait_for", lambda requests: 120.0)
        result = sweep_once(vendor, warehouse)
        assert (result.verdict, result.counts.deleted) == ("complete", 1)
