"""Airflow's connections and variables as dlt's configuration, told by a real Airflow: its own environment variables."""

import json

SHOW = """
import io, json, logging, os, sys
import dlt
from automatum.airflow_settings import airflow_settings
from automatum.errors import AutomatumError
from automatum.settings import resolve_settings

before = dict(os.environ)
organization = sys.argv[1] or None
try:
    with airflow_settings(organization) as warehouse:
        settings = resolve_settings(organization=organization)
        from dlt.destinations.impl.postgres.configuration import PostgresCredentials
        found = {
            "settings": {name: getattr(settings, name) for name in sys.argv[2].split(",")},
            "warehouse": [warehouse.destination, warehouse.database],
            "postgres": dlt.secrets.get("destination.postgres.credentials"),
        }
    found["after"] = [dlt.config.get("sources.automatum.base_url"), dlt.secrets.get("destination.postgres.credentials")]
    found["environment_kept"] = dict(os.environ) == before
    from airflow.sdk._shared.secrets_masker import redact
    found["masked"] = redact("a " + " b ".join(sys.argv[3:]) + " c")
except AutomatumError as error:
    found = {"error": str(error), "exit_code": error.exit_code}
print(json.dumps(found))
"""


def show(installation, settings, organization="", masked=(), **environment):
    """What dlt's configuration holds in a task whose Airflow is told so."""
    done = installation.python(SHOW, organization, settings, *masked, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def connection(**fields):
    return json.dumps(fields)


def test_a_connection_is_the_application_and_stronger_than_the_workers_environment(installation):
    """Login, password, host and extra; gone after the task, and `os.environ` untouched."""
    found = show(
        installation,
        "client_id,client_secret,base_url,quota_url,application_limits",
        masked=["secret-of-airflow", "quota-password"],
        AIRFLOW_CONN_AUTOMATUM=connection(
            conn_type="http",
            login="app_airflow",
            password="secret-of-airflow",
            host="api.example.com",
            extra={"quota_url": "redis://:quota-password@localhost/0", "application_limits": [[6, 1.0]]},
        ),
        SOURCES__AUTOMATUM__CLIENT_ID="app_environment",
        SOURCES__AUTOMATUM__CLIENT_SECRET="secret-of-environment",
    )
    assert found["settings"] == {
        "client_id": "app_airflow",
        "client_secret": "secret-of-airflow",
        "base_url": "https://api.example.com",
        "quota_url": "redis://:quota-password@localhost/0",
        "application_limits": [[6, 1.0]],
    }
    assert found["warehouse"] == [None, None]
    assert found["after"] == [None, None] and found["environment_kept"]
    assert found["masked"] == "a *** b *** c"  # I6


def test_the_worker_configuration_holds_where_airflow_says_nothing(installation):
    found = show(
        installation,
        "client_id,base_url",
        SOURCES__AUTOMATUM__CLIENT_ID="app_environment",
        SOURCES__AUTOMATUM__CLIENT_SECRET="secret-of-environment",
    )
    assert found["settings"] == {"client_id": "app_environment", "base_url": "https://api.automatum.io"}


def test_each_organization_has_its_connection_over_what_is_common(installation):
    """The entry's own section for its credentials is respected, too."""
    told = {
        "AIRFLOW_VAR_AUTOMATUM_CONFIG": """
            [sources.automatum]
            history = true
            deletes = "hard"
            [[sources.automatum.organizations]]
            name = "acme"
            [[sources.automatum.organizations]]
            name = "globex"
            credentials = "vendors.globex"
        """,
        "AIRFLOW_CONN_AUTOMATUM": connection(conn_type="http", host="http://127.0.0.1", port=8700),
        "AIRFLOW_CONN_AUTOMATUM_ACME": connection(
            conn_type="http", login="app_acme", password="secret-of-acme", extra={"deletes": "ignore"}
        ),
        "AIRFLOW_CONN_AUTOMATUM_GLOBEX": connection(conn_type="http", login="app_globex", password="secret-of-globex"),
    }
    names = "client_id,client_secret,base_url,deletes,history,organization"
    acme, globex = (show(installation, names, one, **told)["settings"] for one in ("acme", "globex"))
    base = {"base_url": "http://127.0.0.1:8700", "history": True}
    assert acme == {
        **base,
        "client_id": "app_acme",
        "client_secret": "secret-of-acme",
        "deletes": "ignore",
        "organization": "acme",
    }
    assert globex == {
        **base,
        "client_id": "app_globex",
        "client_secret": "secret-of-globex",
        "deletes": "hard",
        "organization": "globex",
    }


def test_a_postgres_warehouse_and_ledger_are_connections(installation):
    """A password with signs that a URL has to escape."""
    found = show(
        installation,
        "ledger_url",
        masked=["pass/word@1"],
        AIRFLOW_CONN_AUTOMATUM=connection(conn_type="http", login="app", password="secret-of-app"),
        AIRFLOW_CONN_AUTOMATUM_WAREHOUSE=connection(
            conn_type="postgres",
            host="db",
            port=5433,
            schema="market",
            login="loader",
            password="pass/word@1",
            extra={"connect_timeout": 7},
        ),
        AIRFLOW_CONN_AUTOMATUM_LEDGER=connection(
            conn_type="postgres", host="db", schema="ledger", login="loader", password="pass/word@1"
        ),
    )
    assert found["warehouse"] == ["postgres", None]
    assert found["postgres"] == {
        "host": "db",
        "port": 5433,
        "username": "loader",
        "password": "pass/word@1",
        "database": "market",
        "connect_timeout": 7,
    }
    assert found["settings"] == {"ledger_url": "postgresql://loader:pass%2Fword%401@db/ledger"}
    assert found["masked"] == "a *** c"


def test_a_duckdb_warehouse_is_a_file(installation):
    found = show(
        installation,
        "ledger_url",
        AIRFLOW_CONN_AUTOMATUM=connection(conn_type="http", login="app", password="secret-of-app"),
        AIRFLOW_CONN_AUTOMATUM_WAREHOUSE=connection(conn_type="duckdb", host="/data/market.duckdb"),
        AIRFLOW_CONN_AUTOMATUM_LEDGER=connection(conn_type="sqlite", host="/data/ledger.sqlite"),
    )
    assert found["warehouse"] == ["duckdb", "/data/market.duckdb"]
    assert found["settings"] == {"ledger_url": "sqlite:////data/ledger.sqlite"}


def test_a_broken_variable_or_connection_is_named_and_not_shown(installation):
    """I6: a parser's message would show the text around the fault."""
    for told, name in (
        ({"AIRFLOW_VAR_DLT_SECRETS_TOML": "client_secret = secret-without-quotes"}, "variable dlt_secrets_toml"),
        ({"AIRFLOW_VAR_AUTOMATUM_CONFIG": '["secret-without-quotes"]'}, "variable automatum_config"),
        (
            {"AIRFLOW_CONN_AUTOMATUM": connection(conn_type="http", extra="{'a': 'secret-without-quotes'")},
            "connection automatum",
        ),
    ):
        found = show(installation, "client_id", **told)
        assert found["exit_code"] == 78 and name in found["error"], told
        assert "secret-without" not in found["error"]
