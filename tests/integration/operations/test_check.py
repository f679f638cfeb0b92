"""`automatum check`: what is missing, all at once, for at most one request a table."""

import pytest

from automatum_sandbox import AppConfig
from tests.support.desk import SMALL, VOLUME, api_requests
from tests.support.loopback import Loopback, Say, closed_port, token

ONE_EACH = {"customers": 1, "entitlements": 1, "private-offers": 1, "analytics/revenue": 1}


def test_all_is_well(large, desk):
    """I3: one request a table and one token, however long the lists are."""
    made = desk.run("check", "--json")
    figures = made.json
    assert (made.code, figures["ok"], figures["errors"]) == (0, True, [])
    assert api_requests(large) == ONE_EACH
    assert len(large.requests.to("/oauth/token")) == figures["token_requests"] == 1
    assert figures["requests"] == 4
    assert {name: one["announced"] for name, one in figures["tables"].items()} == {
        **{name: VOLUME[name] for name in ("customers", "entitlements", "private_offers")},
        "analytics_revenue": None,
    }
    assert figures["can_push"] is True
    assert len(figures["windows"]) >= 2
    assert not [one for one in desk.folder.glob("*.duckdb*") if one.suffix != ".lock"]


def test_scopes_that_nothing_uses_are_named(start, desk):
    """The page asks to request only the scopes that are needed (`api/authentication`)."""
    scopes = ("read:customers", "read:analytics", "write:customers", "write:metering")
    desk.use(start(**SMALL, apps=(AppConfig(scopes=scopes),)))
    desk.set(tables=["customers"])
    made = desk.run("check", "--json")
    assert made.code == 0
    assert made.json["excess_scopes"] == ["read:analytics", "write:customers", "write:metering"]
    desk.set(tables=["customers", "analytics"], ledger_url=f"sqlite:///{desk.folder}/ledger.sqlite")
    assert desk.run("check", "--json").json["excess_scopes"] == ["write:customers"]
    assert "automatum apps update ID --scope" in desk.run("check").says


@pytest.mark.parametrize(
    ("scopes", "named", "code"),
    [
        (("read:customers",), (), 0),
        (("read:customers",), ("customers", "analytics", "entitlements"), 77),
        (("write:metering",), (), 77),
        ((), ("private_offers", "customers"), 77),
    ],
)
def test_all_missing_scopes_are_told_at_once(start, desk, scopes, named, code):
    """77 if a table that was asked for is not granted, or nothing is; one error names them all; none is asked for."""
    served = start(**SMALL, apps=(AppConfig(scopes=scopes),))
    desk.use(served)
    if named:
        desk.set(tables=list(named))
    made = desk.run("check", "--json")
    figures = made.json
    assert made.code == code, made
    assert figures["ok"] is (code == 0)
    needs = {
        "customers": "read:customers",
        "entitlements": "read:entitlements",
        "private_offers": "read:private-offers",
        "analytics": "read:analytics",
    }
    asked = {name: needs[name] for name in (named or needs)}
    missing = {scope for scope in asked.values() if scope not in scopes}
    states = {one["scope"]: one["state"] for one in figures["tables"].values()}
    assert states == {scope: "no scope" if scope in missing else "ok" for scope in asked.values()}
    if code:
        (error,) = figures["errors"]
        assert missing <= set(error["message"].replace(",", " ").split())
        assert "Settings > Integrations > API Access" in error["next_step"]
    assert api_requests(served.sandbox) == ({"customers": 1} if "read:customers" in scopes else {})
    assert figures["can_push"] is ("write:metering" in scopes)


def test_a_fault_of_one_table_does_not_hide_the_others(small, desk):
    """Each table's own answer, and what to do; 78 for a list that is not there."""
    small.faults.add("status", "/api/v1/entitlements", status=404, count=None)
    made = desk.run("check", "--json")
    figures = made.json
    assert made.code == 78
    assert {name: one["state"] for name, one in figures["tables"].items()} == {
        "customers": "ok",
        "entitlements": "failed",
        "private_offers": "ok",
        "analytics_revenue": "ok",
    }
    assert "404" in figures["tables"]["entitlements"]["problem"]
    assert "path" in figures["tables"]["entitlements"]["next_step"]
    assert api_requests(small) == ONE_EACH
    assert "Traceback" not in made.err


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"client_secret": "secret_0123456789abcdefghij"}, 77),
        ({"base_url": None}, 78),
        ({"client_id": None}, 78),
        ({"tables": ["nope"]}, 78),
    ],
)
def test_faults_that_end_it_before_a_table(small, desk, settings, code):
    """One JSON object, no traceback, no request to a table."""
    if "base_url" in settings:
        settings = {"base_url": "http://api.automatum.io"}
    desk.set(**settings)
    made = desk.run("check", "--json")
    assert made.code == code, made
    assert made.json["errors"][0]["exit_code"] == code
    assert made.json["errors"][0]["next_step"]
    assert "Traceback" not in made.err
    assert api_requests(small) == {}


def test_an_unreachable_host(desk):
    desk.set(
        client_id="app_1",
        client_secret="secret_1234567890",
        base_url=f"http://127.0.0.1:{closed_port()}",
    )
    desk.attempts(1)
    assert desk.run("check", "--json").code == 69


def test_for_people_it_says_the_same(small, desk):
    """Without --json: each table, its state, the scopes."""
    made = desk.run("check")
    assert made.code == 0
    for word in ("customers", "entitlements", "private_offers", "analytics_revenue", "ok", "read:customers"):
        assert word in made.out


@pytest.mark.parametrize(
    ("records", "sign"),
    [
        ([{"_id": "c1"}, {"_id": "c2"}], "None of the 2 records has the key id (keys columns, key)."),
        ([{"id": f"c{n}"} for n in range(5)], "Null in every record: organization_id, vendor,"),
        ([{"id": "c1", "plan": {"tier": "x"}, "score": 3}], "Without a column, in extra: plan, score (key columns)."),
        ([{"id": "c1", **{f"f{n:02}": n for n in range(13)}}], "f08, f09 and 3 more (key columns)."),
    ],
)
def test_what_is_found_where_it_is_not_expected_is_named(desk, records, sign):
    """I8. One request; nothing is proposed."""
    with Loopback() as api:
        api.say("/oauth/token", token(scope="read:customers"))
        pagination = {"page": 1, "limit": 100, "total": len(records), "pages": 1}
        api.say("/api/v1/customers", Say(200, {"code": 200, "data": records, "pagination": pagination}))
        desk.set(base_url=api.url, client_id="app_1", client_secret="secret_signs_1", quota_url="memory://")
        made = desk.run("check", "--json")
        assert len(api.to("/api/v1/customers")) == 1
    assert made.code == 0, made
    assert any(sign in one for one in made.json["tables"]["customers"]["signs"]), made.json["tables"]


def test_an_api_as_documented_shows_no_sign(start, desk):
    desk.use(start(**{**SMALL, "traps": False}))
    made = desk.run("check", "--json").json
    assert [one["signs"] for one in made["tables"].values()] == [[], [], [], []]


@pytest.mark.parametrize("at", ["/oauth/token", "/api/v1/customers"])
def test_a_check_does_not_wait_for_hours(desk, at):
    """An absurd Retry-After ends it at once, with what it would wait for, and until when."""
    with Loopback() as api:
        api.say("/oauth/token", token(scope="read:customers"))
        api.say(at, Say(429, {"code": 429, "message": "slow down"}, {"Retry-After": "999999999999"}))
        desk.set(base_url=api.url, client_id="app_1", client_secret="secret_wait_1", quota_url="memory://")
        made = desk.run("check", "--json")
    assert made.code == 75, made
    (error,) = made.json["errors"]
    assert "slow down" in error["message"] and error["resume_at"] and "may wait 90 s" in error["message"]
