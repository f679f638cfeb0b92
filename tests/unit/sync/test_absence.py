"""I2: which rows that a complete sweep did not list are gone. The API is a dictionary; what it lacks answers 404."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automatum.core.errors import ApiUnreachable, BudgetSpent
from automatum.endpoints import CUSTOMERS
from automatum.schema.arrow_tables import Table
from automatum.sync.absence import Absence
from automatum.sync.facts import SweepFacts

BUSY = ApiUnreachable("GET", "customers/x", 503, "busy")
BOUND = 250


class Api:
    """What rows answer at their own URLs: a record, 404, or an error."""

    def __init__(self, alive=(), **said):
        self.said = {"listed": {"id": "listed"}, **{key: {"id": key} for key in alive}, **said}
        self.asked = []

    def __call__(self, own_id):
        self.asked.append(own_id)
        if isinstance(self.said.get(own_id), Exception):
            raise self.said[own_id]
        return self.said.get(own_id)


def keys(count):
    return [f"k{i:03d}" for i in range(count)]


def decide(missing, count=900, last=None, api=None, *, allow=False, bound=BOUND, listed="listed"):
    """The decision about rows that are missing, beside `count` listed ones."""
    left = iter(range(bound, -1, -1))
    made = Absence(Table(CUSTOMERS), api, lambda: next(left) > 0, last or SweepFacts(), allow)
    made.start(missing, count, listed if count else None)
    while not made.decided:
        made.step()
    return made


def test_each_missing_row_is_asked_for_and_no_sample_stands_for_others():
    """S7: 100 of 1,000 rows leave the list, and three of them are live at their own URLs."""
    alive = ["k007", "k050", "k099"]
    made = decide(keys(100), api=(api := Api(alive)))
    assert (len(made.gone), made.alive) == (97, alive)
    assert api.asked == [keys(100)[0], "listed", *keys(100)[1:]], "a listed row shows that a 404 counts"
    assert made.add_to(SweepFacts()).off_list == tuple(alive)


@pytest.mark.parametrize(
    ("missing", "listed", "refused"), [(10, 1, False), (1, 0, True), (11, 44, False), (11, 43, True)]
)
def test_a_large_share_is_refused_unless_the_user_allows_it(missing, listed, refused):
    """Where nothing is listed, no row can show that rows have URLs of their own: only the user can say it."""
    made = decide(keys(missing), listed, api=(api := Api()))
    assert (bool(made.refused), len(made.gone)) == (refused, 0 if refused else missing)
    assert "--allow-deletes" in made.refused or api.asked
    assert len(decide(keys(missing), listed, api=Api(), allow=True).gone) == missing


def test_a_small_table_without_urls_is_not_emptied_by_two_empty_answers():
    """S12: the share counts for small tables, too, where no row can be asked for."""
    last = SweepFacts(full=True, candidates=tuple(keys(3)))
    made = decide(keys(3), 0, last)
    assert (made.gone, bool(made.refused)) == ([], True)
    assert decide(keys(3), 0, last, allow=True).gone == keys(3)


def test_a_row_off_the_list_goes_by_the_rule_of_rows_without_urls_once_they_have_none():
    """It would stay live for ever otherwise."""
    last = SweepFacts(full=True, off_list=("k000",))
    first = decide(keys(1), 100, last)
    assert (first.gone, first.waiting, first.add_to(last).off_list) == ([], ["k000"], ())
    assert decide(keys(1), 100, first.add_to(last)).gone == ["k000"]


def test_without_urls_the_next_complete_sweep_has_to_agree():
    first = decide(keys(3), 100)
    assert (first.gone, first.waiting) == ([], keys(3))
    second = decide(keys(5)[1:], 100, first.add_to(SweepFacts(full=True)))
    assert (second.gone, second.waiting) == (["k001", "k002"], ["k003", "k004"])


def test_rows_that_the_bound_leaves_out_wait():
    made = decide(keys(4), api=(api := Api(k001=BUSY)), bound=3)
    assert (made.gone, made.waiting) == (["k000", "k002"], ["k001", "k003"])
    assert api.asked == ["k000", "listed", "k001", "k002"]


def test_rows_off_the_list_are_asked_for_in_turn_i3():
    last = SweepFacts(full=True, off_list=tuple(keys(48)))
    seen = []
    for _ in range(24):
        made = decide(keys(48), 1000, last, api := Api(keys(48)))
        seen += api.asked
        assert (len(api.asked), made.gone) == (2, [])
        last = made.add_to(SweepFacts(full=True))
    assert sorted(seen) == keys(48)


@given(
    st.dictionaries(st.integers(0, 30), st.sampled_from(["gone", "busy", "alive"]), max_size=30),
    st.sets(st.integers(0, 30)),
    st.integers(0, 200),
    st.integers(0, 40),
)
def test_only_a_404_or_a_second_sweep_deletes_and_no_row_is_forgotten(said, off_list, listed, bound):
    told = {f"k{i:03d}": one for i, one in said.items()}
    busy = {key: BUSY for key, one in told.items() if one == "busy"}
    api = Api([key for key, one in told.items() if one == "alive"], **busy)
    made = decide(list(told), listed, SweepFacts(full=True, off_list=tuple(f"k{i:03d}" for i in off_list)), api)
    assert all(told[key] == "gone" for key in made.gone)
    facts = made.add_to(SweepFacts())
    assert {*made.gone, *facts.candidates, *facts.off_list} == set(told)


# The question itself


def test_a_404_counts_only_if_a_listed_row_is_at_its_own_url():
    made = decide(keys(2), api=(api := Api(listed=None)))
    assert (made.gone, made.waiting, api.asked) == ([], keys(2), ["k000", "listed"])
    assert "not at its own URL" in made.unclear


@pytest.mark.parametrize(("allow", "gone"), [(False, []), (True, ["k000"])])
def test_where_nothing_is_listed_a_404_counts_if_the_user_allows_it_i2(allow, gone):
    assert decide(keys(1), 0, api=Api(), allow=allow).gone == gone


def test_another_record_at_the_url_says_nothing():
    assert decide(keys(1), api=Api(k000={"id": "b"})).waiting == ["k000"]


def test_a_bound_of_the_run_ends_the_questions_and_loses_no_answer():
    api = Api(["k001"], k002=BudgetSpent("spent"))
    made = Absence(Table(CUSTOMERS), api, lambda: True, SweepFacts())
    made.start(keys(3), 900, "listed")
    assert [made.step(), made.step()] == [None, {"id": "k001"}]
    with pytest.raises(BudgetSpent):
        made.step()
    assert (made.gone, made.alive, made.decided) == (["k000"], ["k001"], False)
    api.said["k002"] = None
    made.step()
    assert (made.gone, made.decided, api.asked.count("k000")) == (["k000", "k002"], True, 1)


def test_after_another_reading_only_rows_that_are_new_are_asked_for_i3():
    """The row that is listed now is left alone, whatever its own URL said before."""
    api = Api(["k001", "k003"], k002=BUSY)
    made = Absence(Table(CUSTOMERS), api, lambda: True, SweepFacts())
    for missing in (keys(4), keys(6)[:3] + keys(6)[4:]):
        made.start(missing, 900, "listed")
        while not made.decided:
            made.step()
        made.restart()
    assert (made.gone, made.alive, made.waiting) == (["k000", "k004", "k005"], ["k001"], ["k002"])
    assert api.asked == ["k000", "listed", "k001", "k002", "k003", "k004", "k005"]


@pytest.mark.parametrize("id_", ["", ".", ".."])
def test_an_id_of_dots_has_no_url_of_its_own_i2(id_):
    """Its URL would lead elsewhere, and a 404 of another place would delete the row."""
    made = decide([id_, "k000"], api=(api := Api()))
    assert (made.waiting, made.gone, api.asked) == ([id_], ["k000"], ["k000", "listed"])


def test_urls_that_do_not_tell_are_not_all_asked_i3():
    """Each costs its retries. One that tells lets the others be asked again."""
    api = Api(**dict.fromkeys(keys(7), BUSY))
    assert (decide(keys(7), api=api).waiting, api.asked) == (keys(7), keys(3))
    api = Api(["k002"], **dict.fromkeys([*keys(2), *keys(9)[3:]], BUSY))
    assert (decide(keys(9), api=api).alive, api.asked) == (["k002"], keys(6))
