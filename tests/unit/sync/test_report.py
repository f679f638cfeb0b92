"""Which rows of a report are proven, and which are gone, on APIs that cut answers or read a range of days otherwise."""

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from automatum.sync.report import WINDOW_DAYS, Answer, Report, windows
from tests.support.examples import examples

TODAY = date(2026, 3, 1)
DAY = timedelta(days=1)
VENDORS = ("aws", "azure", "gcp", "zeta")
ORDERS = {
    "day": lambda row: row,
    "newest": lambda row: (-row[0].toordinal(), row[1]),
    "vendor": lambda row: (row[1], row[0]),
    "amount": lambda row: (hash(row) % 97, row),
    "any": lambda row: random.random(),  # another order with each request
}


@dataclass
class Api:
    """A report: one record a day and vendor, and how it reads the range that it is asked for."""

    rows: set = field(default_factory=set)
    order: str = "day"
    most_rows: int | None = None
    first_days: int | None = None
    last_days: int | None = None
    latest: int | None = None
    whole: bool = False
    without_end: bool = False
    without_start: bool = False
    asked: list = field(default_factory=list)

    def answer(self, first, last):
        self.asked.append((first, last))
        start, end = first + self.without_start * DAY, last - self.without_end * DAY
        if self.first_days:
            end = min(end, start + (self.first_days - 1) * DAY)
        if self.last_days:
            start = max(start, end - (self.last_days - 1) * DAY)
        if self.latest:
            start, end = TODAY - (self.latest - 1) * DAY, TODAY
        found = [row for row in self.rows if self.whole or start <= row[0] <= end]
        found = sorted(found, key=ORDERS[self.order])[: self.most_rows]
        return Answer(first, last, len(found), frozenset(map(key, found)), tuple(sorted({day for day, _ in found})))


def key(row):
    return f"{row[0]} {row[1]}"


@dataclass
class Warehouse:
    """The live rows of the destination."""

    live: dict = field(default_factory=dict)
    fresh: Counter = field(default_factory=Counter)

    def sync(self, api, first, days=None, interrupted=False, allow=False, checks=250):
        """Read a range as a sync does; returns the reading.

        Args:
            interrupted: A run ends after each eight answers.
        """
        known, report, ended = [], None, False
        while not ended:
            report, ended = self._run(api, first, days, known, 8 if interrupted else None, allow, checks)
        if not report.why:
            for one in report.gone:
                assert one not in {key(row) for row in api.rows}, "I2: a row that the API has"
                del self.live[one]
        return report

    def _run(self, api, first, days, known, bound, allow, checks):
        stored = defaultdict(list)
        for one, day in self.live.items():
            stored[day].append(one)
        left_checks = iter(range(checks, -1, -1))
        report = Report("r", first, TODAY, days, stored, TODAY, True, allow, lambda: next(left_checks) > 0)
        report.fresh.update(self.fresh if known else ())
        answers = defaultdict(list)
        for one in known:
            answers[one.first, one.last].append(one)
        asks, left = report.read(answers), bound
        ask = next(asks, None)
        while ask and left != 0:
            answer = api.answer(*ask)
            known.append(answer)
            for one in answer.keys:
                day = date.fromisoformat(one[:10])
                if day >= first:
                    report.fresh[day] += one not in self.live
                    self.live[one] = day
            left = None if left is None else left - 1
            try:
                ask = asks.send(answer)
            except StopIteration:
                ask = None
        self.fresh = Counter(report.fresh)
        return report, ask is None


def back(days):
    return TODAY - days * DAY


def dense(days, *vendors):
    """A row of each vendor on each of the last days."""
    return {(back(at), vendor) for at in range(days) for vendor in vendors or VENDORS[:2]}


SPARSE = st.sets(st.tuples(st.integers(0, 200).map(back), st.sampled_from(VENDORS)), max_size=40)
ROWS = SPARSE | st.builds(
    lambda days, vendors, more: dense(days, *VENDORS[:vendors]) | more, st.integers(1, 200), st.integers(1, 4), SPARSE
)
LIMITS = st.one_of(
    st.fixed_dictionaries({"most_rows": st.integers(1, 400), "order": st.sampled_from(list(ORDERS))}),
    st.fixed_dictionaries({"first_days": st.integers(1, 90)}),
    st.fixed_dictionaries({"last_days": st.integers(1, 90)}),
    st.fixed_dictionaries({"latest": st.integers(1, 90)}),
    st.just({"whole": True}),
)
EDGES = st.fixed_dictionaries({"without_end": st.booleans(), "without_start": st.booleans()})
WINDOWS = st.none() | st.integers(6, 90)


def unseen(api, report, warehouse):
    """Rows of the range that the destination lacks, but for those that `docs/internals/completeness.md` excepts."""
    lost = {row for row in api.rows if row[0] >= report.first and key(row) not in warehouse.live}
    lost = {row for row in lost if not (api.without_end and row[0] == TODAY)}
    longest = max(window.days for window in report.windows)
    young = not report.seen or date.fromisoformat(min(report.seen)[:10]) > TODAY - longest * DAY
    if young and (api.last_days or not (report.seen or api.most_rows)):
        return set()  # a limit on days, and no row from which a range as long as a window can be asked for
    days = {day for day, _ in lost}
    if api.most_rows and len(days) == 1 and sum(day in days for day, _ in api.rows) > api.most_rows:
        return set()  # a day is cut, and no other answer has as many rows
    return lost


@settings(max_examples=examples(400), deadline=None, print_blob=True)
@given(ROWS, LIMITS, EDGES, WINDOWS, st.integers(0, 250), st.booleans())
@example(dense(200, *VENDORS), {"most_rows": 330, "order": "vendor"}, {}, None, 199, False)
@example(dense(200, *VENDORS), {"most_rows": 141, "order": "amount"}, {}, 45, 199, True)
@example(dense(120) | {(back(9), "zeta")}, {"most_rows": 136, "order": "vendor"}, {}, None, 100, False)
@example({(back(5), "aws"), (back(50), "aws"), (back(85), "aws")}, {"first_days": 31}, {}, None, 88, False)
def test_a_report_that_is_cut_loses_no_row_under_complete_i1(rows, limit, edges, days, length, interrupted):
    warehouse, api = Warehouse(), Api(rows, **limit, **edges)
    report = warehouse.sync(api, back(length), days, interrupted)
    assert report.why or not unseen(api, report, warehouse)


@settings(max_examples=examples(200), deadline=None, print_blob=True)
@given(ROWS, EDGES, WINDOWS, st.integers(0, 250), st.booleans())
def test_an_honest_report_is_complete_at_one_proof_a_window_i1_i3(rows, edges, days, length, interrupted):
    """Sparse or dense, from the first row on. Two requests a window; five more for a report, and as many for windows
    with rows and none in the days before."""
    warehouse, api = Warehouse(), Api(rows, **edges)
    report = warehouse.sync(api, back(length), days, interrupted)
    every_day = {day for day, _ in rows} >= {
        report.windows[0].early + at * DAY for at in range((TODAY - report.windows[0].early).days)
    }
    if every_day or not (days or any(edges.values())):
        assert not report.why
    assert report.why or not unseen(api, report, warehouse)
    if every_day and not (interrupted or any(edges.values())):
        assert len(api.asked) <= 2 * len(report.windows) + 5


@pytest.mark.parametrize("days", [None, 30, 7])
def test_a_quiet_report_costs_two_requests_a_window_i3(days):
    warehouse, api = Warehouse(), Api(dense(200))
    warehouse.sync(api, back(100), days)
    api.asked.clear()
    report = warehouse.sync(api, back(35), days)
    assert (report.why, len(api.asked)) == ("", 2 * len(report.windows))
    assert len(report.windows) == {None: 1, 30: 2, 7: 9}[days]


APIS = st.lists(st.tuples(ROWS, st.just({}) | LIMITS, EDGES), min_size=2, max_size=4)


@settings(max_examples=examples(150), deadline=None, print_blob=True)
@given(APIS, WINDOWS, st.integers(0, 60), st.booleans(), st.integers(0, 20))
@example([(dense(36), {}, {}), (dense(36), {"most_rows": 20}, {})], None, 35, False, 20)
@example([(dense(20), {}, {}), (dense(20), {}, {"without_end": True})], None, 19, False, 20)
def test_no_live_row_is_deleted_however_the_api_reads_a_range_i2(apis, days, length, interrupted, checks):
    """A limit that comes between two syncs, an end that is not part of the range any more; `sync` checks each row."""
    warehouse = Warehouse()
    for rows, limit, edges in apis:
        warehouse.sync(Api(rows, **limit, **edges), back(length), days, interrupted, checks=checks)


@settings(max_examples=examples(150), deadline=None, print_blob=True)
@given(st.integers(20, 120), st.sets(st.integers(0, 35), max_size=7), st.booleans(), WINDOWS)
def test_rows_that_their_own_days_lack_are_deleted_i1(length, lost, all_of_day, days):
    """Each costs one request for its day, and one day that has rows is asked for alone before."""
    warehouse, rows = Warehouse(), dense(140)
    warehouse.sync(Api(rows), back(length))
    gone = {row for row in rows if row[0] in map(back, lost) and (all_of_day or row[1] == "aws")}
    gone = {row for row in gone if row[0] >= back(35)}
    api = Api(rows - gone)
    report = warehouse.sync(api, back(min(35, length)), days)
    expected = {row for row in gone if row[0] >= report.first}
    if not report.why:
        assert set(report.gone) == {key(row) for row in expected}
        single = [ask for ask in api.asked if ask[0] == ask[1]]
        assert days or len(single) <= (len({day for day, _ in expected}) + 1 if expected else 0)
    else:
        assert "--allow-deletes" in report.why and len(expected) > 10


def test_a_run_that_asks_nothing_is_not_complete_i1():
    """All answers are known, because the run before ended before its verdict: the last one is asked for again."""
    for later, why in ((dense(60), ""), (dense(60) - {(TODAY, "aws")}, "the report changed between two runs")):
        known = defaultdict(list)
        for api, asked in ((Api(dense(60)), None), (Api(later), 1)):
            report = Report("r", back(50), TODAY, None, {}, TODAY)
            asks = report.read({ask: list(answers) for ask, answers in known.items()})
            ask = next(asks, None)
            while ask:
                answer = api.answer(*ask)
                known[ask].append(answer)
                try:
                    ask = asks.send(answer)
                except StopIteration:
                    ask = None
            assert asked in (None, len(api.asked))
        assert report.why == why


def test_rows_that_cannot_be_asked_for_wait_i2():
    warehouse, rows = Warehouse(), dense(60)
    warehouse.sync(Api(rows), back(50))
    api = Api({row for row in rows if row not in {(back(at), "aws") for at in (3, 9, 12)}})
    report = warehouse.sync(api, back(35), checks=2)
    assert (report.why, len(report.gone), report.waiting) == ("", 2, 1)
    assert warehouse.sync(api, back(35), checks=2).gone == [key((back(3), "aws"))]


def test_many_missing_rows_wait_for_a_person_i2():
    warehouse = Warehouse()
    warehouse.sync(Api(dense(60)), back(50))
    api = Api(dense(60, "aws"))
    report = warehouse.sync(api, back(35))
    assert "36 of 72 rows" in report.why and report.gone == []
    assert len(warehouse.sync(api, back(35), allow=True).gone) == 36


def test_a_report_whose_keys_are_restated_is_right_at_once_i1():
    """A vendor by another name on every day is no outage: each lost row has a new one on its day."""
    warehouse = Warehouse()
    warehouse.sync(Api(dense(60, "aws")), back(50))
    report = warehouse.sync(Api(dense(60, "AWS")), back(35))
    assert (report.why, len(report.gone)) == ("", 36)


def test_an_empty_report_deletes_nothing_i2():
    warehouse = Warehouse()
    warehouse.sync(Api(dense(5)), back(35))
    report = warehouse.sync(Api(), back(35))
    assert (report.why, report.gone, report.waiting) == ("", [], 10)
    assert len(warehouse.sync(Api(), back(35), allow=True).gone) == 10


@settings(max_examples=examples(50), deadline=None)
@given(st.integers(0, 400), st.none() | st.integers(1, 100))
def test_windows_reach_every_day(length, days):
    """I1: from the first to the last day, and none longer than asked for."""
    made = windows(back(length), TODAY, days)
    needed = {window.first + at * DAY for window in made for at in range(window.days)}
    assert needed >= {back(at) for at in range(length + 1)} and max(needed) == TODAY
    for one in made:
        assert (one.last - one.early).days < (days or WINDOW_DAYS)
        assert one.early < one.first or days == 1
    assert windows(TODAY, back(1), days) == []
