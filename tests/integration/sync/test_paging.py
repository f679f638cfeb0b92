"""I1, I3: lists that are paged by offsets and cursors, what a wrong setting does, and how a run goes on."""

import pytest

from tests.support.shapes.api import SCOPES, Api
from tests.support.shapes.memory import MemorySite
from tests.support.shapes.server import Answer, serve

CURSOR = {"type": "cursor", "cursor_path": "pagination.nextCursor"}


class Cursors(Api):
    """Pages by cursor, 20 rows each."""

    largest = 20
    parameter = "cursor"
    totals = True
    issue = 1

    def token(self, call):
        answer = super().token(call)
        return Answer({**answer.body, "scope": SCOPES[0]})

    def list(self, call):
        rows, size = self.listed(call), self.size(call)
        issue, start = map(int, call.query.get(self.parameter, f"{self.issue}-0").split("-"))
        if issue != self.issue:
            return Answer({"code": 400, "message": "This cursor has expired"}, 400)
        end = start + size
        return self.body(rows[start:end], self.counts(len(rows), end))

    def counts(self, total, end):
        found = {"nextCursor": f"{self.issue}-{end}" if end < total else None}
        return {**found, "total": total} if self.totals else found


class NoTotal(Cursors):
    totals = False


class Offsets(Api):
    """Pages by offset, at most 50 rows each."""

    largest = 50

    def list(self, call):
        rows, size, start = self.listed(call), self.size(call), int(call.query.get("offset", 0))
        return self.body(rows[start : start + size], {"total": len(rows)})


def synced(api, times=1, **customers):
    """What the last of some syncs came to, and the site."""
    with serve(api):
        site = MemorySite(api, endpoints={"customers": customers} if customers else {})
        return [site.sync() for _ in range(times)][-1], site


# A wrong setting, or none


class Endless(Cursors):
    def counts(self, total, end):
        return {"nextCursor": f"{self.issue}-{end}"}


class OffsetsAlone(Offsets):
    """Nothing says how many rows there are, nor how many a page has."""

    def body(self, rows, counts):
        return super().body(rows, {})


class Ignores(Api):
    """Ignores the number of the page; the total counts the rows of the page."""

    def list(self, call):
        rows, start, size = self.listed(call), int(call.query.get("offset", 0)), self.size(call)
        found = rows[start : start + size]
        return self.body(found, {"total": len(found)})


class FromZero(Api):
    def list(self, call):
        rows, size, number = self.listed(call), self.size(call), int(call.query.get("page", 0))
        return self.body(rows[number * size : (number + 1) * size], {})


@pytest.mark.parametrize(
    ("api", "settings"),
    [
        (Cursors, {"paginator": {**CURSOR, "cursor_param": "after"}, "page_size": 20}),
        (NoTotal, {"paginator": {**CURSOR, "cursor_param": "after"}, "page_size": 20, "total": ""}),
        (Endless, {"paginator": CURSOR, "page_size": 20, "total": ""}),
        (Cursors, {"paginator": "cursor", "page_size": 20}),
        (NoTotal, {"paginator": "cursor", "page_size": 20, "total": ""}),
        (Offsets, {"paginator": "offset"}),
        (OffsetsAlone, {"paginator": "offset", "total": ""}),
        (Ignores, {"total": ""}),
    ],
)
def test_a_list_that_is_paged_in_another_way_than_set_is_never_complete_i1(api, settings):
    """I1, I2, I3: an error or `incomplete`, in few requests, and no live row is marked deleted."""
    served = api()
    outcome, site = synced(served, 2, **settings)
    assert outcome.verdict in ("error", "incomplete")
    assert outcome.says
    assert len(served.calls) <= served.most_requests
    assert not site.deleted


@pytest.mark.parametrize(
    ("api", "settings"),
    [
        (Cursors, {"paginator": CURSOR, "page_size": 20}),
        (NoTotal, {"paginator": CURSOR, "page_size": 20, "total": ""}),
        (Offsets, {"paginator": "offset", "page_size": 50}),
        (OffsetsAlone, {"paginator": "offset", "page_size": 50, "total": ""}),
        (FromZero, {"paginator": {"type": "page_number", "base_page": 0}, "total": ""}),
    ],
)
def test_the_same_list_as_set_is_complete(api, settings):
    outcome, site = synced(api(), **settings)
    assert (outcome.verdict, len(site.live)) == ("complete", 230)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("count", [100, 200])
def test_a_page_behind_a_full_last_one_may_be_the_last_one_again_if_it_says_so_i1_i3(count, named):
    """It is asked for once. If it names no page, the API may as well ignore which page is asked for."""

    class Clamps(Api):
        def list(self, call):
            rows, size = self.listed(call), self.size(call)
            number = min(int(call.query["page"]), len(rows) // size)
            found = rows[(number - 1) * size : number * size]
            return self.body(found, {"total": len(rows), **({"page": number} if named else {})})

    served = Clamps()
    served.rows = dict(list(served.rows.items())[:count])
    outcome, site = synced(served)
    assert (outcome.verdict, len(site.live)) == ("complete" if named else "incomplete", count)
    assert len(served.calls) == count // 100 + 1 or not named


# Runs that go on


def sync(desk, *options):
    return desk.run("sync", "--json", "customers", *options)


@pytest.fixture
def at_desk(desk):
    """Set the desk up for an API, with settings for its customers."""

    def use(api, **customers):
        desk.set(base_url=api.base_url, client_id=api.client_id, client_secret=api.client_secret)
        desk.set(endpoints={"customers": customers}, application_limits="[[100000, 60]]")
        return desk

    return use


@pytest.mark.slow
@pytest.mark.parametrize("last", [5, 11])
@pytest.mark.parametrize(("api", "total"), [(Cursors, "pagination.total"), (NoTotal, "")])
def test_a_run_goes_on_at_the_stored_cursor_i3(at_desk, api, total, last):
    """Each page is asked for once; and once more where no total is announced. Also if one page is left."""
    with serve(api()) as served:
        desk = at_desk(served, paginator=CURSOR, page_size=20, total=total)
        served.rows = dict(list(served.rows.items())[:230])
        assert sync(desk, "--max-requests", str(last)).code == 75
        first = len(served.calls)
        assert 0 < first <= last
        ran = sync(desk)
        assert ran.json["verdict"] == "complete", ran
        assert len(served.calls) <= 12 * (1 if api.totals else 2) + 1, "the last page of the first run, for its cursor"
        assert desk.counts()["customers"] == 230


@pytest.mark.slow
def test_a_run_starts_anew_where_the_stored_cursor_is_refused_i3(at_desk):
    with serve(Cursors()) as served:
        desk = at_desk(served, paginator=CURSOR, page_size=20)
        assert sync(desk, "--max-requests", "5").code == 75
        first, served.issue = len(served.calls), 2
        assert sync(desk).json["verdict"] == "complete"
        assert len(served.calls) == first + 1 + 12
        assert desk.counts()["customers"] == 230


@pytest.mark.slow
def test_a_run_starts_anew_where_the_pages_have_another_size_i1(at_desk):
    """Page 5 of 20 rows is not page 5 of 10."""

    class Numbers(Api):
        largest = 20

    with serve(Numbers()) as served:
        desk = at_desk(served, page_size=10)
        assert sync(desk, "--max-requests", "5").code == 75
        first = len(served.calls)
        at_desk(served, page_size=20)
        assert sync(desk).json["verdict"] == "complete"
        assert len(served.calls) == first + 12
        assert desk.counts()["customers"] == 230
