"""I2: which rows that a complete sweep did not list are gone. A pure decision, with an injected question."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automatum.core.errors import BudgetSpent
from automatum.endpoints import CUSTOMERS
from automatum.schema.arrow_tables import Table
from automatum.sync.absence import Answer, DetailUrls, decide
from automatum.sync.facts import SweepFacts

RECORD = {"id": "a", "status": "archived"}


def answers(said):
    """Asks a row's own URL, where all rows that are not named are gone."""
    asked = []

    def ask(key):
        asked.append(key)
        return said.get(key, Answer.GONE)

    return ask, asked


def keys(count):
    return [f"k{i:03d}" for i in range(count)]


def test_each_missing_row_is_asked_for_and_no_sample_stands_for_others():
    """S7: 100 of 1,000 rows leave the list, and three of them are live at their own URLs."""
    alive = {"k007": RECORD, "k050": RECORD, "k099": RECORD}
    ask, asked = answers(alive)
    decision = decide(keys(100), 900, SweepFacts(), ask)
    assert (len(decision.gone), set(decision.alive), asked) == (97, set(alive), keys(100))
    assert decision.add_to(SweepFacts()).off_list == tuple(alive)


@pytest.mark.parametrize(
    ("missing", "listed", "refused"), [(10, 1, False), (1, 0, True), (11, 44, False), (11, 43, True)]
)
def test_a_large_share_is_refused_unless_the_user_allows_it(missing, listed, refused):
    """Where nothing is listed, no row can show that rows have URLs of their own: only the user can say it."""
    ask, asked = answers({})
    decision = decide(keys(missing), listed, SweepFacts(), ask)
    assert (bool(decision.refused), len(decision.gone)) == (refused, 0 if refused else missing)
    assert "--allow-deletes" in decision.refused or asked
    assert len(decide(keys(missing), listed, SweepFacts(), ask, allow=True).gone) == missing


def test_a_small_table_without_urls_is_not_emptied_by_two_empty_answers():
    """S12: the share counts for small tables, too, where no row can be asked for."""
    last = SweepFacts(full=True, candidates=tuple(keys(3)))
    decision = decide(keys(3), 0, last, None)
    assert (decision.gone, bool(decision.refused)) == ([], True)
    assert decide(keys(3), 0, last, None, allow=True).gone == keys(3)


def test_a_row_off_the_list_goes_by_the_rule_of_rows_without_urls_once_they_have_none():
    """It would stay live for ever otherwise."""
    last = SweepFacts(full=True, off_list=("k000",))
    first = decide(keys(1), 100, last, None)
    assert (first.gone, first.waiting, first.off_list) == ([], ["k000"], [])
    assert decide(keys(1), 100, first.add_to(last), None).gone == ["k000"]


def test_without_urls_the_next_complete_sweep_has_to_agree():
    first = decide(keys(3), 100, SweepFacts(), None)
    assert (first.gone, first.waiting) == ([], keys(3))
    second = decide(keys(5)[1:], 100, first.add_to(SweepFacts(full=True)), None)
    assert (second.gone, second.waiting) == (["k001", "k002"], ["k003", "k004"])


def test_rows_that_the_bound_leaves_out_wait():
    ask, _ = answers({"k001": Answer.WAIT, "k002": Answer.UNCLEAR})
    decision = decide(keys(4), 100, SweepFacts(), ask)
    assert (decision.gone, decision.waiting) == (["k000", "k003"], ["k001", "k002"])


def test_rows_off_the_list_are_asked_for_in_turn_i3():
    last = SweepFacts(full=True, off_list=tuple(keys(48)))
    seen = []
    for _ in range(24):
        ask, asked = answers(dict.fromkeys(keys(48), RECORD))
        decision = decide(keys(48), 1000, last, ask)
        seen += asked
        assert (len(asked), decision.gone) == (2, [])
        last = decision.add_to(SweepFacts(full=True))
    assert sorted(seen) == keys(48)


@given(
    st.dictionaries(st.integers(0, 30), st.sampled_from([*Answer, "alive"]), max_size=30),
    st.sets(st.integers(0, 30)),
    st.integers(0, 200),
)
def test_only_a_404_or_a_second_sweep_deletes_and_no_row_is_forgotten(said, off_list, listed):
    told = {f"k{i}": RECORD if one == "alive" else one for i, one in said.items()}
    last = SweepFacts(full=True, off_list=tuple(f"k{i}" for i in off_list))
    ask, _ = answers(told)
    decision = decide(list(told), listed, last, ask)
    assert all(told[key] is Answer.GONE for key in decision.gone)
    kept = {*decision.gone, *decision.alive, *decision.waiting, *decision.off_list}
    assert kept == set(told)


# The question itself


def urls(api, may_ask=lambda: True, listed="listed"):
    asked = []

    def request(own_id):
        asked.append(own_id)
        if isinstance(api.get(own_id), Exception):
            raise api[own_id]
        return api.get(own_id)

    found = DetailUrls(Table(CUSTOMERS), request, lambda: listed, may_ask)
    return found, asked


def test_a_404_counts_only_if_a_listed_row_is_at_its_own_url():
    found, asked = urls({"listed": {"id": "listed"}})
    assert (found.ask("a"), found.ask("b"), found.ask("a")) == (Answer.GONE,) * 3
    assert asked == ["a", "listed", "b"]
    assert found.gone == ["a", "b"]
    found, asked = urls({})
    assert (found.ask("a"), found.ask("b")) == (Answer.UNCLEAR,) * 2
    assert (asked, found.gone, "not at its own URL" in found.unclear) == (["a", "listed"], [], True)


def test_another_record_at_the_url_says_nothing():
    found, _ = urls({"a": {"id": "b"}})
    assert found.ask("a") is Answer.UNCLEAR


def test_a_bound_of_the_run_ends_the_questions_and_loses_no_answer():
    found, asked = urls({"listed": {"id": "listed"}, "b": BudgetSpent("spent")})
    assert found.ask("a") is Answer.GONE
    with pytest.raises(BudgetSpent):
        found.ask("b")
    assert (found.gone, asked) == (["a"], ["a", "listed", "b"])


def test_no_more_rows_are_asked_for_than_a_run_may():
    left = iter([True, False])
    found, asked = urls({"listed": {"id": "listed"}}, lambda: next(left))
    assert (found.ask("a"), found.ask("b"), asked) == (Answer.GONE, Answer.WAIT, ["a", "listed"])
