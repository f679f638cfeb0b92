"""I1, I3, I6: lists that are paged by offsets, cursors and links, what a wrong setting does, and how a run goes on."""

from math import ceil

import pytest

from tests.support.loopback import Loopback
from tests.support.shapes.api import SCOPES, Api
from tests.support.shapes.memory import MemorySite
from tests.support.shapes.server import Answer, serve

CURSOR = {"type": "cursor", "cursor_path": "pagination.nextCursor"}
LINK = {"type": "json_link", "next_url_path": "pagination.next"}


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


@pytest.mark.parametrize("api", [Cursors, NoTotal])
def test_a_cursor_that_the_api_ignores_ends_the_run_and_names_the_parameter(api):
    """I3: three requests, and not one for each page without end."""
    served = api()
    outcome, _ = synced(served, paginator={**CURSOR, "cursor_param": "after"})
    assert (outcome.code, len(served.calls)) == (78, 2)
    assert "sources.automatum.endpoints.customers.paginator.cursor_param" in outcome.says


def test_cursors_without_end_end_the_run():
    class Endless(Cursors):
        def counts(self, total, end):
            return {"nextCursor": f"{self.issue}-{end}"}

    served = Endless()
    outcome, _ = synced(served, paginator=CURSOR)
    assert (outcome.code, len(served.calls)) == (78, 12 + 25)
    assert "25 pages in a row without a new row" in outcome.says


@pytest.mark.parametrize("api", [Cursors, NoTotal])
@pytest.mark.parametrize("exact", [True, False])
def test_a_wrong_place_of_the_cursor_is_not_the_end_of_the_list_i1(api, exact):
    """The message names the place that the answer has."""
    outcome, site = synced(api(), paginator={**CURSOR, "cursor_path": "next"}, exact_total=exact)
    assert (outcome.verdict, len(site.live)) == ("incomplete", 20)
    assert 'cursor_path = "pagination.nextCursor"' in outcome.says


def test_a_wrong_place_of_the_cursor_is_noticed_though_the_right_one_has_an_unknown_name_i1():
    class Odd(NoTotal):
        def counts(self, total, end):
            return {"weiter": super().counts(total, end)["nextCursor"]}

    outcome, site = synced(Odd(), paginator=CURSOR)
    assert (outcome.verdict, len(site.live)) == ("incomplete", 20)
    assert "has nothing at pagination.nextCursor" in outcome.says
    outcome, site = synced(Odd(), paginator={**CURSOR, "cursor_path": "pagination.weiter"})
    assert (outcome.verdict, len(site.live)) == ("complete", 230)


def test_offsets_with_smaller_pages_than_asked_for_leave_rows_out_and_name_the_size_i1():
    outcome, site = synced(Offsets(), paginator="offset")
    assert (outcome.verdict, len(site.live)) == ("incomplete", 130)
    assert "sources.automatum.endpoints.customers.page_size to 50" in outcome.says
    outcome, site = synced(Offsets(), paginator={"type": "offset", "limit": 50})
    assert (outcome.verdict, len(site.live)) == ("complete", 230)


def test_offsets_without_a_total_are_not_proven_by_two_readings_that_leave_rows_out_i1():
    class Alone(Offsets):
        def body(self, rows, counts):
            return super().body(rows, {})

    outcome, site = synced(Alone(), paginator="offset", exact_total=False)
    assert (outcome.verdict, len(site.live)) == ("incomplete", 130)
    assert "page_size to 50" in outcome.says
    outcome, site = synced(Alone(), paginator="offset", exact_total=False, page_size=50)
    assert (outcome.verdict, len(site.live)) == ("complete", 230)


@pytest.mark.parametrize("count", [100, 230])
def test_a_page_that_is_ignored_is_noticed_though_the_total_counts_the_page_i1(count):
    """`total` 100, 100 rows, and page 2 again the same 100: nothing but a page of another size tells."""

    class Ignores(Api):
        def list(self, call):
            rows, start, size = self.listed(call), int(call.query.get("offset", 0)), self.size(call)
            found = rows[start : start + size]
            return self.body(found, {"total": len(found)})

    served = Ignores()
    served.count = count
    served.rows = dict(list(served.rows.items())[:count])
    outcome, site = synced(served)
    assert outcome.code == 78
    assert len(site.live) <= 100
    assert "ignores the parameter 'page'" in outcome.says
    assert 'set paginator to "offset"' in outcome.says


def test_a_list_of_one_full_page_whose_api_answers_each_number_with_it_is_complete():
    class Clamps(Api):
        def list(self, call):
            rows, size = self.listed(call), self.size(call)
            number = min(int(call.query["page"]), ceil(len(rows) / size))
            return self.body(rows[(number - 1) * size : number * size], {"total": len(rows)})

    served = Clamps()
    served.rows = dict(list(served.rows.items())[:100])
    outcome, site = synced(served)
    assert (outcome.verdict, len(site.live), len(served.calls)) == ("complete", 100, 3)


def test_a_list_without_a_total_that_counts_its_pages_from_0_is_not_proven_by_two_readings_i1():
    class FromZero(Api):
        def list(self, call):
            rows, size, number = self.listed(call), self.size(call), int(call.query["page"])
            return self.body(rows[number * size : (number + 1) * size], {})

    outcome, site = synced(FromZero(), exact_total=False)
    assert (outcome.verdict, len(site.live)) == ("incomplete", 130)
    assert "first_page" in outcome.says
    outcome, site = synced(FromZero(), exact_total=False, first_page=0)
    assert (outcome.verdict, len(site.live)) == ("complete", 230)


def test_an_answer_with_more_rows_than_asked_for_names_single_page():
    class Whole(Api):
        def list(self, call):
            return Answer({"data": self.listed(call)})

    outcome, _ = synced(Whole())
    assert outcome.code == 78
    assert 'set paginator = "single_page"' in outcome.says


@pytest.mark.parametrize("count", [47, 230])
def test_pages_from_0_are_noticed_though_the_total_is_said_not_to_be_exact_i1(count):
    class FromZero(Api):
        def list(self, call):
            rows, size, number = self.listed(call), self.size(call), int(call.query["page"])
            return self.body(rows[number * size : (number + 1) * size], {"total": len(rows)})

    served = FromZero()
    served.rows = dict(list(served.rows.items())[:count])
    outcome, _ = synced(served, exact_total=False)
    assert outcome.verdict == "incomplete"
    assert "first_page" in outcome.says


def test_a_total_and_a_limit_of_another_name_do_not_hide_that_a_cursor_leads_on_i1():
    """20 of 230 rows, and a total that counts them: only the cursor says that rows follow."""

    class Counts(Cursors):
        def list(self, call):
            answer = super().list(call)
            answer.body["pagination"]["total"] = len(answer.body["data"])
            return answer

    outcome, _ = synced(Counts())
    assert not outcome.complete
    assert 'paginator = { type = "cursor", cursor_path = "pagination.nextCursor"' in outcome.says


@pytest.mark.parametrize(
    ("beside", "says"),
    [
        ({"pagination": {"total": 230}}, "230"),
        ({"pagination": {"total": 20}, "hasMore": True}, "hasMore"),
        ({"links": {"next": {"href": "/api/v1/customers?after=20"}}}, "links.next.href"),
    ],
)
def test_one_answer_is_not_the_list_if_it_says_that_rows_follow_i1(beside, says):
    class One(Api):
        def list(self, call):
            return Answer({"data": self.listed(call)[:20], **beside})

    outcome, _ = synced(One(), paginator="single_page")
    assert outcome.verdict == "incomplete"
    assert says in outcome.says


def test_one_answer_with_as_many_rows_as_asked_for_is_not_the_list_i1():
    class One(Api):
        largest = 1000

        def list(self, call):
            return Answer({"data": self.listed(call)[: self.size(call)]})

    served = One()
    outcome, _ = synced(served, paginator="single_page", page_size=200)
    assert (outcome.verdict, len(served.calls)) == ("incomplete", 1)
    assert "raise page_size" in outcome.says
    outcome, site = synced(One(), paginator="single_page", page_size=1000)
    assert (outcome.verdict, len(site.live)) == ("complete", 230)


def test_a_list_whose_order_changes_at_each_request_is_proven_with_a_parameter_that_orders_it():
    class Shuffles(Api):
        def list(self, call):
            rows, number = self.listed(call), int(call.query["page"])
            if call.query.get("sort") != "id":
                rows = rows[-13 * len(self.calls) % len(rows) :] + rows[: -13 * len(self.calls) % len(rows)]
            return self.body(rows[number * 100 - 100 : number * 100], {})

    outcome, _ = synced(Shuffles(), exact_total=False)
    assert outcome.verdict == "incomplete"
    served = Shuffles()
    outcome, site = synced(served, exact_total=False, params={"sort": "id"})
    assert (outcome.verdict, len(site.live)) == ("complete", 230)
    lists = [call for call in served.calls if call.path == served.path]
    assert all(call.query["sort"] == "id" and call.query["limit"] == "100" for call in lists)


# Links


@pytest.mark.parametrize("how", ["body", "header", "credentials", "scheme", "dots"])
def test_a_link_out_of_the_api_is_not_followed_i6(how):
    """The token goes nowhere else."""
    with Loopback() as other:

        class Leads(Api):
            prefix = "/root"

            def list(self, call):
                answer = self.body(self.listed(call)[:100], {"total": 230})
                host = self.base_url.removeprefix("http://")
                link = {
                    "credentials": f"http://user:password@{host}/api/v1/customers?after=100",
                    "scheme": f"https://{host}/api/v1/customers?after=100",
                    "dots": f"http://{host}/../api/v1/customers?after=100",
                }.get(how, f"{other.url}/api/v1/customers?after=100")
                if how == "header":
                    return Answer(answer.body, headers={"Link": f'<{link}>; rel="next"'})
                answer.body["pagination"]["next"] = link
                return answer

        served = Leads()
        outcome, _ = synced(served, paginator="header_link" if how == "header" else LINK)
        assert outcome.code == 78
        assert "would be given the token" in outcome.says
        assert "password" not in outcome.says
        assert (len(served.calls), other.seen) == (1, [])


# Runs that go on


def sync(desk, *options):
    return desk.run("sync", "--json", "customers", *options)


@pytest.fixture
def at_desk(desk):
    """Set the desk up for an API, with settings for its customers."""

    def use(api, **customers):
        desk.set(base_url=api.base_url, client_id=api.client_id, client_secret=api.client_secret)
        desk.set(endpoints={"customers": customers}, application_limits="[[100000, 60]]")
        desk.set(organization_limits="[[100000, 60]]")
        return desk

    return use


class Linked(Cursors):
    def counts(self, total, end):
        more = f"{self.path}?limit=20&cursor={self.issue}-{end}"
        return {"next": more if end < total else None, "total": total}


class LinkedByHeader(NoTotal):
    """The last page has no header `Link`."""

    def list(self, call):
        answer = super().list(call)
        after = answer.body.pop("pagination")["nextCursor"]
        more = {"Link": f'<{self.path}?limit=20&cursor={after}>; rel="next"'} if after else {}
        return Answer(answer.body, headers=more)


@pytest.mark.slow
@pytest.mark.parametrize("last", [5, 11])
@pytest.mark.parametrize(
    ("api", "paginator"), [(Cursors, CURSOR), (Linked, LINK), (NoTotal, CURSOR), (LinkedByHeader, "header_link")]
)
def test_a_run_goes_on_at_the_stored_cursor_i3(at_desk, api, paginator, last):
    """Each page is asked for once; and once more where no total is announced. Also if one page is left."""
    with serve(api()) as served:
        desk = at_desk(served, paginator=paginator)
        served.rows = dict(list(served.rows.items())[:230])
        assert sync(desk, "--max-requests", str(last)).code == 75
        first = len(served.calls)
        assert 0 < first <= last
        ran = sync(desk)
        assert ran.json["verdict"] == "complete", ran
        assert len(served.calls) == 12 * (1 if api.totals else 2)
        assert desk.counts()["customers"] == 230


@pytest.mark.slow
def test_a_run_starts_anew_where_the_stored_cursor_is_refused_i3(at_desk):
    with serve(Cursors()) as served:
        desk = at_desk(served, paginator=CURSOR)
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
