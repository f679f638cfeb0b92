"""What one run leaves to another, or shares with it: datasets, ledgers, folders, bounds (I1, I2, I5)."""

import gc
import os
import subprocess
import sys
from datetime import timedelta

import dlt
import duckdb
import pytest

from automatum import automatum_source
from automatum.api.session import ApiSession
from automatum.config.settings import resolve_settings
from automatum.core.errors import EXIT_SOFTWARE, ConfigurationError, Fault
from automatum.metering.export import EXPORTED
from automatum.sync import results
from automatum.sync.summary import OrganizationSummary
from automatum.warehouse.target import open_pipeline
from tests.integration.sync.test_multi_org import TWO, configure, ids_of, several
from tests.integration.sync.test_report import asked
from tests.support.desk import SMALL
from tests.support.postgres import postgres  # noqa: F401
from tests.support.pushing import rows_of, write_csv
from tests.support.syncing import Site


def test_a_process_that_syncs_again_and_again_keeps_one_session(tmp_path):
    """dlt kept each in its log of settings: three descriptors for each organization of a command, too."""
    with Site(tmp_path) as site:
        site.serve(customers=2)
        for _ in range(4):
            site.sync("customers")
        gc.collect()
        kept = [
            one for one in gc.get_objects() if type(one) is ApiSession and one.settings.base_url == site.served.base_url
        ]
        assert len(kept) <= 1


@pytest.mark.slow
def test_a_backfill_after_a_pause_leaves_no_days_unread_between_i1(tmp_path):
    with Site(tmp_path) as site:
        site.serve(days=10)
        site.sync("analytics")
        first = site.today
        site.clock.advance(60 * 86_400)
        site.sync("analytics", since=site.today - timedelta(days=9))
        made = site.sync("analytics")
        assert asked(made)[0][0] <= first - timedelta(days=35)
        assert max(last for _, last in asked(made)) == site.today
        days = {day for (day,) in site.query('SELECT "date" FROM analytics_revenue')}
        assert days >= {site.today - timedelta(days=back) for back in range(70)}


@pytest.mark.parametrize("blank", ["<configure me>"])
def test_a_placeholder_is_not_replaced_by_anothers_credentials_i1(monkeypatch, desk, blank):
    configure(monkeypatch, {"name": "acme"})
    monkeypatch.setenv("AUTOMATUM_CLIENT_ID", "app_vendor")
    monkeypatch.setenv("AUTOMATUM_CLIENT_SECRET", "secret_vendor_vendor")
    desk.set(acme__client_id=blank, acme__client_secret=blank)
    with pytest.raises(ConfigurationError, match=r"sources.automatum.acme.client_id: is not set"):
        resolve_settings(organization="acme")


@pytest.mark.slow
def test_minutes_are_those_of_the_whole_command_i3(desk, start):
    served = several(desk, start, ("a", "b", "c"))
    served.sandbox.faults.add("slow", "/api/v1/customers", seconds=1.5, count=None)
    ran = desk.sync("customers", "--max-minutes", "0.03")
    assert ran.code == 75, ran
    assert len(served.sandbox.requests.to("/api/v1/")) <= 2  # three are needed
    assert {name: one["verdict"] for name, one in ran.json["organizations"].items()}["c"] == "more_to_do"


@pytest.mark.slow
@pytest.mark.parametrize("first", ["one", "several"])
def test_a_dataset_that_has_no_verdict_yet_is_of_a_kind_too_i2(desk, start, first, monkeypatch):
    served = several(desk, start, customers=300, entitlements=0, private_offers=0, days=0)
    app = served.sandbox.apps[0]
    one = {"organizations": None, "client_id": app.client_id, "client_secret": app.secret}
    more = {"organizations": [{"name": name} for name in TWO], "client_id": None, "client_secret": None}
    monkeypatch.setattr(results, "CHUNK_ROWS", 100)
    desk.set(**(one if first == "one" else more))
    assert desk.sync("customers", "--max-requests", "3").code == 75
    before = desk.query("SELECT id, organization_id FROM customers ORDER BY ALL")
    desk.set(**(more if first == "one" else one))
    ran = desk.sync("customers")
    assert ran.code == 78, ran
    assert desk.query("SELECT id, organization_id FROM customers ORDER BY ALL") == before


@pytest.mark.slow
def test_a_copy_is_readable_whatever_died_with_the_old_one_open(desk, small, tmp_path):
    copy = tmp_path / "copy.duckdb"
    assert desk.sync("--read-copy", copy).code == 0
    died = f"import duckdb, os; c = duckdb.connect({str(copy)!r}); c.execute('CREATE TABLE x AS SELECT 1'); os._exit(9)"
    subprocess.run([sys.executable, "-c", died], env=dict(os.environ), check=False)
    assert copy.with_name("copy.duckdb.wal").exists()
    small.rows.insert("customers", {})
    assert desk.sync("--read-copy", copy).code == 0
    with duckdb.connect(str(copy), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM automatum.customers").fetchall() == [(13,)]


def test_from_one_to_several_nothing_is_billed_again_i5(desk, start):
    served = several(desk, start)
    app, acme = served.sandbox.apps[0], ids_of(served)[0]
    usage = write_csv(rows_of(served.sandbox, organization=acme, most=2))
    desk.set(organizations=None, client_id=app.client_id, client_secret=app.secret)
    assert desk.run("push", "--usage", usage, "--confirm", "--new-ledger").code == 0
    sent = len(served.sandbox.requests.to("/api/v1/metering"))
    desk.set(organizations=[{"name": name} for name in TWO])
    again = desk.run("push", "--organization", "acme", "--usage", usage, "--confirm")
    assert again.code == 78 and "there is no ledger at" in again.says and "ledger adopt" in again.says, again
    assert len(served.sandbox.requests.to("/api/v1/metering")) == sent > 0


@pytest.mark.slow
def test_a_ledger_without_a_name_does_not_go_where_several_are_i2(desk, start):
    served = several(desk, start)
    app, acme = served.sandbox.apps[0], ids_of(served)[0]
    assert desk.sync("customers").code == 0
    desk.set(organizations=None, client_id=app.client_id, client_secret=app.secret)
    usage = write_csv(rows_of(served.sandbox, organization=acme, most=2))
    assert desk.run("push", "--unchecked", "--usage", usage, "--confirm", "--new-ledger").code == 0
    ran = desk.run("push", "export")
    assert ran.code == 78 and "several organizations" in ran.says, ran


@pytest.mark.slow
def test_an_export_loads_the_ledger_and_not_what_a_killed_sync_has_left_i1(desk, start):
    served = start(**SMALL)
    desk.use(served)
    assert desk.sync("entitlements", "--dataset", "another").code == 0
    assert desk.sync().code == 0
    usage = write_csv(rows_of(served.sandbox, most=3))
    assert desk.run("push", "--usage", usage, "--confirm", "--new-ledger").code == 0
    served.sandbox.rows.insert("customers", {"companyName": "Strange"})
    # Read and not loaded, as after a kill.
    pipeline = open_pipeline(dlt.destinations.duckdb(str(desk.database.resolve())), "automatum")
    pipeline.extract(automatum_source().with_resources("customers"))
    ran = desk.run("push", "export", "--dataset", "another", "--json")
    assert ran.code == 0 and ran.json == dict(zip(EXPORTED, (3, 3, 1), strict=True)), ran
    assert (
        desk.query("FROM information_schema.tables WHERE table_schema = 'another' AND table_name = 'customers'") == []
    )
    assert pipeline.has_pending_data


def test_a_defect_in_one_organization_has_the_exit_code_of_a_defect():
    assert OrganizationSummary("incomplete", errors=[Fault("ValueError", "")]).exit_code == EXIT_SOFTWARE


@pytest.mark.slow
def test_a_command_leaves_no_folder_behind(desk, small, tmp_path, monkeypatch):
    assert desk.sync("customers").code == 0
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    asked = desk.start("status", "--json")
    asked.communicate()
    assert asked.returncode == 0 and not list((tmp_path / "tmp").iterdir())
