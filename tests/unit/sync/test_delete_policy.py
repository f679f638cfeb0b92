"""I2: which of the rows that a proven sweep did not list are gone; whatever the API answers at their own URLs."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automatum.sync.delete_policy import AT_LEAST, FEW, Answer, Decision, Missing, decide
from automatum.sync.facts import PastSweep, SweepFacts
from automatum.sync.results import KnownRows
from tests.support.examples import examples

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Site:
    """Rows of the destination that are not listed, and what their own URLs say; sweep after sweep."""

    def __init__(self, keys, *, live=(), listed=1000, urls=True, unclear=()):
        self.keys, self.live, self.listed, self.urls, self.unclear = list(keys), set(live), listed, urls, set(unclear)
        self.past, self.asked, self.now = [], [], NOW

    def ask(self, key):
        self.asked.append(key)
        if key in self.unclear or "all" in self.unclear:
            return Answer.UNCLEAR
        found = self.urls and (key in self.live or key == "listed")
        return {"id": key} if found else Answer.GONE

    def sweep(self, *, hours=1.0, allow=False, documented=False) -> Decision:
        """Decide; a live row makes the sweep read the list a second time, and decide again."""
        self.now += timedelta(hours=hours)
        self.asked.clear()
        hidden = set()
        answers = {}

        def ask(key):
            if key not in answers:
                answers[key] = self.ask(key)
            return answers[key]

        for again in (False, True):
            known = KnownRows({key: "hash" for key in self.keys if key not in hidden})
            decision = decide(
                Missing(known, "listed", self.listed, self.past, ask, self.now, allow, documented, bool(hidden))
            )
            new = set(decision.alive) - set(decision.off_list)
            hidden |= new
            if again or not new:
                break
        decision.off_list = [*decision.off_list, *sorted(hidden)]
        facts = decision.add_to(SweepFacts(full=True))
        self.past.insert(0, PastSweep(str(len(self.past)), self.now, "complete", facts))
        gone = set(decision.confirmed)
        assert not gone & self.live, "a live row is deleted"
        self.keys = [key for key in self.keys if key not in gone]
        return decision


def names(kind, count):
    return [f"{kind}{number:03d}" for number in range(count)]


def test_rows_off_the_list_and_real_deletions_together_are_told_apart():
    """15 rows are known to be live and not listed; then six others go: 21 rows are not listed."""
    off = names("off", 15)
    site = Site(off, live=off)
    site.sweep()
    site.keys += names("gone", 6)
    decision = site.sweep()
    assert sorted(decision.confirmed) == names("gone", 6)
    assert site.keys == off


def test_a_row_off_the_list_costs_one_request_a_sweep_and_is_found_gone_in_its_turn():
    off = names("off", 15)
    site = Site(off, live=off)
    site.sweep()
    costs = [len(site.sweep().candidates) + len(site.asked) for _ in range(3)]
    assert costs == [1, 1, 1]
    site.live.discard("off003")
    for _ in range(15):
        site.sweep()
    assert "off003" not in site.keys
    assert set(site.keys) == site.live


def test_many_live_rows_off_the_list_are_never_deleted():
    """A total that is capped: 50 of 250 live rows are not listed any more. Each sweep asks for a few of them."""
    off = names("off", 50)
    site = Site(off, live=off, listed=200)
    for _ in range(6):
        decision = site.sweep()
        assert not decision.confirmed
        assert len(site.asked) <= 2 * FEW + 3
    assert set(decision.off_list) == set(off)


def test_deletions_among_many_live_rows_are_confirmed_by_their_urls_alone():
    off, gone = names("off", 40), names("gone", 40)
    mixed = [key for pair in zip(off, gone, strict=True) for key in pair]
    site = Site(mixed, live=off)
    for _ in range(8):
        site.sweep()
    assert set(site.keys) == set(off)


def test_many_deletions_cost_a_sample():
    site = Site(names("gone", 200), listed=2000)
    assert (site.sweep().waiting, site.asked) == (200, [])
    assert (len(site.sweep().confirmed), len(site.asked)) == (200, FEW + 1)  # and a row that is listed


@pytest.mark.parametrize("documented", [False, True])
def test_where_urls_do_not_tell_the_next_proven_sweep_decides(documented):
    """An assumed route that answers 400, 403, 405, 410, 5xx or null; two answers are enough to see it."""
    site = Site(names("gone", 6), unclear=["all"])
    first = site.sweep(documented=documented)
    assert (first.confirmed, first.waiting, len(site.asked)) == ([], 6, 2)
    second = site.sweep(documented=documented)
    assert len(second.confirmed) == 6
    assert site.sweep(documented=documented).candidates == []


def test_a_row_off_the_list_stays_while_urls_do_not_tell():
    site = Site(["off"], live=["off"])
    site.sweep()
    site.unclear = {"all"}
    for _ in range(3):
        assert not site.sweep().confirmed
    assert site.keys == ["off"]


def test_a_growing_gap_is_deleted_as_far_as_sweeps_agree():
    """One more deletion with each sweep must not keep a refused share refused for ever."""
    site = Site(names("gone", 30), listed=50)
    assert site.sweep().refused
    site.keys.append("gone_later")
    decision = site.sweep()
    assert len(decision.confirmed) == 30
    assert (decision.refused, decision.waiting) == ("", 1)


def test_a_share_that_is_allowed_is_sampled_too():
    site = Site(names("off", 30), live=names("off", 30), listed=50)
    assert site.sweep().refused
    decision = site.sweep(hours=0.1, allow=True)
    assert not decision.confirmed
    assert decision.alive or decision.off_list


@settings(max_examples=examples(300), deadline=None, print_blob=True)
@given(
    off=st.integers(0, 60),
    gone=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    unclear=st.lists(st.sampled_from(["no", "all", "some"]), min_size=6, max_size=6),
    allow=st.booleans(),
    known=st.booleans(),
)
def test_no_live_row_is_deleted_and_every_deletion_is_found(off, gone, unclear, allow, known):
    """Live rows that the API does not list, and deletions in any number with each sweep. `Site` asserts the first."""
    live = names("off", off)
    site = Site(live, live=live, listed=500)
    for _ in range(8 if known else 0):
        site.sweep()
    for turn, count in enumerate(gone):
        site.keys += names(f"gone{turn}_", count)
        # A route that does not tell while most candidates are live would leave the decision to two sweeps.
        site.unclear = {"no": set(), "all": {"all"}, "some": set(site.keys[::3])}[unclear[turn]] if known else set()
        site.sweep(allow=allow)
    site.unclear = set()
    for _ in range(10):
        site.sweep()
    assert set(site.keys) == site.live


def test_a_refused_share_is_bounded_below():
    site = Site(names("gone", AT_LEAST), listed=1)
    assert not site.sweep().refused
