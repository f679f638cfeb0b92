"""The setting `applications`: where it may be, what it refuses, and that it shows no secret (I6)."""

import json
import sys
import traceback
from types import ModuleType, SimpleNamespace

import dlt
import pytest

from automatum.api.rate_limit import open_rate_limiters
from automatum.config.airflow import airflow_settings
from automatum.config.credentials import reload_credentials
from automatum.config.settings import resolve_settings
from automatum.config.source_section import resolve_source_settings
from automatum.core.clock import SystemClock
from automatum.core.errors import ConfigurationError
from automatum.core.redaction import Secret, redact

FIRST, SECOND, THIRD = "secret_canary_first", "secret_canary_second", "secret_canary_third"
PAIR = f'client_id = "app_1"\nclient_secret = "{FIRST}"\n'
MORE = [{"client_id": "app_2", "client_secret": SECOND}, {"client_id": "app_3", "client_secret": THIRD}]
POOL = (("app_2", Secret(SECOND)), ("app_3", Secret(THIRD)))


def toml(section="sources.automatum", entries=MORE):
    lines = [
        f'[[{section}.applications]]\nclient_id = "{e["client_id"]}"\nclient_secret = "{e["client_secret"]}"\n'
        for e in entries
    ]
    return "".join(lines)


def write(folder, text, name="secrets.toml"):
    (folder / ".dlt").mkdir(exist_ok=True)
    (folder / ".dlt" / name).write_text(text)


def test_in_secrets_toml(desk):
    write(desk.folder, f"[sources.automatum]\n{PAIR}{toml()}")
    assert resolve_settings().pool() == POOL


def test_in_the_environment(desk, monkeypatch):
    write(desk.folder, f"[sources.automatum]\n{PAIR}")
    monkeypatch.setenv("SOURCES__AUTOMATUM__APPLICATIONS", json.dumps(MORE))
    assert resolve_settings().pool() == POOL


def test_of_a_program(desk):
    settings = resolve_settings({"client_id": "app_1", "client_secret": FIRST, "applications": MORE})
    assert settings.pool() == POOL
    assert SECOND not in repr(vars(settings))


def test_of_a_dlt_source(desk):
    write(desk.folder, f"[sources.automatum]\n{PAIR}{toml()}")

    @dlt.source(name="automatum", section="automatum")
    def source():
        yield dlt.resource([resolve_source_settings(None).pool()], name="pools")

    assert list(source()) == [POOL]


def test_the_credentials_of_a_program_are_not_completed(desk):
    """They may be another organization's."""
    write(desk.folder, f"[sources.automatum]\n{PAIR}{toml()}")
    assert resolve_settings({"client_id": "app_9", "client_secret": "secret_canary_9"}).pool() == ()


def test_an_organization_does_not_take_those_of_another_section(desk):
    write(desk.folder, '[[sources.automatum.organizations]]\nname = "acme"\n', "config.toml")
    write(desk.folder, f"{toml()}[sources.automatum.acme]\n{PAIR}")
    assert resolve_settings(organization="acme").pool() == ()


def test_an_organization_has_its_own(desk):
    write(desk.folder, '[[sources.automatum.organizations]]\nname = "acme"\n', "config.toml")
    write(desk.folder, f"[sources.automatum.acme]\n{PAIR}{toml('sources.automatum.acme')}")
    assert resolve_settings(organization="acme").pool() == POOL


def test_one_that_another_organization_has_is_refused(desk):
    write(
        desk.folder,
        "".join(f'[[sources.automatum.organizations]]\nname = "{one}"\n' for one in ("a", "b")),
        "config.toml",
    )
    other = f'[sources.automatum.b]\nclient_id = "app_3"\nclient_secret = "{THIRD}"\n'
    write(desk.folder, f"[sources.automatum.a]\n{PAIR}{toml('sources.automatum.a')}{other}")
    with pytest.raises(ConfigurationError, match="app_3"):
        resolve_settings(organization="a")


@pytest.mark.parametrize("name", ["app_1", "app_2"])
@pytest.mark.parametrize("place", ["file", "variable"])
def test_one_that_another_organization_pools_is_refused(desk, monkeypatch, name, place):
    """I5: whichever of the two is read, and whether it is the first one or a further one here."""
    desk.set(organizations=[{"name": "a"}, {"name": "b"}])
    pooled = [{"client_id": name, "client_secret": SECOND}]
    theirs = f'[sources.automatum.b]\nclient_id = "app_9"\nclient_secret = "{THIRD}"\n'
    if place == "file":
        theirs += toml("sources.automatum.b", pooled)
    else:
        monkeypatch.setenv("SOURCES__AUTOMATUM__B__APPLICATIONS", json.dumps(pooled))
    write(desk.folder, f"[sources.automatum.a]\n{PAIR}{toml('sources.automatum.a')}{theirs}")
    for organization, other in (("a", "b"), ("b", "a")):
        with pytest.raises(
            ConfigurationError, match=f"{name} is the OAuth application of the organization {other}"
        ) as e:
            resolve_settings(organization=organization)
        assert "secret_canary" not in str(e.value)


def test_what_another_organization_pools_need_not_be_valid(desk, monkeypatch):
    """One organization's mistake is its own."""
    desk.set(organizations=[{"name": "a"}, {"name": "b"}])
    monkeypatch.setenv("SOURCES__AUTOMATUM__B__APPLICATIONS", "no list")
    write(desk.folder, f"[sources.automatum.a]\n{PAIR}")
    assert resolve_settings(organization="a").client_id == "app_1"


@pytest.fixture
def airflow(desk, monkeypatch):
    """What a task asks Airflow: connections and variables by name, and the texts that its logs mask."""
    held = SimpleNamespace(connections={}, variables={}, masked=[])
    missing = type("AirflowNotFoundException", (Exception,), {})

    def connection(name):
        if name not in held.connections:
            raise missing
        empty = dict.fromkeys(("login", "password", "host", "schema", "port", "extra"))
        return SimpleNamespace(**{**empty, **held.connections[name]})

    ways = SimpleNamespace(get=lambda name, default: held.variables.get(name, default))
    parts = {
        "": {},
        ".sdk": {"Connection": SimpleNamespace(get=connection), "Variable": ways},
        ".sdk.log": {"mask_secret": held.masked.append},
        ".sdk.exceptions": {"AirflowNotFoundException": missing},
    }
    for name, content in parts.items():
        module = ModuleType(f"airflow{name}")
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return held


def test_in_a_connection_of_airflow(airflow):
    """As the DAG reads it; a secret that was rotated is read again, and all are masked (I6)."""
    connection = {"login": "app_1", "password": FIRST, "extra": json.dumps({"applications": MORE})}
    airflow.connections["automatum"] = connection
    with airflow_settings():
        settings = resolve_settings()
        assert settings.pool() == POOL
        rotated = [{**MORE[0], "client_secret": "secret_canary_rotated"}, MORE[1]]
        connection["extra"] = json.dumps({"applications": rotated})
        found = reload_credentials(settings.credentials_from, "app_2")
    assert found == ("app_2", Secret("secret_canary_rotated"))
    assert {FIRST, SECOND, THIRD, "secret_canary_rotated"} <= set(airflow.masked)
    assert SECOND not in redact(SECOND)


def test_in_a_variable_of_airflow(airflow):
    """Of an organization; one that another organization in the variable has is refused."""
    listed = "".join(f'[[sources.automatum.organizations]]\nname = "{one}"\n' for one in ("a", "b"))
    ours = f"{listed}[sources.automatum.a]\n{PAIR}{toml('sources.automatum.a')}"
    airflow.variables["dlt_secrets_toml"] = ours
    with airflow_settings("a"):
        assert resolve_settings(organization="a").pool() == POOL
    theirs = f'[sources.automatum.b]\nclient_id = "app_9"\nclient_secret = "{THIRD}"\n'
    airflow.variables["dlt_secrets_toml"] = f"{ours}{theirs}{toml('sources.automatum.b', MORE[1:])}"
    with airflow_settings("a"), pytest.raises(ConfigurationError, match=r"app_3 is the OAuth application of the .* b"):
        resolve_settings(organization="a")


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([MORE[0], MORE[0]], "app_2 is named twice"),
        ([{"client_id": "app_1", "client_secret": SECOND}], "app_1 is named twice"),
        ([{"client_id": "app_2"}], "needs client_id and client_secret"),
        ([{"client_id": "", "client_secret": SECOND}], "needs client_id and client_secret"),
        ([{**MORE[0], "name": "x"}], "needs client_id and client_secret"),
        ([SECOND], "needs client_id and client_secret"),
    ],
)
def test_what_is_no_list_of_applications_is_refused(desk, entries, said):
    with pytest.raises(ConfigurationError, match=said) as raised:
        resolve_settings({"client_id": "app_1", "client_secret": FIRST, "applications": entries})
    assert raised.value.key.startswith("sources.automatum.applications[")
    shown = "".join(traceback.TracebackException.from_exception(raised.value, capture_locals=True).format())
    assert SECOND not in shown.partition("in parse_applications")[2]


def test_they_are_refused_in_config_toml(desk):
    write(desk.folder, f"[sources.automatum]\n{PAIR}")
    write(desk.folder, toml(), "config.toml")
    with pytest.raises(ConfigurationError, match="not for secrets"):
        resolve_settings()


def test_each_has_a_file_of_its_own_beside_the_first(desk, tmp_path):
    url = f"sqlite:///{tmp_path / 'quota.sqlite'}"
    settings = resolve_settings({"client_id": "app_1", "client_secret": FIRST, "applications": MORE, "quota_url": url})
    limiters = open_rate_limiters(settings, SystemClock())
    assert [one.wait_for(1, alone=True) for one in limiters] == [0, 0, 0]
    assert len(list(tmp_path.glob("quota*.sqlite"))) == 4
    assert (tmp_path / "quota.sqlite").exists()
