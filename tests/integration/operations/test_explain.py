"""`automatum check --explain`: what it proposes makes the sync complete and equal, and it shows no values of rows."""

import json
import random
from datetime import datetime

import pytest
import tomlkit

from automatum.api.session import connect
from automatum.config.settings import resolve_settings
from automatum.core.budget import Budget
from automatum.operations.explain import explain
from automatum_sandbox import AppConfig
from tests.support.clocks import FakeClock
from tests.support.desk import SMALL, api_requests
from tests.support.shapes import lists, records, reports
from tests.support.shapes.cell import Shape, live_through
from tests.support.shapes.memory import MemorySite
from tests.support.shapes.server import serve

SHAPES = [*lists.SHAPES, *records.SHAPES, *reports.SHAPES]
MOST_REQUESTS = 14
"""Of one run, whatever the API answers."""
NOT_PROPOSED = {
    "another path": "a path cannot be seen from a 404",
    "a report at another path": "a path cannot be seen from a 404",
    "the company in another place": "nothing says that account.name is the company",
    "an empty list is a 404": "nothing to see",
    "an empty list is a 204": "nothing to see",
    "an empty list is null": "nothing to see",
    "a report with a line a customer": "the key has all columns, where the test has three",
}
"""Shapes that an answer does not show, and why."""
QUICK = {
    "as documented",
    "the id is _id",
    "records at data.items, total beside them",
    "snake_case names",
    "a report with from and to",
}


def explained(api, shape, **settings):
    """The explanation of a served API."""
    base = {
        "base_url": api.base_url,
        "client_id": api.client_id,
        "client_secret": api.client_secret,
        "quota_url": "memory://",
        "retry_attempts": 2,
        "tables": [api.table],
    }
    clock = FakeClock()
    limits = {"application_limits": [[100_000, 60]], "organization_limits": [[100_000, 60]]}
    session = connect(
        resolve_settings({**base, **limits, **shape.always, **settings}), clock=clock, budget=Budget(clock)
    )
    return explain(session)


def pasted(shape):
    """The settings that are proposed, pasted until nothing more is proposed.

    Each explanation is bounded, and shows no value of a row.
    """
    settings = {}
    with serve(shape.api()) as api:
        values = {value for value in personal_values(api) if len(value) > 6}
        for _ in range(3):
            made = explained(api, shape, **settings)
            assert made.requests <= MOST_REQUESTS, made
            shown = json.dumps(made.as_json())
            assert not {value for value in values if value in shown}
            proposed = tomlkit.parse(made.as_toml()).unwrap().get("sources", {}).get("automatum", {})
            if not proposed:
                return settings, made
            settings |= proposed
    raise AssertionError(made.as_toml())


def personal_values(api):
    """What must not be shown of the rows: addresses, names, accounts, ids."""
    return {
        str(row[name])
        for row in api.rows.values()
        for name in ("id", "email", "companyName", "awsAccountId")
        if name in row
    }


def cells(shapes):
    return [pytest.param(one, id=one.name, marks=[] if one.name in QUICK else [pytest.mark.slow]) for one in shapes]


PROPOSED = [one for one in SHAPES if one.settings and one.name not in NOT_PROPOSED]


@pytest.mark.parametrize("shape", cells(PROPOSED))
def test_the_proposal_is_as_good_as_the_setting_of_the_battery_i1(shape):
    """A sync with the pasted proposal ends as one with the setting that somebody who knows the API would write."""
    settings, made = pasted(shape)
    assert made.exit_code == 0
    with serve(shape.api()) as api:
        cell = live_through(api, MemorySite(api, **{**shape.always, **settings}))
    if not cell.equal or cell.faults:
        with serve(shape.api()) as api:
            known = live_through(api, MemorySite(api, **{**shape.always, **shape.settings}))
        assert not known.equal, (settings, cell)
        assert bool(cell.faults) <= bool(known.faults), (settings, cell)


@pytest.mark.parametrize("shape", cells([one for one in SHAPES if one not in PROPOSED]))
def test_what_cannot_be_proposed_is_bounded_and_shows_no_value_of_a_row(shape):
    pasted(shape)


PAGING = (lists.Offset, lists.FromZero, lists.Twenty, lists.OtherParameters, lists.LinkHeader, lists.Whole)
PLACES = (records.DataItems, records.Items, records.Results, records.TopArray)
FORMS = (records.UnderscoreId, records.NestedId, records.SnakeCase, records.DayFirst, records.Attributes)
DETAILS = (records.BareDetail, records.NestedDetail)
SEED = 20261127


def combined(count=8):
    """APIs that differ in four things at once."""
    draw = random.Random(SEED)
    for _ in range(count):
        parts = tuple(map(draw.choice, (PAGING, PLACES, FORMS, DETAILS)))
        name = ", ".join(part.__name__ for part in parts)
        yield pytest.param(Shape(name, type("Combined", parts, {})), id=name, marks=pytest.mark.slow)


@pytest.mark.parametrize("shape", list(combined()))
def test_an_api_that_differs_in_four_things_is_proposed_for_i1(shape):
    settings, _ = pasted(shape)
    with serve(shape.api()) as api:
        cell = live_through(api, MemorySite(api, **settings))
    assert cell.equal, (settings, cell)


@pytest.mark.parametrize("traps", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_it_proposes_nothing_for_the_sandbox(start, desk, traps):
    """The documented shape, plausible rows and odd ones; no request beside pages, reports and one row of each list."""
    served = start(traps=traps, customers=230, entitlements=120, private_offers=12, days=400)
    desk.use(served)
    made = desk.run("check", "--explain", "--json")
    figures = made.json
    assert made.code == 0, made
    assert [name for name, one in figures["tables"].items() if one["proposed"]] == []
    assert figures["proposed"] == {}
    assert tomlkit.parse(figures["toml"]).unwrap() == {}
    assert figures["requests"] == sum(api_requests(served.sandbox).values()) <= 14
    customers = figures["tables"]["customers"]["found"]
    assert customers["records"] == "data"
    assert customers["paging"] == "page numbers from 1"
    assert set(customers["values_of_vendor"]) >= {"aws", "azure"}


@pytest.mark.slow
def test_a_pasted_proposal_is_read_from_the_configuration(desk):
    """The TOML goes to .dlt/config.toml as it is. Then nothing more is proposed, and the sync is complete."""
    shape = next(one for one in SHAPES if one.name == "records at data.items, total beside them")
    with serve(shape.api()) as api:
        desk.set(base_url=api.base_url, client_id=api.client_id, client_secret=api.client_secret, tables=["customers"])
        made = desk.run("check", "--explain", "--toml")
        assert made.code == 0
        assert "data.items" in made.out
        (desk.folder / ".dlt").mkdir()
        (desk.folder / ".dlt/config.toml").write_text(made.out, encoding="utf-8")
        again = desk.run("check", "--explain", "--json").json
        assert again["tables"]["customers"]["proposed_keys"] == []
        assert again["tables"]["customers"]["found"]["records"] == "data.items"
        synced = desk.sync()
        assert (synced.code, synced.json["tables"]["customers"]["distinct"]) == (0, len(api.rows)), synced


def test_for_people_it_shows_what_was_found_and_the_proposal(desk):
    shape = next(one for one in SHAPES if one.name == "the id is _id")
    with serve(shape.api()) as api:
        desk.set(base_url=api.base_url, client_id=api.client_id, client_secret=api.client_secret, tables=["customers"])
        assert "automatum check --explain" in desk.run("check").out
        made = desk.run("check", "--explain")
        desk.set(endpoints={"customers": {"columns": {"id": "_id"}}})
        assert "Nothing is proposed" in desk.run("check", "--explain").out
    assert made.code == 0
    assert "columns that are null" in made.out
    assert '[sources.automatum.endpoints.customers]\ncolumns = {id = "_id"}' in made.out


def test_what_was_found_before_the_quota_ended_is_shown(start):
    """75, and the tables until then."""
    served = start(**SMALL)
    clock, app = FakeClock(), served.sandbox.apps[0]
    named = {"base_url": served.base_url, "client_id": app.client_id, "client_secret": app.secret}
    settings = resolve_settings({**named, "quota_url": "memory://"})
    made = explain(connect(settings, clock=clock, budget=Budget(clock, 3)))
    assert made.exit_code == 75
    assert [one.table for one in made.tables] == ["customers", "entitlements"]
    assert made.tables[0].facts["records"] == "data"
    assert made.tables[0].error is None


def test_further_parameters_of_the_settings_are_sent():
    """An API that refuses each request for a list without them."""

    class Tenanted(lists.Documented):
        def list(self, call):
            return super().list(call) if call.query.get("tenant") == "7" else lists.Answer({"code": 400}, 400)

    with serve(Tenanted()) as api:
        made = explained(api, Shape("", Tenanted), endpoints={"customers": {"params": {"tenant": 7}}})
        assert made.exit_code == 0
        assert made.tables[0].facts["paging"] == "page numbers from 1"
        assert explained(api, Shape("", Tenanted)).exit_code == 69


def test_the_form_of_the_days_of_a_report_is_tried():
    """I1: with the proposal, the report is complete."""

    class Compact(reports.Report):
        def asked(self, call):
            texts = [call.query[name] for name in ("startDate", "endDate")]
            return [datetime.strptime(text, "%Y%m%d").date() for text in texts]

        def receive(self, call):
            if "startDate" in call.query and "-" in call.query["startDate"]:
                return lists.Answer({"code": 400, "message": "Days are YYYYMMDD"}, 400)
            return super().receive(call)

    shape = Shape("days as YYYYMMDD", Compact)
    settings, _ = pasted(shape)
    assert settings == {"endpoints": {"analytics_revenue": {"date_format": "%Y%m%d"}}}
    with serve(Compact()) as api:
        cell = live_through(api, MemorySite(api, **settings))
    assert cell.equal, cell


def test_an_answer_without_records_is_shown_as_its_shape(desk, start):
    """Names and types, and no values; 78 and the key."""

    class Odd(lists.Documented):
        def list(self, call):
            return lists.Answer({"code": 200, "result": {"c@example.com": 1, "rows": "none", "cust_00001": {"a": 2}}})

    with serve(Odd()) as api:
        desk.set(base_url=api.base_url, client_id=api.client_id, client_secret=api.client_secret, tables=["customers"])
        made = desk.run("check", "--explain")
    assert made.code == 78
    assert "sources.automatum.endpoints.customers.records" in made.says
    assert "result: {<name>: number, rows: text, <name>: object}" in made.says
    assert "example.com" not in made.says


def test_a_scope_that_is_missing_is_said_and_not_asked_for(start, desk):
    served = start(**SMALL, apps=(AppConfig(scopes=("read:customers",)),))
    desk.use(served)
    figures = desk.run("check", "--explain", "--json").json
    assert figures["skipped"]["entitlements"] == "read:entitlements"
    assert set(api_requests(served.sandbox)) <= {"customers"} | {
        one for one in api_requests(served.sandbox) if "customers/" in one
    }
