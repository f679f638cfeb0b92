"""Which rows of a report count as gone, on APIs that read a range of days differently."""

import json
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from automatum.api.pages import Page
from automatum.endpoints import REVENUE
from automatum.schema.arrow_tables import Table
from automatum.sync.facts import PastSweep, SweepFacts
from automatum.sync.report import Report
from automatum.sync.report_days import windows, windows_to_ask
from automatum.sync.report_proof import Uncut
from automatum.sync.results import DELETED, KnownRows
from tests.support.examples import examples

TODAY = date(2026, 3, 1)
NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
VENDORS = ("aws", "azure", "gcp")


@dataclass
class Api:
    """A report: one record a day and vendor, and how it reads the range that it is asked for."""

    rows: dict = field(default_factory=dict)
    without_end: bool = False
    without_start: bool = False
    whole_range: bool = False
    latest: int | None = None
    first_days: int | None = None
    last_days: int | None = None
    first_rows: int | None = None
    last_rows: int | None = None
    largest_rows: int | None = None
    newest_first: bool = False
    asked: int = 0

    def fetch(self, start, end):
        self.asked += 1
        if self.first_days:
            end = min(end, start + timedelta(days=self.first_days - 1))
        if self.last_days:
            start = max(start, end - timedelta(days=self.last_days - 1))
        if self.latest:
            start, end = TODAY - timedelta(days=self.latest - 1), TODAY
        days = {
            day: vendors
            for day, vendors in sorted(self.rows.items())
            if self.whole_range
            or (
                start <= day <= end
                and not (self.without_end and day == end)
                and not (self.without_start and day == start)
            )
        }
        records = [
            {"date": day.isoformat(), "vendor": vendor, "count": count}
            for day, vendors in days.items()
            for vendor, count in vendors.items()
        ]
        records = records[: self.first_rows][-self.last_rows if self.last_rows else 0 :]
        if self.largest_rows:
            records = sorted(records, key=lambda one: -one["count"])[: self.largest_rows]
        if self.newest_first:
            records.reverse()
        return Page(1, records, None, None, NOW.timestamp())


@dataclass
class Warehouse:
    """What the destination has of the report, and what the sweeps left for the next one."""

    hashes: dict = field(default_factory=dict)
    past: list = field(default_factory=list)
    now: datetime = NOW

    def sync(self, api, first, last=TODAY, days=None, allow=False, interrupted=False):
        """Read a range as a sync does; returns the reading.

        Args:
            interrupted: Each step is a run of its own.
        """
        table = Table(REVENUE)
        known = KnownRows(dict(self.hashes))
        uncut = Uncut().with_others(one.facts.uncut for one in self.past)
        report = Report(
            table, api.fetch, known, windows_to_ask(first, last, days, known), first, uncut=uncut, today=TODAY
        )
        while not report.finished:
            for row in report.step():
                self.hashes[row.key] = row.hash
            if interrupted and not report.finished:
                state = json.loads(json.dumps(report.saved_state))
                report = Report.resumed(table, api.fetch, KnownRows(dict(self.hashes)), state, last, days)
                report.uncut, report.today = uncut, TODAY
        gone = [] if report.unproven else report.gone(self.past, self.now, allow)
        assert not set(gone) & set(keys(api)), "I2: a row that the API has"
        self.hashes.update(dict.fromkeys(gone, DELETED))
        left = tuple(sorted(report.missing.keys() - set(gone)))
        facts = SweepFacts(full=True, candidates=left, uncut=(report.proven.days, report.proven.rows))
        self.past.insert(0, PastSweep("", self.now, "complete", facts))
        self.now += timedelta(minutes=30)
        return report

    @property
    def live(self):
        return {key for key, hash_ in self.hashes.items() if hash_ != DELETED}


def keys(api):
    """Keys of all rows that the API has."""
    records = [{"date": day.isoformat(), "vendor": vendor} for day, some in api.rows.items() for vendor in some]
    return Table(REVENUE).keys(records)


def day_in(key):
    """The day in a key, as text."""
    return json.loads(key)[REVENUE.key.index("date")]


def key_of(day, vendor):
    """Key of the record of a day and vendor."""
    return keys(Api({day: {vendor: 0}}))[0]


def days_of(count, *vendors):
    """The last days before today, each with a record of these vendors."""
    return {TODAY - timedelta(days=back): dict.fromkeys(vendors or ("aws",), back) for back in range(count)}


REPORTS = st.dictionaries(
    st.integers(0, 40).map(lambda back: TODAY - timedelta(days=back)),
    st.dictionaries(st.sampled_from(VENDORS), st.integers(0, 3), min_size=1),
    max_size=30,
)
APIS = st.fixed_dictionaries(
    {
        "without_end": st.booleans(),
        "without_start": st.booleans(),
        "whole_range": st.booleans(),
        "first_rows": st.none() | st.integers(0, 60),
    }
)


@settings(max_examples=examples(60), deadline=None, print_blob=True)
@given(st.lists(st.tuples(REPORTS, APIS, st.integers(0, 40), st.none() | st.integers(1, 20)), min_size=1, max_size=4))
@example([(days_of(20), {}, 20, None), (days_of(20), {"without_end": True}, 20, 7)])
@example([(days_of(20), {}, 20, None), (days_of(20), {"first_rows": 12}, 20, None)])
def test_no_live_row_is_deleted_however_the_api_reads_a_range(steps):
    """I2: with an end or a start that is not part of the range, answers that are cut, or the range ignored."""
    warehouse = Warehouse()
    for rows, how, back, days in steps:
        warehouse.sync(Api(rows, **how), TODAY - timedelta(days=back), days=days)


@settings(max_examples=examples(40), deadline=None, print_blob=True)
@given(st.lists(REPORTS, min_size=1, max_size=3), REPORTS, st.booleans())
def test_readings_over_an_hour_bring_what_the_api_has(before, now, without_end):
    """I1: whatever was restated between the first and the last reported day; an API may leave out today."""
    warehouse = Warehouse()
    first = TODAY - timedelta(days=41)
    for rows in before:
        warehouse.sync(Api(rows), first)
    api = Api(now, without_end=without_end)
    for _ in range(4):
        warehouse.sync(api, first)
    reported = [day for day in now if not (without_end and day == TODAY)]
    if reported:
        last, first_reported = max(reported), min(reported)
        between = {key for key in warehouse.live if first_reported.isoformat() < day_in(key) < last.isoformat()}
        assert between == set(keys(Api({day: now[day] for day in reported if first_reported < day < last})))


def test_a_report_whose_keys_are_restated_is_right_at_once():
    """I1: a vendor by another name on every day is no outage: each lost row has a new one on its day."""
    warehouse = Warehouse()
    warehouse.sync(Api(days_of(50, "aws")), TODAY - timedelta(days=49))
    report = warehouse.sync(Api(days_of(50, "AWS")), TODAY - timedelta(days=35))
    waiting = [key for key, reached in report.missing.items() if not reached]
    assert (report.refused, waiting) == ("", [key_of(TODAY, "aws")])
    older = {TODAY - timedelta(days=back): {"aws": 0} for back in range(36, 50)}
    assert warehouse.live == {*keys(Api(older)), *keys(Api(days_of(36, "AWS"))), key_of(TODAY, "aws")}
    warehouse.now += timedelta(days=1)
    tomorrow = TODAY + timedelta(days=1)
    warehouse.sync(Api({**days_of(50, "AWS"), tomorrow: {"AWS": 1}}), TODAY - timedelta(days=35), tomorrow)
    assert key_of(TODAY, "aws") not in warehouse.live


def test_many_lost_rows_go_after_an_hour():
    """I2, and a way out: without a new row on its day each waits for a reading an hour later."""
    warehouse = Warehouse()
    yesterday = {day: some for day, some in days_of(36, "aws", "azure").items() if day != TODAY}
    warehouse.sync(Api({**yesterday, TODAY: {"aws": 0}}), TODAY - timedelta(days=34))
    api = Api(days_of(36, "aws"))
    for _ in range(2):
        assert "34 of 69 rows" in warehouse.sync(api, TODAY - timedelta(days=34)).refused
        assert len(warehouse.live) == 69
    assert warehouse.sync(api, TODAY - timedelta(days=34)).refused == ""
    assert warehouse.live == set(keys(Api(days_of(35, "aws"))))


def test_rows_outside_of_the_reported_days_wait_for_allow_deletes():
    """I2: nothing shows that the answer reaches them."""
    warehouse = Warehouse()
    warehouse.sync(Api(days_of(30)), TODAY - timedelta(days=35))
    api = Api({day: some for day, some in days_of(30).items() if day < TODAY - timedelta(days=2)})
    report = warehouse.sync(api, TODAY - timedelta(days=35))
    assert (report.refused, list(report.missing.values())) == ("", [False] * 3)
    assert len(warehouse.live) == 30
    warehouse.sync(api, TODAY - timedelta(days=35), allow=True)
    assert warehouse.live == set(keys(api))


@pytest.mark.parametrize(("days", "requests"), [(None, 1), (10, 4), (1, 36)])
def test_a_range_without_its_last_day_costs_no_request_more(days, requests):
    """I3: the last day of a window is the next window's first day, so it needs no second reading. That the days before
    the first one have no rows is proven by one request, and once."""
    warehouse = Warehouse()
    for more in (int(days != 1), 0):
        api = Api(days_of(30), without_end=days != 1)
        warehouse.sync(api, TODAY - timedelta(days=35), days=days)
        assert api.asked == requests + more
    assert len(warehouse.live) == (30 if days == 1 else 29)


LIMITS = (10, 20, 25, 50, 64, 100, 128, 150, 200, 250, 500)
CUTS = st.one_of(
    st.fixed_dictionaries({"first_days": st.integers(1, 400)}),
    st.fixed_dictionaries({"last_days": st.integers(1, 400)}),
    st.fixed_dictionaries({"latest": st.integers(1, 400)}),
    *(
        st.fixed_dictionaries({name: st.sampled_from(LIMITS), "newest_first": st.booleans()})
        for name in ("first_rows", "last_rows", "largest_rows")
    ),
)


@settings(max_examples=examples(150), deadline=None, print_blob=True)
@given(CUTS, st.integers(1, 3), st.integers(0, 300), st.none() | st.integers(1, 100), st.booleans())
@example({"last_days": 60}, 1, 729, None, False)
@example({"first_rows": 180}, 1, 729, None, True)
def test_a_report_that_is_cut_loses_no_row_under_complete_i1(cut, vendors, back, days, interrupted):
    """A limit on days or on rows, and a range that is ignored; whatever the windows are, and at each interruption."""
    warehouse = Warehouse()
    rows = {TODAY - timedelta(days=at): dict.fromkeys(VENDORS[:vendors], at % 7) for at in range(back + 1)}
    first = TODAY - timedelta(days=back)
    report = warehouse.sync(Api(rows, **cut), first, days=days, interrupted=interrupted)
    if report.why_not():
        assert "parameters" in report.why_not()
        assert "latest" in cut
    else:
        # An API may leave the last day out of a range: it is read tomorrow.
        assert set(keys(Api(rows))) - warehouse.live <= {key_of(TODAY, vendor) for vendor in VENDORS}


@settings(max_examples=examples(150), deadline=None, print_blob=True)
@given(
    REPORTS,
    st.fixed_dictionaries({name: st.booleans() for name in ("without_end", "without_start", "newest_first")}),
    st.integers(0, 60),
    st.booleans(),
)
@example({}, {}, 729, False)
def test_an_honest_report_is_complete_at_five_requests_more_and_none_the_next_time_i3(rows, how, back, interrupted):
    """Days without revenue, a first day in the middle, no rows at all; a range without its first or its last day."""
    warehouse, first = Warehouse(), TODAY - timedelta(days=back)
    rows = {day: some for day, some in rows.items() if day >= first}
    # An interrupted reading proves nothing for the next one; nor does one of a range without its first day.
    for more in (5, 5 if interrupted or how.get("without_start") else 0, 5 if interrupted else 0):
        api = Api(rows, **how)
        report = warehouse.sync(api, first, interrupted=interrupted)
        assert (report.why_not(), report.limit) == ("", None)
        assert api.asked <= 1 + more


@settings(max_examples=examples(50), deadline=None)
@given(st.integers(0, 400), st.none() | st.integers(1, 100))
def test_windows_reach_every_day(length, days):
    """I1: from the first to the last day; each but the last is as long as asked for."""
    first = TODAY - timedelta(days=length)
    made = windows(first, TODAY, days)
    assert (made[0][0], made[-1][1]) == (first, TODAY)
    for one, two in pairwise(made):
        assert two[0] == (one[1] if days != 1 else one[1] + timedelta(days=1))
        assert (one[1] - one[0]).days + 1 == days
    assert windows(TODAY, first - timedelta(days=1), days) == []
