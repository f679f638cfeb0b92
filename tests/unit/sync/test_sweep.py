"""I1 (nothing lost) and I3 (nothing paid twice) of one sweep over a list that moves, or lies, while it is read."""

import json
from dataclasses import replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automatum.core.errors import ApiUnreachable, NotThere
from automatum.endpoints import CUSTOMERS
from automatum.schema.arrow_tables import Table
from automatum.schema.records import count_unkeyed
from automatum.sync.results import DELETED, KnownRows, Verdict
from automatum.sync.sweep import Sweep, SweepState
from tests.support.examples import examples
from tests.support.moving_list import MovingList, change, delete, insert, purge, wait


def hash_of(key, version=0):
    return Table(CUSTOMERS).identify([{"id": key, "version": version}]).hashes[0]


def new_sweep(source, known=None, reread_pages=100, page_size=100, **options):
    fetch = source.fetch if isinstance(source, MovingList) else source
    return Sweep(Table(CUSTOMERS), fetch, known or KnownRows(), reread_pages, page_size, **options)


def step(sweep):
    """The rows of one step."""
    return {key: record for rows in sweep.step() for key, record in zip(rows.keys, rows.records, strict=True)}


def swept(source, known=None, reread_pages=100, limit=700, **options):
    sweep, loaded = new_sweep(source, known, reread_pages, **options), {}
    for _ in range(limit):
        loaded.update(step(sweep))
        if sweep.verdict:
            return sweep, loaded
    raise AssertionError("the sweep does not end")


@pytest.mark.parametrize("reread_pages", [0, 100])
@pytest.mark.parametrize("rows", [0, 1, 99, 100, 101, 250, 1000])
def test_a_quiet_list_costs_one_request_a_page_i3(rows, reread_pages):
    """And one more where the last page is full: only that shows that the list ends there."""
    source = MovingList(rows)
    sweep, loaded = swept(source, reread_pages=reread_pages)
    assert (sweep.verdict, sweep.reason, sweep.state.extra, sweep.state.drift) == ("complete", "", 0, [])
    assert source.reads == list(range(1, rows // 100 + 2))
    assert len(loaded) == rows == len(sweep.keys)


def test_a_row_of_the_last_page_is_what_shows_that_rows_have_urls_i2():
    """Rows of earlier pages may be gone by now."""
    source = MovingList(1050)
    sweep, _ = swept(source)
    assert sweep.some_key in {key for key, _ in source.rows[1000:]}


def test_only_new_and_changed_rows_are_loaded():
    source = MovingList(250)
    known = KnownRows({key: hash_of(key) for key, _ in source.rows[:200]})
    known.hashes |= {"row_00007": "another", "row_00008": DELETED, "row_99999": "not listed any more"}
    sweep, loaded = swept(source, known)
    assert set(loaded) == {"row_00007", "row_00008"} | {key for key, _ in source.rows[200:]}
    counts = sweep.state.counts
    assert (counts.inserted, counts.updated, counts.unchanged) == (51, 1, 198)
    assert sweep.changes.missing(sweep.keys) == ["row_99999"]


@pytest.mark.parametrize("event", [insert(0), insert(1), delete(0.05), delete(0.95), change(0.95, to=0), purge(0, 250)])
def test_a_short_list_that_moved_is_read_again_i1(event):
    source = MovingList(1000, events={5: [event]})
    sweep, loaded = swept(source)
    assert (sweep.verdict, sweep.state.readings, sweep.reason) == ("complete", 1, "proven by reading the list again")
    assert {key for key, _ in source.rows} <= set(loaded)
    assert len(source.reads) <= 22


def test_a_list_that_never_rests_ends_incomplete_within_its_bound_i3():
    source = MovingList(1000, events={n: [insert(0.3), change(0.5, to=0.1)] for n in range(500)})
    sweep, _ = swept(source)
    assert (sweep.verdict, len(source.reads) <= 60) == ("incomplete", True)
    assert "the total went from" in sweep.reason


# A list that is too long to be read again


@pytest.mark.parametrize(
    ("event", "extra"),
    [
        (insert(1), 0),  # at the end: it is read there
        (insert(0), 2),  # at the front: the ends are read again
        (delete(0.05), 1),  # a row came over the border, and is found on the page before
        (purge(0, 250), 3),  # more rows came over than a page has
        (change(0.95, to=0), 2),  # a row jumped to the front
    ],
)
def test_a_long_list_is_proven_if_rows_explain_each_move_i1(event, extra):
    source = MovingList(1050, events={5: [event]})
    sweep, loaded = swept(source, reread_pages=5)
    assert (sweep.verdict, sweep.state.readings, sweep.state.extra) == ("complete", 0, extra)
    assert source.stable <= set(loaded)


@pytest.mark.parametrize("event", [delete(0.95), change(0.05, to=0.95)])
def test_a_long_list_is_incomplete_if_no_row_explains_a_move_i1(event):
    """A row that was not read yet is deleted: that looks like a row that came over the border unseen (S4)."""
    source = MovingList(1050, events={5: [event]})
    sweep, _ = swept(source, reread_pages=5)
    assert sweep.verdict == "incomplete"
    assert "too long to read it again" in sweep.reason


def test_a_move_while_the_sweep_looks_back_is_no_proof_i1():
    """S4: the page that is looked at again shows only known rows, and the count adds up."""
    source = MovingList(6, page_size=2)
    source.events = {2: [delete(0)], 3: [change(0.7, to=0)]}
    sweep, loaded = swept(source, reread_pages=0, page_size=2)
    assert sweep.verdict == "incomplete" or source.stable <= set(loaded)


def test_a_change_during_a_pause_before_the_sweep_looks_back_is_no_proof_i1():
    """The row that is found there is a new one, and not the one that came over the border."""
    source = MovingList(4, page_size=2)
    source.events = {1: [delete(0)], 2: [wait(3600), delete(0.9), insert(0)]}
    sweep, _ = swept(source, reread_pages=0, page_size=2)
    assert sweep.verdict == "incomplete"


@pytest.mark.parametrize("reread_pages", [0, 100])
def test_a_change_during_a_long_pause_is_seen_though_the_total_stands_i1(reread_pages):
    """A row goes and another comes while the rate limit is waited for."""
    source = MovingList(1000, events={5: [wait(3600), delete(0.05), insert(1)]})
    sweep, loaded = swept(source, reread_pages=reread_pages)
    assert sweep.verdict == ("complete" if reread_pages else "incomplete")
    assert not reread_pages or source.stable <= set(loaded)


def test_a_long_pause_costs_one_request_i3():
    source = MovingList(1000, events={5: [wait(3600)]})
    sweep, _ = swept(source)
    assert (sweep.verdict, source.reads) == ("complete", [1, 2, 3, 4, 5, 6, 5, 7, 8, 9, 10, 11])


def test_the_silent_shift_is_not_seen_by_one_sweep():
    """`docs/internals/completeness.md` says what one sweep cannot see. Should it be seen, the page must say so."""
    source = MovingList(1000, events={5: [delete(0.05), insert(1)]})
    sweep, loaded = swept(source)
    assert sweep.verdict == "complete"
    assert source.stable - set(loaded) == {"row_00500"}


# Pages that lie


@pytest.mark.parametrize("length", [0, 40])
@pytest.mark.parametrize("read", [0, 3, 9])
def test_an_empty_or_short_page_is_asked_for_again(length, read):
    source = MovingList(1000)
    source.odd_answers[read] = length
    sweep, loaded = swept(source)
    assert (sweep.verdict, sweep.state.extra, len(loaded)) == ("complete", 1, 1000)
    assert source.reads[read] == source.reads[read + 1] == read + 1


def test_a_page_that_stays_short_makes_the_sweep_incomplete():
    full = MovingList(300)

    def fetch(number):
        page = full.fetch(number)
        return page if number != 2 else replace(page, records=page.records[:50])

    sweep, _ = swept(fetch)
    assert sweep.verdict == "incomplete"
    assert "250 distinct rows do not add up to the announced 300" in sweep.reason


def test_pages_that_are_smaller_than_asked_for_name_the_setting_i1():
    """They are not read twice: the setting is wrong, and not the moment."""
    source = MovingList(230, page_size=50)
    sweep, _ = swept(source, page_size=100)
    assert (sweep.verdict, source.reads) == ("incomplete", [1, 1, 1, 2, 3])
    assert "customers.page_size" in sweep.reason


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("reread_pages", [0, 100])
@pytest.mark.parametrize("rows", [250, 200])
def test_a_cache_that_answers_page_2_with_page_1_is_no_proof_i1(rows, reread_pages, named):
    """S1: equal in each reading, and in each sync; the answer may even say that it is page 1."""
    source = MovingList(rows)

    def fetch(number):
        page = source.fetch(1 if number == 2 else number)
        return replace(page, number=number, named=page.number if named else None)

    sweep, loaded = swept(fetch, reread_pages=reread_pages)
    assert (sweep.verdict, len(loaded)) == ("incomplete", rows - 100)
    assert ("repeated in place of others" in sweep.reason) and (not named or "page 1 when page 2" in sweep.reason)


@pytest.mark.parametrize("exact", [True, False])
def test_ties_in_the_order_of_the_server_are_no_proof_i1(exact):
    """S1: 250 rows, of which the server lists 40 twice in place of others, at each reading."""
    source = MovingList(250)
    source.rows[100:140] = source.rows[60:100]
    sweep, _ = swept(source, exact=exact)
    assert sweep.verdict == "incomplete"


@pytest.mark.parametrize("reread_pages", [0, 100])
def test_two_rows_with_one_key_are_not_complete_though_the_total_counts_keys_i1(reread_pages):
    """S3: one of them would be lost, and the other written again at each sync."""
    source = MovingList(251)
    source.rows[250], source.offset = (source.rows[7][0], 5), -1
    sweep, _ = swept(source, reread_pages=reread_pages)
    assert sweep.verdict == "incomplete"
    assert "customers.key" in sweep.reason


@pytest.mark.parametrize(("offset", "cap"), [(5, None), (-5, None), (0, 200), (20_000, None)])
def test_a_total_that_counts_other_rows_is_not_believed_and_loses_none_i1(offset, cap):
    """S10 among them: all rows are loaded, the verdict names the setting, and the list is not read without end."""
    source = MovingList(250)
    source.offset, source.cap = offset, cap
    sweep, loaded = swept(source)
    assert (sweep.verdict, len(loaded)) == ("incomplete", 250)
    assert 'customers.total to ""' in sweep.reason or offset == 20_000
    assert len(source.reads) <= 50


@pytest.mark.parametrize("offset", [0, 5, 20_000])
def test_without_an_exact_total_two_equal_readings_prove_the_list_i1(offset):
    """The user says so by a setting; both end at an empty page."""
    source = MovingList(250)

    def fetch(number):
        return replace(source.fetch(number), total=None)

    sweep, loaded = swept(fetch, exact=False)
    assert (sweep.verdict, len(loaded), source.reads) == ("complete", 250, [1, 2, 3, 4] * 2)


def test_without_an_exact_total_a_list_that_moves_is_not_proven_i1():
    source = MovingList(250, events={n: [insert(0)] for n in range(0, 99, 2)})
    sweep, _ = swept(lambda number: replace(source.fetch(number), total=None), exact=False)
    assert sweep.verdict == "incomplete"


@pytest.mark.parametrize("behind", ["empty", "last page, named", "last page", "404"])
def test_a_page_behind_the_end_is_the_end_if_the_answer_shows_it(behind):
    """Rows that are there already show it only if the answer says which page it is: it may ignore the number."""
    source = MovingList(200)

    def fetch(number):
        if number > 2 and behind == "404":
            source.reads.append(number)
            raise NotThere("GET", "customers", 404, "no such page")
        page = source.fetch(min(number, 2) if behind.startswith("last page") else number)
        return replace(page, number=number, named=page.number if behind.endswith("named") else None)

    sweep, loaded = swept(fetch)
    assert (sweep.verdict, len(loaded)) == ("incomplete" if behind == "last page" else "complete", 200)
    assert len(source.reads) == 3 or sweep.verdict == "incomplete"


@pytest.mark.parametrize("total", [100_000, None])
def test_a_server_that_answers_each_page_with_the_same_rows_does_not_trap_the_sweep_i3(total):
    source = MovingList(100)
    sweep, _ = swept(lambda number: replace(source.fetch(1), number=number, total=total), exact=total is not None)
    assert sweep.verdict == "incomplete"
    assert len(source.reads) <= 30


def test_rows_without_a_key_are_rejected_and_the_others_are_proven_i1():
    records = [{"id": "a"}, {"id": None}, {"id": None}, {}]
    source = MovingList(4)
    sweep, _ = swept(lambda number: replace(source.fetch(number), records=records))
    assert (sweep.verdict, len(sweep.keys), count_unkeyed(sweep.keys), sweep.some_key) == ("complete", 4, 3, "a")


def test_a_failed_request_leaves_the_sweep_where_it_was():
    source = MovingList(350, events={1: [delete(0.01)]})
    fail_at = iter([True, False, True, False, False, True, True, False, False, False])

    def fetch(number):
        if next(fail_at, False):
            raise ApiUnreachable("GET", "customers", 503, "busy")
        return source.fetch(number)

    sweep, loaded = new_sweep(fetch, reread_pages=0), set()
    while sweep.verdict is None:
        try:
            loaded |= set(step(sweep))
        except ApiUnreachable:
            continue
    assert sweep.verdict == "complete"
    assert source.stable <= loaded
    assert source.reads == [1, 2, 1, 3, 4]


# From run to run


def interrupted(source, pages, **options):
    """A sweep that ends after some pages; returns what the destination has, its pages and its state."""
    sweep, hashes = new_sweep(source, **options), {}
    for _ in range(pages):
        for rows in sweep.step():
            hashes.update(zip(rows.keys, rows.hashes, strict=True))
    return hashes, sweep.take_records(), orjson.loads(orjson.dumps(sweep.saved_state))


@pytest.mark.parametrize("pages", [1, 2, 5, 6])
def test_a_resumed_sweep_reads_its_last_page_again_and_no_other_i3(pages):
    """S5: also if all pages are read. A run that read no page cannot speak of now."""
    source = MovingList(590)
    hashes, records, saved = interrupted(source, pages)
    sweep = new_sweep(source, KnownRows(hashes))
    assert sweep.resume(records, saved)
    while sweep.verdict is None:
        sweep.step()
    assert (sweep.verdict, source.reads) == ("complete", [*range(1, pages + 1), *range(pages, 7)])
    assert (sweep.state.counts.inserted, sweep.state.counts.unchanged) == (590, 0)


@pytest.mark.parametrize("event", [insert(0), delete(0.05), delete(0.95), change(0.05, to=0.95)])
@pytest.mark.parametrize("pages", [3, 6])
def test_a_list_that_moved_between_two_runs_is_read_again_i1(pages, event):
    """S5: 50 rows are missing otherwise."""
    source = MovingList(590)
    hashes, records, saved = interrupted(source, pages)
    event(source)
    sweep, loaded = new_sweep(source, KnownRows(hashes)), {}
    assert sweep.resume(records, saved)
    while sweep.verdict is None:
        loaded.update(step(sweep))
    assert (sweep.verdict, sweep.state.readings) == ("complete", 1)
    assert source.stable <= {*hashes, *loaded}


def test_a_list_that_has_become_shorter_meanwhile_is_read_from_its_start():
    """The API answers 404 to a page that is not there any more."""
    source = MovingList(590)
    hashes, records, saved = interrupted(source, 6)
    del source.rows[300:]

    def fetch(number):
        page = source.fetch(number)
        if not page.records:
            raise NotThere("GET", "customers", 404, "no such page")
        return page

    sweep = new_sweep(fetch, KnownRows(hashes))
    assert sweep.resume(records, saved)
    while sweep.verdict is None:
        sweep.step()
    assert (sweep.verdict, len(sweep.keys), len(sweep.changes.missing(sweep.keys))) == ("complete", 300, 290)


def test_a_sweep_whose_rows_are_not_in_the_destination_starts_again_i9():
    source = MovingList(600)
    hashes, records, saved = interrupted(source, 2)
    sweep = new_sweep(source, KnownRows(dict(list(hashes.items())[1:])))
    assert not sweep.resume(records, saved)
    assert (sweep.state, sweep.keys) == (SweepState(), set())


def test_a_state_of_another_version_starts_again_i9():
    source = MovingList(600)
    hashes, records, _ = interrupted(source, 2)
    assert not new_sweep(source, KnownRows(hashes)).resume(records, {"next": 3, "last": 6})


def test_a_list_that_missed_a_live_row_is_read_again_once_i2():
    source = MovingList(250)
    sweep, _ = swept(source)
    assert sweep.read_again("a live row was on no page")
    while sweep.verdict is None:
        sweep.step()
    assert (sweep.verdict, len(source.reads)) == ("complete", 6)
    assert not sweep.read_again("and another")


def test_a_verdict_is_its_text():
    assert f"{Verdict.MORE_TO_DO}" == str(Verdict.MORE_TO_DO) == "more_to_do"
    assert json.dumps(Verdict.COMPLETE) == '"complete"'


places = st.floats(0, 1)
changes = st.one_of(st.builds(insert, places), st.builds(delete, places), st.builds(change, places, places))


@pytest.mark.slow
@settings(max_examples=examples(400), deadline=None, print_blob=True)
@given(st.integers(0, 60), st.lists(st.tuples(st.integers(1, 4), changes), max_size=4), st.sampled_from([0, 100]))
def test_a_complete_sweep_has_every_row_that_was_there_throughout_i1(rows, events, reread_pages):
    """One change between two reads, however many reads have one."""
    schedule, at = {}, 0
    for pause, event in events:
        at += pause
        schedule[at] = [event]
    source = MovingList(rows, page_size=5, events=schedule)
    sweep, loaded = swept(source, reread_pages=reread_pages, page_size=5)
    if sweep.verdict == "complete":
        assert source.stable <= set(loaded), (source.reads, sweep.state.drift)


def test_a_doubt_outlives_the_run_i1():
    """The list rests by now, but what the run before has seen of it is no proof."""
    source = MovingList(590)
    hashes, records, saved = interrupted(source, 3)
    sweep = new_sweep(source, KnownRows(hashes), reread_pages=0)
    assert sweep.resume(records, {**saved, "doubt": "two pages were one"})
    while sweep.verdict is None:
        sweep.step()
    assert (sweep.verdict, "two pages were one" in sweep.reason) == ("incomplete", True)


def test_a_page_that_is_not_there_before_the_end_is_an_error_i1():
    source = MovingList(590)

    def fetch(number):
        if number == 3:
            raise NotThere("GET", "customers", 404, "no such page")
        return source.fetch(number)

    sweep = new_sweep(fetch)
    sweep.step()
    sweep.step()
    with pytest.raises(NotThere):
        sweep.step()
