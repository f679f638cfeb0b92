"""Airflow's connections and variables as dlt's configuration, told by a real Airflow: its own environment variables."""

import json

import pytest

SHOW = """
import json, os, sys
import dlt
import orjson
from airflow.sdk._shared.secrets_masker import redact
from automatum.config.airflow import airflow_settings
from automatum.core.errors import AutomatumError
from automatum.core.redaction import reveal
from automatum.config.credentials import reload_credentials
from automatum.config.settings import resolve_settings

plain = lambda value: orjson.loads(orjson.dumps(value, reveal))

def show(told, organization, names):
    os.environ.update(told)
    before = dict(os.environ)
    try:
        with airflow_settings(organization) as warehouse:
            settings = resolve_settings(organization=organization)
            found = {
                "settings": {name: plain(getattr(settings, name)) for name in names},
                "warehouse": [warehouse.destination, warehouse.database],
                "postgres": dlt.secrets.get("destination.postgres.credentials"),
            }
        after = dlt.config.get("sources.automatum.base_url"), dlt.secrets.get("destination.postgres.credentials")
        return {**found, "gone": after == (None, None), "environment_kept": dict(os.environ) == before}
    except AutomatumError as error:
        return {"error": str(error), "exit_code": error.exit_code}
    finally:
        for name in told:
            del os.environ[name]

def rotated():
    # What `reload_credentials` finds after the connection has changed under a task.
    with_secret = lambda text: json.dumps({"conn_type": "http", "login": "app_rotated", "password": text})
    os.environ["AIRFLOW_CONN_AUTOMATUM"] = with_secret("secret-before")
    with airflow_settings():
        settings = resolve_settings()
        os.environ["AIRFLOW_CONN_AUTOMATUM"] = with_secret("secret-after")
        return [plain(one) for one in (settings.client_secret, *reload_credentials(settings.credentials_from))]

cases, texts = json.loads(sys.argv[1]), json.loads(sys.argv[2])
found = {name: show(**case) for name, case in cases.items()}
found["rotated"] = rotated()
print(json.dumps([found, [redact(text) for text in texts]]))
"""


def connection(**fields):
    return json.dumps(fields)


def case(told, names, organization=None):
    return {"told": told, "organization": organization, "names": names.split()}


_APP = {"AIRFLOW_CONN_AUTOMATUM": connection(conn_type="http", login="app", password="secret-of-app")}
_POOL = [{"client_id": "app_2", "client_secret": "secret-of-pool"}]
_CREDENTIALS = {"client_id": "app", "client_secret": "secret-in-toml"}
_WORKER = {
    "SOURCES__AUTOMATUM__CLIENT_ID": "app_environment",
    "SOURCES__AUTOMATUM__CLIENT_SECRET": "secret-of-environment",
}
_ORGANIZATIONS = {
    "AIRFLOW_VAR_DLT_SECRETS_TOML": """
        [sources.automatum]
        history = true
        deletes = "hard"
        [[sources.automatum.organizations]]
        name = "acme"
        [[sources.automatum.organizations]]
        name = "globex"
    """,
    "AIRFLOW_CONN_AUTOMATUM": connection(conn_type="http", host="http://127.0.0.1", port=8700),
    "AIRFLOW_CONN_AUTOMATUM_ACME": connection(
        conn_type="http", login="app_acme", password="secret-of-acme", extra={"deletes": "ignore"}
    ),
    "AIRFLOW_CONN_AUTOMATUM_GLOBEX": connection(conn_type="http", login="app_globex", password="secret-of-globex"),
}
_OF_ORGANIZATION = "client_id client_secret base_url deletes history organization"
CASES = {
    "connection": case(
        {
            **_WORKER,
            "AIRFLOW_CONN_AUTOMATUM": connection(
                conn_type="http",
                login="app_airflow",
                password="secret-of-airflow",
                host="api.example.com",
                extra={"quota_url": "redis://:quota-password@localhost/0", "application_limits": [[6, 1.0]]},
            ),
        },
        "client_id client_secret base_url quota_url application_limits",
    ),
    "pool": case(
        {
            "AIRFLOW_CONN_AUTOMATUM": connection(
                conn_type="http", login="app", password="secret-of-app", extra={"applications": _POOL}
            )
        },
        "client_id applications",
    ),
    "worker": case(_WORKER, "client_id base_url"),
    "acme": case(_ORGANIZATIONS, _OF_ORGANIZATION, "acme"),
    "globex": case(_ORGANIZATIONS, _OF_ORGANIZATION, "globex"),
    "postgres": case(
        {
            **_APP,
            "AIRFLOW_CONN_AUTOMATUM_WAREHOUSE": connection(
                conn_type="postgres",
                host="db",
                port=5433,
                schema="market",
                login="loader",
                password="pass/word@1",
                extra={"connect_timeout": 7},
            ),
        },
        "client_id",
    ),
    "duckdb": case(
        {
            **_APP,
            "AIRFLOW_CONN_AUTOMATUM_WAREHOUSE": connection(conn_type="duckdb", host="/data/market.duckdb"),
        },
        "client_id",
    ),
    "generic": case(
        {
            **_APP,
            "AIRFLOW_CONN_AUTOMATUM_WAREHOUSE": connection(
                conn_type="generic", host="db", schema="market", extra={"destination": "postgres", "connect_timeout": 7}
            ),
        },
        "client_id",
    ),
    "connection automatum_warehouse": case(
        {**_APP, "AIRFLOW_CONN_AUTOMATUM_WAREHOUSE": connection(conn_type="generic", host="db")}, "client_id"
    ),
    "secrets": case(
        {
            "AIRFLOW_VAR_DLT_SECRETS_TOML": '[sources.automatum]\nclient_secret = "secret-in-toml"\nhistory = true',
            "AIRFLOW_CONN_AUTOMATUM": connection(conn_type="http", login="app"),
        },
        "client_id client_secret history",
    ),
    "secrets as JSON": case(
        {"AIRFLOW_VAR_DLT_SECRETS_TOML": json.dumps({"sources": {"automatum": {**_CREDENTIALS, "history": True}}})},
        "client_id client_secret history",
    ),
    "warehouse": case(_ORGANIZATIONS, "client_id", "warehouse"),
    "variable dlt_secrets_toml": case({"AIRFLOW_VAR_DLT_SECRETS_TOML": "client_secret = secret-without"}, "client_id"),
    "a list": case({"AIRFLOW_VAR_DLT_SECRETS_TOML": '["secret-without"]'}, "client_id"),
    "connection automatum": case(
        {"AIRFLOW_CONN_AUTOMATUM": connection(conn_type="http", extra="{'a': 'secret-without'")}, "client_id"
    ),
}
SAID = [
    "a secret-of-airflow b",
    "a quota-password b",
    "a secret-of-globex b",
    "a pass/word@1 b",
    "a secret-in-toml b",
    "a secret-after b",
    "a secret-of-pool b",
]


@pytest.fixture(scope="module")
def shown(installation):
    """What dlt's configuration held in each case; what was said, as Airflow's log would show it afterwards."""
    done = installation.python(SHOW, json.dumps(CASES), json.dumps(SAID))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_connection_is_the_application_and_stronger_than_the_workers_environment(shown):
    """Login, password, host and extra; gone after the task, and `os.environ` untouched."""
    found = shown[0]["connection"]
    assert found["settings"] == {
        "client_id": "app_airflow",
        "client_secret": "secret-of-airflow",
        "base_url": "https://api.example.com",
        "quota_url": "redis://:quota-password@localhost/0",
        "application_limits": [[6, 1.0]],
    }
    assert found["warehouse"] == [None, None]
    assert found["gone"] and found["environment_kept"]


def test_extra_has_the_further_applications_of_the_organization(shown):
    assert shown[0]["pool"]["settings"] == {"client_id": "app", "applications": _POOL}


def test_the_worker_configuration_holds_where_airflow_says_nothing(shown):
    assert shown[0]["worker"]["settings"] == {"client_id": "app_environment", "base_url": "https://api.automatum.io"}


def test_each_organization_has_its_connection_over_what_is_common(shown):
    base = {"base_url": "http://127.0.0.1:8700", "history": True}
    assert shown[0]["acme"]["settings"] == {
        **base,
        "client_id": "app_acme",
        "client_secret": "secret-of-acme",
        "deletes": "ignore",
        "organization": "acme",
    }
    assert shown[0]["globex"]["settings"] == {
        **base,
        "client_id": "app_globex",
        "client_secret": "secret-of-globex",
        "deletes": "hard",
        "organization": "globex",
    }


def test_a_postgres_warehouse_is_a_connection(shown):
    found = shown[0]["postgres"]
    assert found["warehouse"] == ["postgres", None]
    assert found["postgres"] == {
        "host": "db",
        "port": 5433,
        "username": "loader",
        "password": "pass/word@1",
        "database": "market",
        "connect_timeout": 7,
    }


def test_a_duckdb_warehouse_is_a_file(shown):
    assert shown[0]["duckdb"]["warehouse"] == ["duckdb", "/data/market.duckdb"]


def test_extra_says_what_a_generic_connection_is(shown):
    """Airflow makes types generic whose provider is not installed; a guess could write to the wrong place."""
    found = shown[0]["generic"]
    assert found["warehouse"] == ["postgres", None]
    assert found["postgres"] == {"host": "db", "database": "market", "connect_timeout": 7}
    assert shown[0]["connection automatum_warehouse"]["exit_code"] == 78
    assert '"destination"' in shown[0]["connection automatum_warehouse"]["error"]


@pytest.mark.parametrize("name", ["secrets", "secrets as JSON"])
def test_a_variable_holds_a_whole_document(shown, name):
    assert shown[0][name]["settings"] == {"client_id": "app", "client_secret": "secret-in-toml", "history": True}


def test_the_password_of_the_warehouse_is_not_the_secret_of_an_organization_with_that_name(shown):
    """I6: it would be sent to the API."""
    found = shown[0]["warehouse"]
    assert found["exit_code"] == 78
    assert "automatum_warehouse already has another meaning" in found["error"]


def test_a_secret_that_was_rotated_during_the_task_is_read_anew(shown):
    assert shown[0]["rotated"] == ["secret-before", "app_rotated", "secret-after"]


def test_what_is_secret_in_them_is_masked_in_airflows_logs(shown):
    """I6, for passwords in URLs, too, escaped and not."""
    assert shown[1] == ["a *** b"] * len(SAID)


def test_a_broken_variable_or_connection_is_named_and_not_shown(shown):
    """I6: a parser's message would show the text around the fault."""
    named = {"a list": "variable dlt_secrets_toml"}
    for name in ("variable dlt_secrets_toml", "a list", "connection automatum"):
        found = shown[0][name]
        assert found["exit_code"] == 78 and named.get(name, name) in found["error"]
        assert "secret-without" not in found["error"]
