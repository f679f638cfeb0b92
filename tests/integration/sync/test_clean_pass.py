"""I1, I2: what looks like a whole list and is not: pages that lie, and runs that end at the wrong moment."""

import pytest

from tests.support.shapes.api import Api
from tests.support.shapes.server import serve
from tests.support.syncing import HOUR, Site


class Listed(Api):
    """The documented API; a subclass has its own pages, until it is honest."""

    honest = False

    def list(self, call):
        rows, size, number = self.listed(call), self.size(call), int(call.query["page"])
        page = super(type(self), self).page if self.honest else self.page
        found, named = page(rows, number, size)
        return self.body(found, {"page": named, "limit": size, "total": len(rows)})

    def page(self, rows, number, size):
        """The rows of a page, and the number that the answer names."""
        return rows[(number - 1) * size : number * size], number


class Cached(Listed):
    """A cache answers page 2 with page 1."""

    def page(self, rows, number, size):
        found, _ = super().page(rows, 1 if number == 2 else number, size)
        return found, number


class Redirected(Listed):
    """The same, and the answer says which page it is."""

    def page(self, rows, number, size):
        return super().page(rows, 1 if number == 2 else number, size)


class Tied(Listed):
    """40 rows have one place in the server's order. Page 1 is sorted in one way, and the others in another."""

    def page(self, rows, number, size):
        if number > 1:
            rows = [*rows[:80], *rows[100:120], *rows[80:100], *rows[120:]]
        return super().page(rows, number, size)


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as made:
        yield made


@pytest.fixture
def show(site):
    """Serve an API of one's own to the site."""
    opened = []

    def use(api):
        opened.append(serve(api))
        site.served = opened[-1].__enter__()
        return api

    yield use
    for one in opened:
        one.__exit__(None, None, None)


# Lying pages


@pytest.mark.slow
@pytest.mark.parametrize(("lie", "missing"), [(Cached, 100), (Redirected, 100), (Tied, 20)])
def test_rows_that_are_repeated_in_place_of_others_are_never_proof_i1(site, show, lie, missing):
    """S1: however often the list is read, and however alike the readings are. Once the lie ends, all is there."""
    api = show(lie())
    for _ in range(3):
        made = site.sync("customers")
        assert (made.code, made.tables["customers"]["verdict"]) == (65, "incomplete")
        assert f"{missing} rows repeated in place of others" in made.tables["customers"]["reason"]
    assert len(site.live("customers")) == len(api.rows) - missing
    api.honest = True
    assert site.sync("customers").code == 0
    assert site.live("customers") == set(api.rows)


@pytest.mark.slow
def test_rows_that_repeat_others_never_delete_live_rows_that_have_no_urls_i2(site, show):
    """S2: the whole list is here; then ties hide 20 rows, sync after sync, and a few that are gone are gone."""
    site.settings["endpoints"] = {"customers": {"detail_path": "none"}}
    api = show(Tied())
    api.honest = True
    assert site.sync("customers").code == 0
    api.honest = False
    for _ in range(4):
        assert site.sync("customers").code == 65
        assert site.dead("customers") == set()
        site.clock.advance(2 * HOUR)
    api.honest = True
    del api.rows["cust_00003"]
    assert [site.sync("customers").code for _ in range(2)] == [0, 0]
    assert (site.dead("customers"), site.live("customers")) == ({"cust_00003"}, set(api.rows))


@pytest.mark.slow
def test_two_rows_with_one_key_are_not_one_row_because_the_total_counts_them_so_i1(site, show):
    """S3: the total is `count(distinct id)`, and two different rows have one id."""

    class Counts(Listed):
        def page(self, rows, number, size):
            return super().page([*rows[:60], {**rows[5], "companyName": "Another"}, *rows[60:-1]], number, size)

    show(Counts())
    for _ in range(2):
        made = site.sync("customers")
        assert made.tables["customers"]["verdict"] == "incomplete"
        assert "share a key: set sources.automatum.endpoints.customers.key" in made.tables["customers"]["reason"]


@pytest.mark.slow
def test_rows_behind_the_announced_total_are_listed_or_the_list_is_incomplete_i1(site, show):
    """S10: the total counts active rows only. The page behind a full last page has the others."""

    class Active(Listed):
        def list(self, call):
            answer = super().list(call)
            answer.body["pagination"]["total"] = 200
            return answer

    api = show(Active())
    made = site.sync("customers")
    assert (made.code, made.tables["customers"]["verdict"]) == (65, "incomplete")
    assert site.live("customers") == set(api.rows), "and what was listed is here"
    site.settings["endpoints"] = {"customers": {"total": ""}}
    assert site.sync("customers").code == 0


# Runs that end


@pytest.mark.slow
@pytest.mark.parametrize("later", [0, 48 * HOUR], ids=["at once", "two days later"])
def test_a_run_that_ends_before_the_missing_rows_are_asked_for_concludes_nothing_from_its_pages_i1(site, later):
    """S5: what came, went and changed meanwhile is in the verdict of the run that gives it."""
    sandbox = site.serve(customers=350)
    site.sync("customers")
    ids = sandbox.rows.ids("customers")
    sandbox.rows.delete("customers", ids[10:30])
    first = site.sync("customers", max_requests=4)  # all pages
    assert (first.code, first.pages, first.details) == (75, [1, 2, 3, 4], [])
    site.clock.advance(later)
    sandbox.rows.delete("customers", ids[40:55])
    new = sandbox.rows.insert("customers", count=50)
    for id_ in ids[100:170]:
        sandbox.rows.change("customers", id_, {"companyName": "Later"}, touch=False)
    made = site.sync("customers")
    assert made.pages, "a run that has read no page says nothing about the list"
    if later:
        assert made.pages[:4] == [1, 2, 3, 4]
    if made.tables["customers"]["verdict"] == "complete":
        assert site.live("customers") == set(sandbox.rows.ids("customers"))
        stale = "SELECT count(*) FROM customers WHERE company_name <> 'Later' AND list_contains(?, id)"
        assert site.query(stale, ids[100:170]) == [(0,)]
    else:
        assert site.dead("customers").isdisjoint(sandbox.rows.ids("customers"))
    assert site.sync("customers").code == 0
    assert site.live("customers") == set(sandbox.rows.ids("customers")) >= set(new)


@pytest.mark.slow
@pytest.mark.parametrize("later", [60.0, 48 * HOUR], ids=["at once", "two days later"])
def test_a_run_that_ends_in_the_middle_goes_on_while_its_pages_are_true_i1_i3(site, later):
    """S5, I3: at once, one page is read again. Two days later its rows are of another day: the list is read anew."""
    sandbox = site.serve(customers=350)
    assert site.sync("customers", max_requests=2).code == 75
    site.clock.advance(later)
    if later > HOUR:
        ids = sandbox.rows.ids("customers")
        sandbox.rows.delete("customers", ids[5])
        sandbox.rows.insert("customers")
        sandbox.rows.change("customers", ids[0], {"companyName": "Later"}, touch=False)
    made = site.sync("customers")
    assert (made.code, made.pages) == (0, [1, 2, 3, 4] if later > HOUR else [2, 3, 4])
    assert site.live("customers") == set(sandbox.rows.ids("customers"))
    assert site.query("SELECT count(*) FROM customers WHERE company_name = 'Later'") == [(int(later > HOUR),)]


@pytest.mark.slow
@pytest.mark.parametrize("later", [60.0, 48 * HOUR], ids=["at once", "two days later"])
def test_a_table_that_an_earlier_run_has_finished_counts_for_an_hour_i1_i3(site, later):
    """S5: a verdict speaks of now. The run that goes on with the other tables reads it again two days later."""
    sandbox = site.serve(customers=50, entitlements=250)
    first = site.sync("customers", "entitlements", max_requests=2)
    assert (first.code, first.tables["customers"]["verdict"]) == (75, "complete")
    site.clock.advance(later)
    new = sandbox.rows.insert("customers")
    made = site.sync("customers", "entitlements")
    assert (made.code, made.tables["customers"]["requests"]) == (0, int(later > HOUR))
    assert (set(new) <= site.live("customers")) == (later > HOUR)


# Rows that are gone, or are said to be


@pytest.mark.slow
def test_the_few_live_rows_among_many_that_are_gone_are_found_i2(site):
    """S7: 100 of 1,000 leave the list, three of them archived and alive at their URLs. A sample missed them."""
    sandbox = site.serve(customers=1000)
    site.sync("customers")
    ids = sandbox.rows.ids("customers")
    archived, gone = ids[333:336], [*ids[300:333], *ids[336:400]]
    sandbox.rows.delete("customers", gone)
    for id_ in archived:
        sandbox.organizations[sandbox.organization_id].tables["customers"]._ids.remove(id_)
    for _ in range(2):
        assert site.sync("customers").code == 0
        assert site.dead("customers") == set(gone)


@pytest.mark.slow
def test_two_empty_answers_do_not_empty_a_small_table_without_urls_i2(site, show):
    """S12: however few its rows are."""
    site.settings["endpoints"] = {"customers": {"detail_path": "none"}}
    api = show(Api())
    api.rows = dict(list(api.rows.items())[:8])
    assert site.sync("customers").code == 0
    kept, api.rows = api.rows, {}
    for _ in range(3):
        made = site.sync("customers")
        assert (made.code, site.dead("customers")) == (65, set())
        assert "8 of 8 rows are not listed any more" in made.tables["customers"]["reason"]
        site.clock.advance(2 * HOUR)
    api.rows = kept
    assert site.sync("customers").code == 0
    api.rows = {}
    assert (site.sync("customers", allow_deletes=True).code, site.dead("customers")) == (0, set(kept))


def test_runs_that_are_too_small_and_too_rare_load_the_whole_list_all_the_same_i1(site):
    """Each run may send one request, every three hours. Nothing is concluded; a run that may read on begins anew."""
    site.serve(customers=250)
    for _ in range(3):
        made = site.sync("customers", max_requests=1)
        assert made.code == 75, made.summary.to_json()
        site.clock.advance(3 * HOUR)
    # The last page of the run before is read again, so one request brings nothing new.
    for _ in range(4):
        site.sync("customers", max_requests=2)
        site.clock.advance(3 * HOUR)
    assert len(site.live("customers")) == 250
    made = site.sync("customers")
    assert (made.code, made.summary.results[0][1].verdict) == (0, "complete")
