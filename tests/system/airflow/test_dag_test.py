"""`dag.test()`, as one tries a DAG at a desk: on DuckDB, against a sandbox on a real socket."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pytest

from automatum.endpoints import SCOPES
from automatum_sandbox import AppConfig
from tests.support.airflow.installation import DAG_FILE
from tests.support.airflow.telling import (
    NAMES,
    connections,
    environment,
    id_of,
    one_organization,
    two_organizations,
    variables,
)
from tests.support.desk import await_
from tests.support.pushing import rows_of, write_csv

RUN = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("automatum_dag", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
run = module.automatum_dag.test(run_conf=json.loads(sys.argv[2]))
found = {f"{one.task_id}[{one.map_index}]".removeprefix("each."): str(one.state) for one in run.get_task_instances()}
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
with create_session() as session:
    kept = session.query(XComModel).filter(XComModel.run_id == run.run_id, XComModel.key == "push")
    pushes = [XComModel.deserialize_value(one) for one in kept]
print(json.dumps({"state": str(run.state), "tasks": found, "run": run.run_id, "pushes": pushes}))
"""
TABLES = ("customers", "entitlements", "private_offers", "analytics")
SCOPES_WITHOUT_OFFERS = tuple(scope for scope in SCOPES if scope != "read:private-offers")
SMALL = {"customers": 120, "entitlements": 210, "private_offers": 20, "days": 5}


class Tried:
    """What a `dag.test()` came to."""

    def __init__(self, done):
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        found = json.loads(done.stdout.splitlines()[-1])
        self.state, self.tasks, self.run = found["state"], found["tasks"], found["run"]
        self.pushes = found["pushes"]
        self.said = done.stdout + done.stderr

    def of(self, organization):
        """Task to state, of one organization."""
        mark = f"[{NAMES.index(organization)}]"
        return {task.removesuffix(mark): state for task, state in self.tasks.items() if task.endswith(mark)}


@pytest.fixture
def served(start):
    """The application of globex may not read private offers."""
    apps = (AppConfig(NAMES[0]), AppConfig(NAMES[1], organization=1, scopes=SCOPES_WITHOUT_OFFERS))
    return start(**two_organizations(**SMALL, apps=apps))


@pytest.fixture
def tried(installation, served, tmp_path):
    """Run the DAG; `conf` is what a person gives who triggers it, other keyword arguments are options of the variable,
    `told` changes or replaces the connections.
    """

    def run(told=None, single=False, conf=None, **options):
        said = {} if single else variables()
        own = {"database": str(tmp_path / "market.duckdb"), "pipelines_dir": "temporary", **options}
        said["automatum_dag"] = json.dumps(own)
        known = one_organization(served) if single else connections(served)
        told = environment({**known, **(told or {})}, said)
        return Tried(installation.python(RUN, str(DAG_FILE), json.dumps(conf or {}), **told))

    return run


def with_ledger(served, folder, **settings):
    """The connection of the only organization, with a ledger in its extra."""
    own = one_organization(served)["automatum"]
    extra = {**json.loads(own["extra"]), "ledger_url": f"sqlite:///{folder / 'ledger.sqlite'}", **settings}
    return {"automatum": {**own, "extra": json.dumps(extra)}}


def rows(folder, sql):
    with duckdb.connect(str(folder / "market.duckdb"), read_only=True) as connection:
        return connection.execute(f"USE automatum; {sql}").fetchall()


def test_a_run_is_green_and_a_worker_with_a_fresh_disk_asks_for_nothing_twice(tried, served, tmp_path):
    """I1, I3: all rows of both organizations, each once; the second run, in new folders, changes nothing."""
    first = tried()
    assert first.state == "success", first.said[-5000:]
    green = {**dict.fromkeys(TABLES, "success"), "push": "skipped"}
    assert first.of("acme") == green
    assert first.of("globex") == {**green, "private_offers": "skipped"}  # a table that no scope allows is no failure
    for name, tables in (("acme", TABLES[:3]), ("globex", TABLES[:2])):
        for table in tables:
            id_ = id_of(served.sandbox, name)
            found = [one for (one,) in rows(tmp_path, f"SELECT id FROM {table} WHERE organization_id = '{id_}'")]
            assert Counter(found) == Counter(served.sandbox.rows.ids(table, id_))
    before = rows(tmp_path, "SELECT count(*), max(_synced_at) FROM customers")
    again = tried(conf={"tables": ["customers"]})
    assert {again.of(name)["customers"] for name in NAMES} == {"success"}
    assert {again.of(name)["analytics"] for name in NAMES} == {"skipped"}
    assert rows(tmp_path, "SELECT count(*), max(_synced_at) FROM customers") == before


def test_a_task_that_cannot_go_on_fails_once_data_is_old(tried, served, tmp_path):
    """In place of coming back later, which looks healthy: the setting `max_age`, as for `automatum sync`."""
    assert tried(tables=["customers"]).state == "success"
    with duckdb.connect(str(tmp_path / "market.duckdb")) as connection:
        connection.execute("UPDATE automatum._automatum_sweeps SET finished_at = finished_at - INTERVAL 72 HOUR")
    seen = tried(connections(served, limits=[[1, 3600]], max_age="26h"), tables=["customers"])
    assert {seen.of(name)["customers"] for name in NAMES} == {"failed"}
    assert "No complete sweep within 26 h: acme customers (3 d ago)" in seen.said


def test_an_organization_that_fails_stops_no_other_and_no_secret_is_said(tried, served, tmp_path):
    """I6. Wrong credentials are no matter for a retry: the task fails at once, and its push does not go out."""
    wrong = {"automatum_globex": {"conn_type": "http", "login": "app_wrong", "password": "secret_wrong_0123456789"}}
    usage = write_csv(rows_of(served.sandbox, most=4), tmp_path / "usage_acme.csv")
    seen = tried(wrong, usage=str(usage).replace("acme", "{organization}"), tables=["customers", "entitlements"])
    assert seen.state == "failed"
    assert seen.of("acme") == {
        "customers": "success",
        "entitlements": "success",
        "private_offers": "skipped",
        "analytics": "skipped",
        "push": "success",
    }
    assert seen.of("globex") == {
        "customers": "failed",
        "entitlements": "failed",
        "private_offers": "skipped",
        "analytics": "skipped",
        "push": "upstream_failed",
    }
    assert not served.sandbox.metering.accepted  # dry
    secrets = ["secret_wrong_0123456789", *(app.secret for app in served.sandbox.apps)]
    assert not [one for one in secrets if one in seen.said]


def test_a_confirmed_push_needs_a_ledger_that_outlives_the_worker_and_then_sends_once(tried, served, tmp_path):
    """I5: without one the push fails; with one, two runs bill each line once. A single organization has no name."""
    usage = write_csv(rows_of(served.sandbox, most=4), tmp_path / "usage.csv")
    options = {"usage": str(usage), "confirm": True}
    seen = tried(single=True, tables=["customers", "entitlements"], **options)
    assert seen.of(NAMES[0])["entitlements"] == "success" and seen.of(NAMES[0])["push"] == "failed"
    assert not served.sandbox.metering.accepted
    ledger = with_ledger(served, tmp_path)
    for new in (True, False):
        begun = {**options, "new_ledger": new}
        assert tried(ledger, single=True, tables=["customers"], **begun).of(NAMES[0])["push"] == "success"
    assert sum(len(one.body["details"]["usages"]) for one in served.sandbox.metering.accepted) == 4


def test_a_first_push_that_needs_several_windows_of_the_limit_comes_back_until_it_is_whole(tried, served, tmp_path):
    """As found: back from its first wait it was refused, because the ledger of `new_ledger`, its own, was there; back
    from the second one it failed with 65, because the first one had ended early.
    """
    usage = write_csv(rows_of(served.sandbox, most=12), tmp_path / "usage.csv")
    ledger = with_ledger(served, tmp_path, application_limits=[[5, 8]])
    options = {"usage": str(usage), "confirm": True, "new_ledger": True, "unchecked": True, "earliest_return": 1}
    seen = tried(ledger, single=True, tables=["customers"], **options)
    assert seen.of(NAMES[0])["push"] == "success", seen.said[-3000:]
    assert seen.said.count("push: not finished") >= 2
    assert sum(len(one.body["details"]["usages"]) for one in served.sandbox.metering.accepted) == 12


def test_m11_an_approval_gets_its_digest_whatever_else_is_open(tried, served, tmp_path):
    """As found: one open line anywhere failed the dry run before its digest was handed on, so nobody could approve."""
    rows = rows_of(served.sandbox, most=4)
    usage = write_csv([*rows, {**rows[0], "customer_id": ""}], tmp_path / "usage.csv")
    ledger = with_ledger(served, tmp_path)
    options = {"usage": str(usage), "confirm": True, "approval": True, "new_ledger": True}
    tables = {"tables": ["customers", "entitlements"]}
    dry = tried(ledger, single=True, **tables, **options)
    assert dry.of(NAMES[0])["push"] == "failed", "a row is refused"
    assert not served.sandbox.metering.accepted
    (shown,) = dry.pushes
    assert (shown["verdict"], shown["lines"]["to_send"], shown["lines"]["refused"]) == ("dry_run", 4, 1)
    tried(ledger, single=True, conf={"plan": shown["plan"]}, **tables, **options)
    assert sum(len(one.body["details"]["usages"]) for one in served.sandbox.metering.accepted) == 4


def test_who_triggers_a_run_names_neither_files_nor_sql_nor_bills_anybody(tried, served, tmp_path):
    """I5, I6: these options come from the variable, which an administrator sets."""
    seen = tried(single=True, conf={"usage": "sql:SELECT 1", "confirm": True, "destination": "filesystem"})
    assert seen.state == "failed"
    assert "confirm, destination, usage cannot be set when a run is triggered" in seen.said
    assert served.sandbox.requests.to("/api/v1/") == []
    assert not (tmp_path / "market.duckdb").exists()


def test_a_duckdb_file_that_a_notebook_holds_reschedules_and_spends_nothing(tried, installation, served, tmp_path):
    """I7: no retry and no request is spent while it is held; when it is closed, the run ends green."""
    before = installation.query("SELECT count(*) FROM task_reschedule")[0][0]
    notebook = duckdb.connect(str(tmp_path / "market.duckdb"))
    with ThreadPoolExecutor() as pool:
        run = pool.submit(tried, single=True, tables=["customers"], earliest_return=1)
        try:
            await_(lambda: run.done() or installation.query("SELECT count(*) FROM task_reschedule")[0][0] > before, 120)
            asked = served.sandbox.requests.to("/api/v1/")
        finally:
            notebook.close()
        assert not asked and not run.done()
        assert run.result().state == "success"
    tries = installation.query(
        "SELECT try_number FROM task_instance WHERE run_id = %s AND state = 'success'", run.result().run
    )
    assert set(tries) == {(1,)}
    assert len(rows(tmp_path, "SELECT id FROM customers")) == SMALL["customers"]
