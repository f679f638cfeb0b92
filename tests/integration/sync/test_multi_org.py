"""Several organizations in one dataset: whose a row is, who is read when, and what they must not share (I1-I5)."""

import json
from pathlib import Path

import dlt
import duckdb
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from automatum import automatum_source
from automatum.api.overrides import resolve_endpoints
from automatum.api.rate_limit import open_rate_limiters
from automatum.api.session import connect
from automatum.config.organizations import insert_organization, organization_names
from automatum.config.settings import AutomatumSettings, resolve_settings
from automatum.core.clock import SystemClock
from automatum.core.errors import ConfigurationError
from automatum.endpoints import ENDPOINTS
from automatum.metering.ledger.location import default_ledger_url
from automatum_sandbox.config import AppConfig, Limits, OrganizationConfig
from tests.support.clocks import FakeClock
from tests.support.counted_loads import counted
from tests.support.desk import SMALL, WIDE_LIMITS, await_
from tests.support.pushing import rows_of, write_csv

TWO = ("acme", "globex")
SAME = "the_same_id"
TABLES = ("customers", "entitlements", "private_offers", "analytics_revenue")


def several(desk, start, names=TWO, **options):
    """A sandbox with an organization and an application for each name, and the configuration of both."""
    served = start(
        **{
            **SMALL,
            "organizations": tuple(OrganizationConfig(seed=100 + at) for at in range(len(names))),
            "apps": tuple(AppConfig(organization=at) for at in range(len(names))),
            **options,
        }
    )
    desk.set(
        base_url=served.base_url,
        application_limits=WIDE_LIMITS,
        organizations=[{"name": name} for name in names],
    )
    for name, app in zip(names, served.sandbox.apps, strict=True):
        desk.set(**{f"{name}__client_id": app.client_id, f"{name}__client_secret": app.secret})
    return served


def customers(desk):
    return dict(desk.query("SELECT organization_id, count(*) FROM customers GROUP BY ALL"))


def ids_of(served):
    """The vendor's own ids, in the order of the names."""
    return [app.organization_id for app in served.sandbox.apps]


@pytest.fixture
def two(desk, start):
    return several(desk, start)


# What it costs


@pytest.mark.slow
def test_organizations_cost_the_same_each_and_share_the_file(desk, start):
    """A file that is opened once for all of them, and a load each."""
    counts = {}
    for names in (TWO, (*TWO, "initech", "umbrella")):
        several(desk, start, names)
        for kind in ("first", "unchanged"):
            with counted() as counts[kind, len(names)]:
                assert desk.sync("--database", f"of_{len(names)}.duckdb").code == 0
    each = {
        kind: {name: (more - counts[kind, 2][name]) / 2 for name, more in counts[kind, 4].items()}
        for kind in ("first", "unchanged")
    }
    assert (each["first"]["loads"], each["unchanged"]["loads"]) == (1, 1)
    # The latest sweeps are read beforehand, to find the order of the organizations.
    assert [counts[kind, many]["openings"] for kind in ("first", "unchanged") for many in (2, 4)] == [1, 1, 2, 2]
    assert each["unchanged"]["statements"] <= 46
    assert each["unchanged"]["clients"] <= 2 and each["unchanged"]["connections"] <= 2


@pytest.mark.slow
def test_the_page_that_names_the_organization_is_charged_to_its_table(desk, two):
    """It is asked for before the table begins, and the requests of the tables are all requests."""
    assert desk.sync().code == 0
    sent = sum(entry.path.startswith("/api/v1/") for entry in two.sandbox.requests.all())
    assert desk.query("SELECT sum(requests) FROM _automatum_sweeps") == [(sent,)]


# What is whose


@pytest.mark.slow
def test_rows_of_the_same_id_stay_apart_through_change_and_deletion_i1_i2(desk, two):
    acme, globex = ids_of(two)
    for table in ("customers", "entitlements", "private_offers"):
        for owner in (acme, globex):
            two.sandbox.rows.insert(table, {"id": SAME}, organization=owner)
    first = desk.sync()
    assert first.code == 0, first
    assert set(first.json["organizations"]) == set(TWO) and first.json["verdict"] == "complete"
    assert customers(desk) == {acme: 13, globex: 13}
    two.sandbox.rows.change("customers", SAME, {"email": "new@acme.example"}, organization=acme)
    two.sandbox.rows.delete("entitlements", SAME, organization=globex)
    second = desk.sync()
    assert second.code == 0, second
    tables = {name: one["tables"] for name, one in second.json["organizations"].items()}
    assert (tables["acme"]["customers"]["updated"], tables["globex"]["customers"]["updated"]) == (1, 0)
    assert (tables["acme"]["entitlements"]["deleted"], tables["globex"]["entitlements"]["deleted"]) == (0, 1)
    rows = dict(desk.query("SELECT organization_id, email FROM customers WHERE id = ?", SAME))
    assert rows[acme] == "new@acme.example" != rows[globex]
    gone = desk.query("SELECT organization_id, _deleted_at IS NULL FROM entitlements WHERE id = ?", SAME)
    assert dict(gone) == {acme: True, globex: False}
    # A third sync has nothing to do, for either.
    third = desk.sync()
    for one in third.json["organizations"].values():
        assert all(table["inserted"] + table["updated"] + table["deleted"] == 0 for table in one["tables"].values())


@pytest.mark.slow
def test_children_history_and_reports_stay_apart_and_verify_knows_it_i1(desk, two):
    acme, globex = ids_of(two)
    desk.set(history=True)
    for owner, count in ((acme, 3), (globex, 2)):
        dimensions = [{"key": f"d{at}", "units": at} for at in range(count)]
        two.sandbox.rows.insert("entitlements", {"id": SAME, "dimensions": dimensions}, organization=owner)
    assert desk.sync().code == 0
    two.sandbox.rows.change("entitlements", SAME, {"dimensions": [{"key": "one"}]}, organization=globex)
    assert desk.sync().code == 0
    children = desk.query(
        "SELECT organization_id, count(*) FROM entitlement_dimensions WHERE entitlement_id = ? GROUP BY ALL ORDER BY 1",
        SAME,
    )
    assert dict(children) == {acme: 3, globex: 1}
    versions = desk.query(
        "SELECT organization_id, count(*), count(valid_to) FROM entitlements_versions WHERE id = ? GROUP BY ALL "
        "ORDER BY ALL",
        SAME,
    )
    assert sorted(versions) == sorted([(acme, 1, 0), (globex, 2, 1)])
    reports = desk.query("SELECT organization_id, count(*) FROM analytics_revenue GROUP BY ALL ORDER BY ALL")
    assert {owner for owner, _ in reports} == {acme, globex}
    found = desk.run("status", "--verify", "--json")
    assert found.code == 0, found
    # It can see what is broken: a second row of one organization's key, and a child whose parent is another's.
    with duckdb.connect(str(desk.database)) as connection:
        connection.execute("USE automatum")
        connection.execute("INSERT INTO customers SELECT * FROM customers WHERE organization_id = ? LIMIT 1", [acme])
        connection.execute("DELETE FROM entitlements WHERE organization_id = ? AND id = ?", [globex, SAME])
    broken = {
        one["table"]: one["broken"]
        for one in desk.run("status", "--verify", "--json").json["findings"]
        if one["broken"]
    }
    assert broken["customers"] == 1 and broken["entitlement_dimensions"] == 1


@pytest.mark.slow
def test_every_key_carries_the_organization(desk, two):
    assert desk.sync().code == 0
    settings = resolve_settings(organization="acme")
    for endpoint in resolve_endpoints(settings):
        assert endpoint.key_with(endpoint.row_key)[0] == "organization_id"
    with duckdb.connect(str(desk.database), read_only=True) as connection:
        tables = {
            table
            for (table,) in connection.execute(
                "SELECT table_name FROM information_schema.columns WHERE table_schema = 'automatum' "
                "AND column_name = 'organization_id' AND is_nullable = 'NO'"
            ).fetchall()
        }
    own = {one.table for one in ENDPOINTS} | {child.table for one in ENDPOINTS for child in one.children}
    assert own | {"_automatum_sweeps"} <= tables


@pytest.mark.slow
def test_an_organization_is_the_vendors_id_i8(desk, two):
    acme, globex = ids_of(two)
    desk.set(organizations=[{"name": "acme"}, {"name": "globex", "organization_id": globex}])
    assert desk.sync().code == 0
    rows = dict(desk.query("SELECT organization_id, any_value(extra->>'organizationId') FROM customers GROUP BY ALL"))
    assert rows == {acme: None, globex: None}


@pytest.mark.slow
def test_credentials_of_another_organization_are_noticed_before_a_row_is_loaded_i1(desk, two):
    acme, globex = ids_of(two)
    desk.set(organizations=[{"name": "acme", "organization_id": globex}, {"name": "globex"}])
    ran = desk.sync()
    assert ran.code == 78, ran
    wrong, right = ran.json["organizations"]["acme"], ran.json["organizations"]["globex"]
    assert any(acme in error["message"] and globex in error["message"] for error in wrong["errors"])
    assert right["verdict"] == "complete"
    assert desk.query("SELECT DISTINCT organization_id FROM customers") == [(globex,)]


@pytest.mark.slow
def test_one_record_of_another_organization_than_the_settings_name_is_enough_i1(desk, two):
    acme, globex = ids_of(two)
    rows = two.sandbox.rows
    rows.change("customers", rows.ids("customers", organization=acme)[3], {"organizationId": globex}, organization=acme)
    desk.set(organizations=[{"name": "acme", "organization_id": acme}, {"name": "globex"}])
    ran = desk.sync()
    assert ran.code == 78 and f"acme is said to be {acme}" in ran.says, ran
    assert desk.query("SELECT DISTINCT organization_id FROM customers") == [(globex,)]


@pytest.mark.slow
def test_a_dataset_is_for_one_organization_or_for_several_i2(desk, two):
    """One organization's sync would take the rows of the others for rows that are gone."""
    app = two.sandbox.apps[0]
    assert desk.sync().code == 0
    before = desk.dump()
    desk.set(organizations=None, client_id=app.client_id, client_secret=app.secret)
    ran = desk.sync()
    assert ran.code == 78 and "holds several organizations" in ran.says, ran
    assert desk.dump() == before
    assert desk.sync("--dataset", "alone").code == 0
    desk.set(organizations=[{"name": name} for name in TWO])
    ran = desk.sync("--dataset", "alone")
    assert ran.code == 78 and "loaded before organizations were listed" in ran.says, ran


# Who is read


@pytest.mark.slow
def test_a_failing_organization_does_not_stop_the_others(desk, start):
    served = several(desk, start, ("acme", "broken", "globex", "unset"))
    desk.set(broken__client_secret="secret_wrong_wrong_wrong", unset__client_id=None)
    ran = desk.sync()
    assert ran.code == 78, ran  # the worst: a setting is missing
    found = ran.json["organizations"]
    assert {name: one["verdict"] for name, one in found.items()} == {
        "acme": "complete", "broken": "incomplete", "globex": "complete", "unset": "incomplete",
    }  # fmt: skip
    assert [error["type"] for error in found["broken"]["errors"]] == ["CredentialsRefused"]
    assert "sources.automatum.unset.client_id" in found["unset"]["errors"][0]["message"]
    acme, _, globex, _ = ids_of(served)
    assert customers(desk) == {acme: 12, globex: 12}
    assert "secret_wrong" not in ran.out + ran.err and served.sandbox.apps[0].secret not in ran.out + ran.err
    shown = desk.run("sync")
    assert "broken: " in shown.says and "acme" in shown.out, shown


@pytest.mark.slow
def test_one_organization_can_be_chosen(desk, two):
    ran = desk.sync("--organization", "globex", "customers")
    assert ran.code == 0 and set(ran.json["organizations"]) == {"globex"}
    assert {entry.app for entry in two.sandbox.requests.to("/api/v1/")} == {two.sandbox.apps[1].client_id}
    ran = desk.sync("--organization", "initech")
    assert ran.code == 78 and "no organization 'initech'" in ran.says and "acme, globex" in ran.says
    for command in (("check",), ("sync", "--dry-run")):
        refused = desk.run(*command, "--json")
        assert refused.code == 78 and "acme, globex" in refused.says, refused
        assert desk.run(*command, "--organization", "acme", "--json").code == 0
    asked = desk.run("status", "--json")
    assert set(asked.json["organizations"]) == {"globex"}
    assert asked.json["organizations"]["globex"]["tables"]["customers"]["verdict"] == "complete"
    assert "globex" in desk.run("status").out


@pytest.mark.slow
def test_nobody_waits_for_anothers_quota_and_no_page_is_asked_twice_i3_i4(desk, start, monkeypatch):
    """Three organizations, four windows' worth each: together they take as long as one, not as three."""
    clock = FakeClock()
    monkeypatch.setattr("automatum.sync.run.SystemClock", lambda stop=None: clock)
    from automatum_sandbox import Sandbox, SandboxConfig, serve

    names = ("acme", "globex", "initech")
    config = SandboxConfig(
        traps=True,
        **{**SMALL, "customers": 1_990, "days": 0},
        limits=Limits(app_minute=6, app_hour=1_000),
        organizations=tuple(OrganizationConfig(seed=100 + at) for at in range(3)),
        apps=tuple(AppConfig(organization=at) for at in range(3)),
    )
    with serve(Sandbox(config, time=clock.time)) as served:
        desk.set(
            base_url=served.base_url,
            application_limits=[[6, 60]],
            quota_url="memory://",
            organizations=[{"name": name} for name in names],
        )
        for name, app in zip(names, served.sandbox.apps, strict=True):
            desk.set(**{f"{name}__client_id": app.client_id, f"{name}__client_secret": app.secret})
        began = clock.time()
        ran = desk.sync("customers")
        took = clock.time() - began
        assert ran.code == 0, ran
        entries = served.sandbox.requests.to("/api/v1/")
    assert {entry.status for entry in entries} == {200}
    assert len({(entry.app, entry.page) for entry in entries}) == 60
    for one in ran.json["organizations"].values():
        # The last page before each wait is read again after it.
        assert (one["requests"], one["tables"]["customers"]["inserted"]) == (20 + 3, 1_990)
    # 23 requests at 6 a minute are four windows: three of waiting. One after the other that would be nine.
    assert 180 <= took < 200
    owners = [entry.app for entry in entries]
    assert owners.index(served.sandbox.apps[2].client_id) < 20, "the third began before the first had ended"


@pytest.mark.slow
def test_an_api_that_refuses_however_long_one_waits_does_not_keep_the_command_for_ever_i4(desk, start, monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr("automatum.sync.run.SystemClock", lambda stop=None: clock)
    served = several(desk, start)
    desk.set(quota_url="memory://")
    refused = served.sandbox.apps[0].client_id
    assert desk.sync("customers", "--organization", "globex").code == 0
    served.sandbox.requests.clear()
    served.sandbox.faults.add("status", "/api/v1/customers", status=429, count=None, headers={"Retry-After": "5"})
    ran = desk.sync("customers")
    assert ran.code == 75 and ran.json["resume_at"], ran
    asked = [entry for entry in served.sandbox.requests.to("/api/v1/") if entry.app == refused]
    assert 1 <= len(asked) <= 25
    served.sandbox.faults.clear()
    assert desk.sync("customers").code == 0


@pytest.mark.slow
def test_a_bounded_wait_ends_with_the_time_to_come_back(desk, start):
    served = several(desk, start, limits=Limits(app_minute=4, app_hour=4), window_scale=1.0, customers=900)
    desk.set(application_limits=[[4, 3600]])
    ran = desk.sync("--max-wait", "0", "customers")
    assert ran.code == 75 and ran.json["verdict"] == "more_to_do" and ran.json["resume_at"], ran
    assert all(one["resume_at"] for one in ran.json["organizations"].values())
    assert {entry.status for entry in served.sandbox.requests.all()} == {200}  # I4
    assert customers(desk) == dict.fromkeys(ids_of(served), 300), "one of four requests is reserved for metering"


@pytest.mark.slow
@pytest.mark.parametrize("after", [2, 6, 9])
def test_after_a_kill_each_goes_on_where_it_was_i1_i3(desk, start, after):
    """Eight pages of two organizations, a page a load package; killed -9 at the second, sixth or ninth request."""
    served = several(desk, start, customers=390, entitlements=0, private_offers=0, days=0)
    served.sandbox.faults.add("slow", "/api/v1/customers", seconds=0.3, count=None)
    syncing = desk.start("sync", "customers", "--json", chunk_rows=100)
    await_(lambda: len(served.sandbox.requests.to("/api/v1/")) >= after or syncing.poll() is not None, 60)
    syncing.kill()
    syncing.communicate()
    served.sandbox.faults.clear()
    before = len(served.sandbox.requests.to("/api/v1/"))
    ran = desk.sync("customers")
    assert ran.code == 0, ran
    assert customers(desk) == dict.fromkeys(ids_of(served), 390)
    asked = len(served.sandbox.requests.to("/api/v1/"))
    pages = [(entry.app, entry.page) for entry in served.sandbox.requests.to("/api/v1/")]
    first, second = (app.client_id for app in served.sandbox.apps)
    finished = {app for app in (first, second) if before and (app, 4) in pages[:before]}
    # What had finished is synced anew, and after the other; of the other, what was under way or not loaded yet.
    again = asked - 8 - 4 * len(finished)
    assert 0 <= again <= 5, f"{before} before the kill, {asked} in all"
    if finished == {first}:
        assert pages[before][0] == second


# What they must not share


@pytest.mark.slow
def test_quotas_and_ledgers_are_apart_i4_i5(desk, two, tmp_path):
    one, other = (resolve_settings(organization=name) for name in TWO)
    assert default_ledger_url(one) != default_ledger_url(other)
    assert desk.sync().code == 0
    assert len(list((tmp_path / "home").rglob("quota-*.sqlite"))) == 2
    for key, url in (("quota_url", "sqlite:////{}/quota.sqlite"), ("ledger_url", "sqlite:////{}/ledger.sqlite")):
        desk.set(**{key: url.format(tmp_path)})
        settings = resolve_settings(organization="acme")
        with pytest.raises(ConfigurationError, match=rf"{key}: the URL is the same for all.*{{organization}}"):
            connect(settings) if key == "quota_url" else default_ledger_url(settings)
        desk.set(**{key: url.format(tmp_path / "{organization}")})
        settings = resolve_settings(organization="acme")
        if key == "ledger_url":
            assert default_ledger_url(settings) == f"sqlite:////{tmp_path}/acme/ledger.sqlite"
        else:
            open_rate_limiters(settings, SystemClock())
    desk.set(ledger_url="sqlite:////tmp/one.sqlite")
    refused = desk.run("push", "--organization", "acme", "--usage", "x.csv")
    assert refused.code == 78 and "{organization}" in refused.says


def test_where_there_is_but_one_organization_a_url_is_taken_as_it_is():
    assert insert_organization("ledger_url", "sqlite:////x.sqlite", None) == "sqlite:////x.sqlite"


@pytest.mark.slow
def test_what_one_organization_has_not_sent_never_goes_out_with_anothers_credentials_i5(desk, two):
    acme, globex = ids_of(two)
    assert desk.sync().code == 0
    usage = {}
    for name, owner in zip(TWO, (acme, globex), strict=True):
        # Of some entitlements the odd rows do not say whether they are active.
        usage[name] = write_csv(rows_of(two.sandbox, organization=owner, named=True), f"{name}.csv")
    # Not sent: the first body is refused for the moment.
    two.sandbox.faults.add("status", "/api/v1/metering", status=429, count=None, headers={"Retry-After": "7200"})
    stopped = desk.run(
        "push",
        "--organization",
        "acme",
        "--usage",
        usage["acme"],
        "--confirm",
        "--new-ledger",
        "--max-wait",
        "0",
        "--json",
    )
    assert stopped.code == 75 and stopped.json["lines"]["to_send"], stopped
    two.sandbox.faults.clear()
    pushed = desk.run(
        "push", "--organization", "globex", "--usage", usage["globex"], "--confirm", "--new-ledger", "--json"
    )
    assert (pushed.code, pushed.json["unresolved"]) == (0, {}), pushed
    sent = [entry for entry in two.sandbox.requests.to("/api/v1/metering") if entry.status < 300]
    assert {entry.app for entry in sent} == {two.sandbox.apps[1].client_id}
    for name in TWO:
        exported = desk.run("push", "export", "--organization", name, "--json")
        assert exported.code == 0, exported
    states = desk.query("SELECT organization_id, state, count(*) > 0 FROM metering_lines GROUP BY ALL ORDER BY ALL")
    assert states == [(globex, "accepted", True)], "what was given back is in no ledger"
    # The other's customers are strangers to a push.
    strange = desk.run("push", "--organization", "acme", "--usage", usage["globex"], "--json")
    assert strange.code == 65 and strange.json["lines"]["refused"] == len(rows_of(two.sandbox, organization=globex))


@pytest.mark.slow
def test_an_organization_that_was_never_synced_bills_nobody_elses_customers_i5(desk, two):
    _, globex = ids_of(two)
    assert desk.sync("--organization", "globex").code == 0
    usage = write_csv(rows_of(two.sandbox, organization=globex), "usage.csv")
    for more in ([], ["--confirm", "--new-ledger"]):
        ran = desk.run("push", "--organization", "acme", "--usage", usage, "--json", *more)
        assert ran.code == 65 and ran.json["lines"]["refused"] > 0, ran
    assert not two.sandbox.requests.to("/api/v1/metering")


@pytest.mark.parametrize("command", [("push", "--usage", "usage.csv"), ("push", "status"), ("push", "export")])
def test_a_push_says_for_whom_it_is_i5(desk, two, command):
    write_csv(rows_of(two.sandbox), "usage.csv")
    ran = desk.run(*command)
    assert ran.code == 78 and "--organization: several are configured" in ran.says, ran


@pytest.mark.slow
def test_a_plain_source_of_one_organization_does_not_load_into_several_i2(desk, two):
    app = two.sandbox.apps[0]
    assert desk.sync("customers").code == 0
    before = desk.dump()
    desk.set(organizations=None)
    pipeline = dlt.pipeline(
        "plain", destination=dlt.destinations.duckdb(str(desk.database.resolve())), dataset_name="automatum"
    )
    source = automatum_source(app.client_id, app.secret, two.base_url)
    with pytest.raises(PipelineStepFailed, match="holds several organizations"):
        pipeline.run(source.with_resources("customers"))
    assert desk.dump() == before


@pytest.mark.slow
def test_each_organization_has_its_pipeline(desk, two, tmp_path, monkeypatch):
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path))
    assert desk.sync().code == 0
    folders = sorted(one.name for one in (tmp_path / "pipelines").iterdir() if one.is_dir())
    assert [name.rpartition("_")[0] for name in folders] == [
        "automatum_acme_marketplace",
        "automatum_globex_marketplace",
    ]


# Configuration


def configure(monkeypatch, *entries):
    monkeypatch.setenv("SOURCES__AUTOMATUM__ORGANIZATIONS", json.dumps(entries))


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([{"name": "acme"}, {"name": "acme"}], "two entries have the name or id acme"),
        ([{"name": "a", "organization_id": "b"}, {"name": "b"}], "two entries have the name or id b"),
        ([{"organization_id": "x"}], "needs a name"),
        (["acme"], "needs a name"),
        ([{"name": "Acme Inc"}], "'Acme Inc' is not a name"),
        ([{"name": "acme", "secret": "x"}], r"organizations\[0\].secret: no such setting"),
        ([{"name": "acme", "organization_id": 7}], r"organizations\[0\].organization_id: not a text"),
        ([{"name": "acme", "base_url": "x"}], r"organizations\[0\].base_url: was removed. Write it in the section"),
        ([{"name": "acme", "credentials": "x"}], r"in the section \[sources.automatum.acme\], as client_id"),
    ],
)
def test_entries_that_make_no_sense_are_named(monkeypatch, entries, said):
    configure(monkeypatch, *entries)
    with pytest.raises(ConfigurationError, match=said):
        organization_names()


def test_a_name_must_not_be_that_of_a_setting(monkeypatch):
    configure(monkeypatch, {"name": "endpoints"})
    with pytest.raises(ConfigurationError, match="the name of a setting"):
        resolve_settings(organization="endpoints")
    assert "history" in AutomatumSettings.__dataclass_fields__


def test_credentials_are_never_those_of_another_while_other_settings_are_shared(monkeypatch, desk):
    configure(monkeypatch, {"name": "acme"}, {"name": "globex"})
    desk.set(client_id="app_shared", client_secret="secret_shared_shared", lookback_days=77)
    monkeypatch.setenv("AUTOMATUM_CLIENT_ID", "app_vendor")
    monkeypatch.setenv("AUTOMATUM_CLIENT_SECRET", "secret_vendor_vendor")
    with pytest.raises(ConfigurationError, match=r"automatum.acme.client_id: is not set.*not used in its place"):
        resolve_settings(organization="acme")
    monkeypatch.setenv("SOURCES__AUTOMATUM__GLOBEX__CLIENT_ID", "app_globex")
    monkeypatch.setenv("SOURCES__AUTOMATUM__GLOBEX__CLIENT_SECRET", "secret_globex_globex")
    monkeypatch.setenv("SOURCES__AUTOMATUM__GLOBEX__DELETES", "hard")
    found = resolve_settings(organization="globex")
    assert (found.client_id, found.client_secret.reveal()) == ("app_globex", "secret_globex_globex")
    assert (found.deletes, found.lookback_days, found.owner) == ("hard", 77, "globex")


def test_a_toml_list_is_read_like_one_of_the_environment():
    Path(".dlt").mkdir()
    Path(".dlt/config.toml").write_text(
        '[[sources.automatum.organizations]]\nname = "acme"\n[[sources.automatum.organizations]]\nname = "globex"\n'
        '[sources.automatum.globex]\nbase_url = "https://api.example.com"\n'
    )
    Path(".dlt/secrets.toml").write_text(
        '[sources.automatum.globex]\nclient_id = "app_toml"\nclient_secret = "secret_toml_toml"\n'
    )
    from dlt.common.runtime.run_context import active

    active().reload()
    assert organization_names() == ("acme", "globex")
    found = resolve_settings(organization="globex")
    assert (found.client_id, found.base_url) == ("app_toml", "https://api.example.com")
