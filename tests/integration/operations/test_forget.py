"""`automatum forget`: no personal value of the customer is left, and no later sync brings it back."""

import json

import dlt
import pytest
from typer.testing import CliRunner

from automatum import automatum_source
from automatum.cli.main import app
from automatum.core.errors import ConfigurationError
from automatum.operations.forget import forget_customer
from automatum.warehouse.sql_client import one_client
from tests.support.postgres import postgres  # noqa: F401
from tests.support.raw_api import serve_raw
from tests.support.syncing import Site

CANARY, OTHER = "canary-7f3a", "other-51bc"
TABLES = ("customers", "entitlements", "private_offers")


def customer(name, id_, **more):
    return {"id": id_, "email": name, "companyName": name, "cloudIdentifier": name, "phone": name, **more}


def offer(name, id_, customer_id):
    known = {"id": id_, "customerId": customer_id, "description": name, "note": name, "status": "sent"}
    return known | {"name": name, "createdBy": name, "paymentSchedule": [{"amount": 5, "to": name}]}


@pytest.fixture(params=["duckdb", "postgres"])
def site(request, tmp_path):
    with serve_raw() as api, Site(tmp_path) as open_site:
        open_site.served = api
        open_site.settings["history"] = True
        open_site.place = None
        if request.param == "postgres":
            open_site.place = dlt.destinations.postgres(request.getfixturevalue("postgres"))
        yield open_site


def serve(site, status="active"):
    lists = {
        "customers": [customer(CANARY, "c1", status=status), customer(OTHER, "c2")],
        "entitlements": [{"id": "e1", "customerId": "c1", "awsAccountId": CANARY, "by": CANARY, "status": status}],
        "private-offers": [offer(CANARY, "o1", "c1"), offer(OTHER, "o2", "c2")],
    }
    site.served.lists = {name: [json.dumps(one) for one in of] for name, of in lists.items()}


def sync(site):
    return site.sync(*TABLES, destination=site.place)


def rows(site, query):
    with site.pipeline(site.place).sql_client() as client:
        return client.execute_sql(query)


def everything(site):
    """The text of all values of all tables."""
    found = rows(
        site,
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema LIKE 'automatum%' "
        "AND table_type = 'BASE TABLE'",
    )
    assert ("automatum", "customers_history") in found
    return "\n".join(str(rows(site, f'SELECT * FROM "{of}"."{name}"')) for of, name in found)


def forget(site, id_="c1"):
    pipeline = site.pipeline(site.place)
    with one_client(pipeline):
        return forget_customer(pipeline, site.resolved(), id_)


@pytest.mark.slow
def test_forgotten_stays_forgotten(site):
    serve(site)
    sync(site)
    serve(site, "inactive")
    sync(site)
    hashes = {one for (one,) in rows(site, "SELECT _row_hash FROM automatum.customers_history WHERE id = 'c1'")}
    shown = forget(site).show()
    assert shown["rows"]["customers"] == 1
    assert shown["rows"]["customers_history"] == 2
    assert everything(site).count(CANARY) > 10
    assert forget(site).confirm()["rows"] == shown["rows"]
    left = everything(site)
    assert CANARY not in left
    assert not [one for one in hashes if one in left]
    assert left.count(OTHER) > 8
    assert sync(site).code == 0
    assert CANARY not in everything(site)
    assert sync(site).summary.changed is False
    serve(site, "active again")
    assert sync(site).counts("customers")[1] == 1
    assert rows(site, "SELECT status, email, company_name, extra FROM automatum.customers WHERE id = 'c1'") == [
        ("active again", None, None, None)
    ]
    assert CANARY not in everything(site)


@pytest.mark.slow
def test_after_the_tables_are_dropped_it_is_still_forgotten(site):
    serve(site)
    sync(site)
    forget(site).confirm()
    for name in (*TABLES, *(f"{one}_history" for one in TABLES)):
        rows(site, f"DELETE FROM automatum.{name}")
    assert sync(site).counts("customers")[0] == 2
    assert CANARY not in everything(site)
    assert OTHER in everything(site)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["drop_sources", "drop_resources", "drop_data"])
def test_dlt_with_a_refresh_loads_it_without_personal_data_i10(site, mode, monkeypatch):
    serve(site)
    sync(site)
    forget(site).confirm()
    known = {name: getattr(site.served, name) for name in ("base_url", "client_id", "client_secret")}
    for name, value in (known | {"history": "true"}).items():
        monkeypatch.setenv(f"SOURCES__AUTOMATUM__{name.upper()}", value)
    place = site.place or dlt.destinations.duckdb(str(site.database))
    folder = str(site.folder / "own")
    pipeline = dlt.pipeline("own", destination=place, dataset_name="automatum", pipelines_dir=folder)
    pipeline.run(automatum_source().with_resources(*TABLES), refresh=mode)
    assert rows(site, "SELECT id FROM automatum.customers ORDER BY id") == [("c1",), ("c2",)]
    left = everything(site)
    assert CANARY not in left
    assert OTHER in left


@pytest.mark.slow
def test_the_command_changes_nothing_until_it_is_confirmed(site, tmp_path, monkeypatch):
    if site.place:
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", site.place.config_params["credentials"])
    serve(site)
    sync(site)
    place = ["--destination", "postgres"] if site.place else ["--database", str(site.database)]
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        return CliRunner().invoke(app, ["forget", *arguments, *place])

    shown = run("c1")
    assert (shown.exit_code, "add --confirm" in shown.output) == (0, True), shown.output
    assert CANARY in everything(site)
    done = run("c1", "--confirm", "--json")
    assert (done.exit_code, json.loads(done.stdout)["confirmed"]) == (0, True), done.output
    assert CANARY not in everything(site)
    assert run("c9", "--confirm").exit_code == 78


def test_tables_of_others_in_a_schema_with_the_name_of_the_staging_dataset_stay(site):
    """As those that dbt makes for models with the schema `staging`."""
    serve(site)
    sync(site)
    with site.pipeline(site.place).sql_client() as client:
        client.execute_sql("CREATE SCHEMA IF NOT EXISTS automatum_staging")
        client.execute_sql("CREATE TABLE automatum_staging.stg_plans AS SELECT 1 AS plan")
        client.execute_sql("CREATE VIEW automatum_staging.stg_customers AS SELECT id FROM automatum.customers")
    forget(site).confirm()
    assert rows(site, "SELECT plan FROM automatum_staging.stg_plans") == [(1,)]


def test_an_unknown_customer_is_refused(site):
    serve(site)
    sync(site)
    with pytest.raises(ConfigurationError, match="no table of the dataset automatum has a row of 'c9'") as error:
        forget(site, "c9").confirm()
    assert error.value.exit_code == 78
    assert not rows(site, "SELECT table_name FROM information_schema.tables WHERE table_name = '_automatum_forgotten'")


def test_another_destination_is_refused(tmp_path):
    place = dlt.destinations.filesystem(str(tmp_path))
    pipeline = dlt.pipeline("other", pipelines_dir=str(tmp_path / "p"), destination=place, dataset_name="d")
    with pytest.raises(ConfigurationError, match="filesystem is not supported"):
        from automatum.operations.forget import Forget

        Forget(pipeline, (), "c1")
