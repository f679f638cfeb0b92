"""A whole sync over real sockets: what it asks, what it loads, and how it ends when something is wrong."""

import math
import signal
import socket
import time

import pytest

from automatum_sandbox import AppConfig, SandboxConfig, serve
from tests.support.desk import SMALL, VOLUME, api_requests, await_
from tests.support.expected import differences, expected_lists
from tests.support.loopback import closed_port

LISTS = {"customers": "customers", "entitlements": "entitlements", "private_offers": "private-offers"}
ALL_READ = ("read:customers", "read:entitlements", "read:private-offers", "read:analytics")


REREAD = 2 * 36
"""Records of a report that the second sync reads: today and the `lookback_days`, two marketplaces."""
REPORT = (14, 4)
"""Requests for a report of a year, in windows of 90 days: each twice, and proofs. The second sync needs one window."""


def quick_retries(desk):
    """Give a failing request up after two attempts."""
    desk.attempts(2)


# The main job


def test_each_page_is_asked_for_once_and_the_second_sync_changes_nothing(large, desk):
    """I3: ceil(n / 100) requests a list, one token, by the API's own log, and no more for a report than its windows
    need twice; I1: an unchanged API leaves every value as it is, `_synced_at` included."""
    needed = {path: math.ceil(VOLUME[table] / 100) for table, path in LISTS.items()}
    dumps = []
    for turn in range(2):
        large.requests.clear()
        made = desk.sync()
        assert made.code == 0, made
        figures = made.json
        asked = api_requests(large)
        report = asked.pop("analytics/revenue")
        assert asked == needed
        assert report <= REPORT[turn]
        assert len(large.requests.to("/oauth/token")) == figures["token_requests"] == 1
        assert figures["verdict"] == "complete"
        assert figures["requests"] == sum(needed.values()) + report == len(large.requests.to("/api/v1/"))
        assert {entry.query.get("limit") for entry in large.requests.to("/api/v1/") if entry.page} <= {"100", None}
        assert figures["skipped"] == {}
        rows = {table: VOLUME[table] for table in LISTS}
        rows["analytics"] = REREAD if turn else 2 * VOLUME["days"]
        for table, count in rows.items():
            one = figures["tables"][table]
            assert one["verdict"] == "complete"
            assert one["requests"] == one["pages"] == needed.get(LISTS.get(table), report)
            assert one["announced"] == (None if table == "analytics" else count)
            assert one["distinct"] == count
            counted = (one["inserted"], one["updated"], one["deleted"], one["unchanged"])
            assert counted == ((0, 0, 0, count) if turn else (count, 0, 0, 0))
        dumps.append(desk.dump())
    assert dumps[0] == dumps[1]


@pytest.mark.slow
def test_the_servers_order_does_not_matter(start, desk):
    """I1: the vendor promises no order."""
    orders = {"customers": "created_desc", "entitlements": "updated_desc", "private_offers": "random"}
    served = start(customers=230, entitlements=120, private_offers=110, days=0, orders=orders)
    desk.use(served)
    assert desk.sync().code == 0
    assert differences(desk, expected_lists(served.sandbox)) == []


@pytest.mark.slow
def test_an_empty_organization_is_complete(start, desk):
    """I1: nothing listed is not something failed."""
    served = start(customers=0, entitlements=0, private_offers=0, days=0)
    desk.use(served)
    made = desk.sync()
    assert (made.code, made.json["verdict"]) == (0, "complete")
    assert all(one["distinct"] == one["inserted"] == 0 for one in made.json["tables"].values())


@pytest.mark.slow
def test_the_second_sync_loads_what_changed_and_nothing_else(large, desk):
    """I1: changes, insertions, a shrunk and an emptied child list, and a row whose `updatedAt` did not move."""
    assert desk.sync().code == 0
    before = {table: dict(desk.query(f"SELECT id, _synced_at::VARCHAR FROM {table}")) for table in LISTS}
    customers = large.rows.ids("customers")
    large.rows.change("customers", customers[3], {"status": "renamed", "companyName": "Ünï"})
    large.rows.change("customers", customers[211], {"email": "moved@example.com"}, touch=False)
    new = large.rows.insert("customers", count=2)
    rich = [one for one in large.rows.all("entitlements") if len(one["dimensions"]) >= 3][:3]
    large.rows.change("entitlements", rich[0]["id"], {"dimensions": rich[0]["dimensions"][:1]})
    large.rows.change("entitlements", rich[1]["id"], {"dimensions": []})
    large.rows.change("entitlements", rich[2]["id"], {"dimensions": rich[2]["dimensions"][::-1]}, touch=False)
    scheduled = next(one for one in large.rows.all("private_offers") if len(one["pricing"]["paymentSchedule"]) >= 2)
    large.rows.put("private_offers", {**scheduled, "pricing": {**scheduled["pricing"], "paymentSchedule": []}})
    (day, vendor) = desk.query("SELECT date::VARCHAR, vendor FROM analytics_revenue ORDER BY date DESC LIMIT 1")[0]
    large.rows.restate(day, vendor, {"revenue": "1.23"})

    figures = desk.sync().json["tables"]
    counted = {table: (one["inserted"], one["updated"], one["deleted"]) for table, one in figures.items()}
    assert counted == {
        "customers": (2, 2, 0),
        "entitlements": (0, 3, 0),
        "private_offers": (0, 1, 0),
        "analytics": (0, 1, 0),
    }
    assert differences(desk, expected_lists(large)) == []
    assert desk.query("SELECT revenue::VARCHAR FROM analytics_revenue WHERE date = ? AND vendor = ?", day, vendor) == [
        ("1.230000000",)
    ]
    changed = {
        "customers": {customers[3], customers[211], *new},
        "entitlements": {one["id"] for one in rich},
        "private_offers": {scheduled["id"]},
    }
    for table, ids in changed.items():
        now = dict(desk.query(f"SELECT id, _synced_at::VARCHAR FROM {table}"))
        assert {id_ for id_ in now if now[id_] != before[table].get(id_)} == ids


@pytest.mark.slow
def test_a_list_that_was_emptied_can_be_filled_again(small, desk):
    """I1: children follow their parent both ways."""
    id_ = next(one["id"] for one in small.rows.all("entitlements") if one["dimensions"])
    full = small.rows.get("entitlements", id_)["dimensions"]
    for dimensions in ([], full, full * 2, full[:1]):
        small.rows.change("entitlements", id_, {"dimensions": dimensions}, touch=False)
        assert desk.sync("entitlements").code == 0
        wanted = expected_lists(small)
        assert differences(desk, {name: wanted[name] for name in ("entitlements", "entitlement_dimensions")}) == []


@pytest.mark.slow
def test_named_tables_alone_are_synced(small, desk):
    """I3: what was not asked for costs no request."""
    made = desk.sync("private_offers", "customers")
    assert (made.code, set(made.json["tables"])) == (0, {"customers", "private_offers"})
    assert api_requests(small) == {"customers": 1, "private-offers": 1}
    assert set(desk.tables()) == {"customers", "private_offers", "private_offer_payments"}


@pytest.mark.slow
def test_reports_are_read_from_the_day_that_was_set(start, desk):
    """I3: days before it are asked for only to prove that its answer was not cut, and are not loaded."""
    served = start(**{**SMALL, "days": 30})
    desk.use(served)
    days = desk.sync("analytics").json["tables"]["analytics"]["distinct"]
    assert days == 60
    last = max(entry.query["endDate"] for entry in served.sandbox.requests.to("/api/v1/analytics/revenue"))
    desk.set(since=last)
    served.sandbox.requests.clear()
    assert desk.sync("analytics", "--database", "other.duckdb").json["tables"]["analytics"]["inserted"] == 2


# Bad input


def assert_nothing_happened(desk, made):
    """No traceback, one JSON object that says the same as stderr, no database."""
    assert "Traceback" not in made.out + made.err
    assert made.json["errors"]
    assert made.json["errors"][0]["exit_code"] == made.code
    assert made.json["errors"][0]["message"] in made.says
    assert not [one for one in desk.folder.glob("*.duckdb*") if one.suffix != ".lock"]


def test_a_wrong_secret_is_the_vendors_word_and_ours(small, desk):
    """77, what the API said, what to do; I1: nothing half-written."""
    desk.set(client_secret="secret_0123456789abcdefghij")
    made = desk.sync()
    assert made.code == 77
    assert "Invalid client credentials" in made.err
    assert "Settings > Integrations > API Access" in " ".join(made.err.split())
    assert_nothing_happened(desk, made)
    assert api_requests(small) == {}
    assert len(small.requests.to("/oauth/token")) == 1


@pytest.mark.slow
def test_a_wrong_secret_leaves_a_database_as_it_is(small, desk):
    """I1: an earlier sync's tables survive."""
    assert desk.sync().code == 0
    before = desk.dump()
    desk.set(client_secret="secret_0123456789abcdefghij")
    assert desk.sync().code == 77
    assert desk.dump() == before


@pytest.mark.slow
@pytest.mark.parametrize("by", ["nothing", "argument", "configuration"])
def test_a_scope_that_is_missing(start, desk, by):
    """I8: least privilege is no error unless the table was asked for; the others sync either way."""
    served = start(**SMALL, apps=(AppConfig(scopes=("read:customers", "read:private-offers")),))
    desk.use(served)
    asked = ["customers", "analytics"]
    if by == "configuration":
        desk.set(tables=asked)
    made = desk.sync(*asked) if by == "argument" else desk.sync()
    figures = made.json
    assert "Traceback" not in made.err
    if by == "nothing":
        assert (made.code, figures["verdict"], set(figures["tables"])) == (
            0,
            "complete",
            {"customers", "private_offers"},
        )
        assert set(figures["skipped"]) == {"entitlements", "analytics"}
        assert "read:entitlements" in figures["skipped"]["entitlements"]
        assert "read:analytics" in figures["skipped"]["analytics"]
        assert api_requests(served.sandbox) == {"customers": 1, "private-offers": 1}
    else:
        assert made.code == 77
        assert set(figures["tables"]) == {"customers"}
        assert set(figures["skipped"]) == {"analytics"}
        assert "read:analytics" in made.err
        assert "read:entitlements" not in made.err
        assert api_requests(served.sandbox) == {"customers": 1}
    assert desk.counts()["customers"] == SMALL["customers"]


def test_no_scope_at_all(start, desk):
    """77, as `check` says: an application that may read nothing is a fault, not the least privilege."""
    served = start(**SMALL, apps=(AppConfig(scopes=("write:metering",)),))
    desk.use(served)
    made = desk.sync()
    assert api_requests(served.sandbox) == {}
    assert set(made.json["skipped"]) == {"customers", "entitlements", "private_offers", "analytics"}
    assert made.code == 77
    assert "read:customers" in made.err


@pytest.mark.slow
@pytest.mark.parametrize("host", ["refuses", "is silent"])
def test_an_unreachable_host_is_given_up_at_the_deadline(desk, host):
    """69 within the deadline; nothing half-written."""
    desk.set(client_id="app_1", client_secret="secret_1234567890", request_timeout=0.25)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = closed_port() if host == "refuses" else silent.getsockname()[1]
        desk.set(base_url=f"http://127.0.0.1:{port}")
        began = time.monotonic()
        made = desk.sync()
        assert time.monotonic() - began < 3
    assert made.code == 69
    assert f"127.0.0.1:{port}" in made.says
    assert_nothing_happened(desk, made)


BAD = {
    "client_id": ["", None],
    "client_secret": ["", None],
    "base_url": [
        "http://api.automatum.io",
        "http://10.0.0.1:8080",
        "api.automatum.io",
        "ftp://x",
        "https://a/api/v1",
    ],
    "application_limits": ["[]", "[[50]]", "[[0, 60]]", "[[50, 0]]", "fifty", '[["many", 60]]', "[[50, 60, 70]]"],
    "tables": ['["nope"]', '["customers", "Customers"]'],
    "since": ["yesterday", "2026-13-01", "01.02.2026"],
    "endpoints": ['{"nope": {}}', '{"customers": {"pth": "x"}}', "[]x"],
    "reports": ['[{"path": "x"}]', '[{"name": "No Name"}]', '["usage"]'],
    "request_timeout": ["0", "-1", "soon", "nan"],
    "deletes": ["perhaps"],
    "history": ["perhaps"],
    "lookback_days": ["-1", "x"],
    "report_window_days": ["0", "x"],
}


@pytest.fixture(scope="module")
def untouched():
    """A sandbox that no test of a wrong setting may send a request to."""
    with serve(SandboxConfig(**SMALL, traps=True, limits=None)) as served:
        yield served


@pytest.mark.slow
@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in BAD.items() for value in values])
def test_a_setting_that_makes_no_sense_is_named(untouched, desk, key, value):
    """78, the key's name, no request, nothing half-written."""
    desk.use(untouched)
    desk.set(**{key: value})
    made = desk.sync()
    assert made.code == 78, made
    assert f"sources.automatum.{key}" in made.err
    assert_nothing_happened(desk, made)
    assert untouched.sandbox.requests.to("/api/v1/") == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nope"], "nope"),
        (["customers", "offers"], "offers"),
        (["--dataset", "marketplace"], "marketplace"),
        (["--dataset", "Market Place", "--database", "market_place.db"], "Market Place"),
        (["--database", "no/such/folder.duckdb"], "no/such"),
        (["--destination", "no_such_destination"], "no_such_destination"),
    ],
)
def test_an_argument_that_makes_no_sense_is_named(untouched, desk, arguments, named):
    """78, the argument, no request to a table, nothing half-written."""
    desk.use(untouched)
    made = desk.sync(*arguments)
    assert made.code == 78, made
    assert named in made.err
    assert_nothing_happened(desk, made)
    assert untouched.sandbox.requests.to("/api/v1/") == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["AUTOMATUM_CLIENT_ID", "SOURCES__AUTOMATUM__CLIENT_ID"])
def test_the_vendors_names_of_the_credentials_work_too(small, desk, monkeypatch, name):
    """Either name is enough."""
    values = {"CLIENT_ID": small.client_id, "CLIENT_SECRET": small.client_secret}
    desk.set(client_id=None, client_secret=None)
    for key, value in values.items():
        monkeypatch.setenv(name.removesuffix("CLIENT_ID") + key, value)
    assert desk.sync("customers").code == 0


# Failures at the API


@pytest.mark.slow
def test_a_list_that_is_not_there_is_a_wrong_configuration(small, desk):
    """I8: 78 names the override; the other tables sync."""
    small.faults.add("status", "/api/v1/entitlements", status=404, count=None)
    made = desk.sync()
    assert made.code == 78
    assert "sources.automatum.endpoints.entitlements.path" in made.err
    assert "/api/v1/entitlements" in made.err
    assert made.json["tables"]["entitlements"]["verdict"] == "incomplete"
    counts = desk.counts()
    assert (counts["customers"], counts["private_offers"]) == (SMALL["customers"], SMALL["private_offers"])
    assert "entitlements" not in counts
    assert len(small.requests.to("/api/v1/entitlements")) == 1


@pytest.mark.slow
def test_a_report_that_is_not_there_is_skipped(small, desk):
    """I8: the rest go on, exit 0."""
    small.faults.add("status", "/api/v1/analytics", status=404, count=None)
    made = desk.sync()
    assert (made.code, made.json["verdict"]) == (0, "complete")
    assert set(made.json["skipped"]) == {"analytics"}
    assert "404" in made.json["skipped"]["analytics"]
    assert desk.counts()["customers"] == SMALL["customers"]


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["scope", "report 404", "list 404", "list fails"])
def test_a_table_that_stays_away_does_not_keep_the_others_from_being_read(start, desk, trouble):
    """I1: the others are read anew by each sync; only a run that was cut short is gone on with."""
    scopes = ALL_READ[:-1] if trouble == "scope" else ALL_READ
    served = start(**SMALL, apps=(AppConfig(scopes=scopes),))
    desk.use(served)
    desk.attempts(1)
    path = "/api/v1/analytics" if trouble == "report 404" else "/api/v1/entitlements"
    if trouble != "scope":
        served.sandbox.faults.add("status", path, status=500 if trouble == "list fails" else 404, count=None)
    codes = [desk.sync().code]
    served.sandbox.requests.clear()
    served.sandbox.rows.insert("customers")
    codes.append(desk.sync().code)
    assert codes == [{"list 404": 78, "list fails": 69}.get(trouble, 0)] * 2
    assert api_requests(served.sandbox)["customers"] == 1
    assert differences(desk, {"customers": expected_lists(served.sandbox)["customers"]}) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["status", "truncate"])
def test_an_error_in_the_middle_of_a_table_stops_that_table_alone(large, desk, kind):
    """I1: 69, the others sync; what was read is kept; the next sync completes, and the contents are right."""
    quick_retries(desk)
    large.faults.add(kind, "/api/v1/entitlements", page=3, status=500, count=None)
    made = desk.sync()
    figures = made.json
    assert made.code == 69, made
    assert "/api/v1/entitlements" in made.err
    assert "Traceback" not in made.err
    assert figures["verdict"] == figures["tables"]["entitlements"]["verdict"] == "incomplete"
    assert {figures["tables"][name]["verdict"] for name in ("customers", "private_offers", "analytics")} == {"complete"}
    counts = desk.counts()
    assert (counts["customers"], counts["private_offers"]) == (VOLUME["customers"], VOLUME["private_offers"])
    assert counts["entitlements"] == 200
    assert desk.query("SELECT count(*) FROM entitlements WHERE _deleted_at IS NOT NULL") == [(0,)]
    large.faults.clear()
    assert desk.sync().code == 0
    assert differences(desk, expected_lists(large)) == []


@pytest.mark.slow
def test_faults_that_pass_are_not_seen(start, desk):
    """I1: each page fails once in another way, and is asked for once more; each retry counts as the request it is."""
    kinds = ["status", "truncate", "html", "code", "reset", "revoke", "empty_page", "short_page", "lost_answer"]
    served = start(customers=100 * len(kinds) + 1, entitlements=0, private_offers=0, days=0)
    desk.use(served)
    for page, kind in enumerate(kinds, 1):
        served.sandbox.faults.add(kind, "/api/v1/customers", page=page, status=503)
    made = desk.sync("customers")
    assert made.code == 0, made
    assert differences(desk, {"customers": expected_lists(served.sandbox)["customers"]}) == []
    assert made.json["requests"] == len(served.sandbox.requests.to("/api/v1/")) == 2 * len(kinds) + 1
    assert made.json["token_requests"] == len(served.sandbox.requests.to("/oauth/token")) == 2


@pytest.mark.slow
def test_a_token_that_expires_during_a_sync_is_replaced(start, desk):
    """I3: pages that were read are not asked for again."""
    served = start(customers=350, entitlements=0, private_offers=0, days=0)
    desk.use(served)
    served.sandbox.schedule.after(2, lambda: served.sandbox.tokens.revoke(), path="/api/v1/customers")
    made = desk.sync("customers")
    assert made.code == 0
    assert [entry.status for entry in served.sandbox.requests.to("/api/v1/customers")] == [200, 200, 401, 200, 200]


@pytest.mark.slow
def test_the_server_being_throttled_is_waited_for(start, desk):
    """I4 has our own quota; here the organization's other applications have used it up."""
    served = start(**SMALL)
    desk.use(served)
    served.sandbox.faults.add("status", "/api/v1/customers", status=429, headers={"Retry-After": "0.2"})
    made = desk.sync("customers")
    assert made.code == 0, made
    assert [entry.status for entry in served.sandbox.requests.to("/api/v1/customers")] == [429, 200]


@pytest.mark.slow
@pytest.mark.parametrize("change", ["insert", "delete", "change"])
def test_rows_that_move_while_they_are_read(start, desk, change):
    """I1: what was listed throughout is there; deletions between pages pull no row out of sight."""
    served = start(customers=350, entitlements=0, private_offers=0, days=0, order="updated_desc")
    desk.use(served)
    sandbox = served.sandbox
    ids = sandbox.rows.ids("customers")
    actions = {
        "insert": lambda: sandbox.rows.insert("customers", count=3),
        "delete": lambda: sandbox.rows.delete("customers", ids[:5]),
        "change": lambda: sandbox.rows.change("customers", ids[300], {"status": "touched"}),
    }
    sandbox.schedule.after(2, actions[change], path="/api/v1/customers")
    made = desk.sync("customers")
    assert made.code == 0, made
    rows = {row["id"] for row in sandbox.rows.all("customers")} & set(ids)
    held = {id_ for (id_,) in desk.query("SELECT id FROM customers")}
    assert rows <= held
    # The next sync agrees with the API whatever happened.
    assert desk.sync("customers").code in (0, 75)
    assert rows <= {id_ for (id_,) in desk.query("SELECT id FROM customers WHERE _deleted_at IS NULL")}


# Bounds


@pytest.mark.slow
@pytest.mark.parametrize("bound", [3, 4, 7])
def test_a_run_never_sends_more_requests_than_it_may(large, desk, bound):
    """I3: exit 75, what was read is loaded, and later syncs complete it."""
    made = desk.sync("--max-requests", bound)
    figures = made.json
    assert (made.code, figures["verdict"]) == (75, "more_to_do"), made
    assert "Traceback" not in made.err
    assert len(large.requests.to("/api/v1/")) == figures["requests"] == bound
    held = desk.counts()
    assert held["customers"] == min(bound * 100, 250)
    assert held.get("entitlements", 0) == max(bound - 3, 0) * 100
    assert desk.sync().code == 0
    assert differences(desk, expected_lists(large)) == []


@pytest.mark.slow
def test_a_bound_that_is_just_enough_is_complete(large, desk):
    """Ten requests are needed: with ten there is nothing more to do."""
    made = desk.sync(*LISTS, "--max-requests", 10)
    assert (made.code, made.json["verdict"]) == (0, "complete")


def test_no_minutes_at_all(small, desk):
    """75 without a request."""
    made = desk.sync("--max-minutes", 0)
    assert made.code == 75, made
    assert api_requests(small) == {}


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["slow", "failing"])
def test_a_signal_ends_a_sync_with_what_it_has(large, desk, trouble):
    """I1: SIGTERM during a slow answer or a retry: what was read is loaded, exit 75, the next sync completes."""
    if trouble == "slow":
        fault = large.faults.add("slow", "/api/v1/entitlements", page=2, seconds=0.5)
    else:
        fault = large.faults.add("status", "/api/v1/entitlements", page=2, status=503, count=None)
    process = desk.start("sync", "--json")
    try:
        await_(lambda: fault.fired)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 75, err
    assert '"more_to_do"' in out
    assert "Traceback" not in err
    counts = desk.counts()
    assert counts["customers"] == VOLUME["customers"]
    assert counts["entitlements"] >= 100
    large.faults.clear()
    assert desk.sync().code == 0
    assert differences(desk, expected_lists(large)) == []


@pytest.mark.slow
def test_each_sync_leaves_its_account(large, desk):
    """I1: `_automatum_sweeps` says what was proven, one row a table and sync."""
    for _ in range(2):
        assert desk.sync().code == 0
    rows = desk.query(
        "SELECT table_name, pages, requests, announced, distinct_keys, inserted, updated, deleted, unchanged, verdict "
        "FROM _automatum_sweeps ORDER BY table_name, finished_at"
    )
    wanted = []
    for table, pages, count in (("customers", 3, 250), ("entitlements", 5, 410), ("private_offers", 2, 130)):
        wanted.append((table, pages, pages, count, count, count, 0, 0, 0, "complete"))
        wanted.append((table, pages, pages, count, count, 0, 0, 0, count, "complete"))
    report, lists = rows[:2], rows[2:]
    assert lists == wanted
    assert [(*one[:1], *one[3:]) for one in report] == [
        ("analytics_revenue", None, 2 * VOLUME["days"], 2 * VOLUME["days"], 0, 0, 0, "complete"),
        ("analytics_revenue", None, REREAD, 0, 0, 0, REREAD, "complete"),
    ]
    assert all(one[1] == one[2] for one in report)
