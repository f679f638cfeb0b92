"""Settings: where they come from, what is refused, and that the secret is not shown."""

import json
from datetime import date

import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from automatum.config.base_url import DEFAULT_BASE_URL
from automatum.config.settings import APPLICATION_LIMITS, NAMES, ORGANIZATION_LIMITS, resolve_settings
from automatum.core.errors import EXIT_CONFIGURATION, ConfigurationError
from automatum.core.redaction import redact

CREDENTIALS = {"client_id": "app_1a2b", "client_secret": "secret_settings_canary_1"}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in ("CLIENT_ID", "CLIENT_SECRET", "BASE_URL", "SINCE", "TABLES", "APPLICATION_LIMITS"):
        monkeypatch.delenv(f"SOURCES__AUTOMATUM__{name}", raising=False)
        monkeypatch.delenv(f"AUTOMATUM_{name}", raising=False)


def refused(**values):
    with pytest.raises(ConfigurationError) as caught:
        resolve_settings({**CREDENTIALS, **values})
    assert caught.value.exit_code == EXIT_CONFIGURATION
    assert CREDENTIALS["client_secret"] not in str(caught.value)
    return caught.value


def test_the_defaults_are_the_vendors():
    settings = resolve_settings(CREDENTIALS)
    assert settings.base_url == DEFAULT_BASE_URL == "https://api.automatum.io"
    assert settings.app_limits() == APPLICATION_LIMITS == ((50, 60.0), (1000, 3600.0))
    assert settings.org_limits() == ORGANIZATION_LIMITS == ((500, 60.0), (10000, 3600.0))
    assert settings.first_day(date(2026, 3, 1)) == date(2025, 3, 1)


def test_dlts_names_in_the_environment(monkeypatch):
    monkeypatch.setenv("SOURCES__AUTOMATUM__CLIENT_ID", "app_dlt")
    monkeypatch.setenv("SOURCES__AUTOMATUM__CLIENT_SECRET", "secret_dlt_123456")
    monkeypatch.setenv("SOURCES__AUTOMATUM__APPLICATION_LIMITS", json.dumps([[5, 1], [9, 60.5]]))
    monkeypatch.setenv("AUTOMATUM_CLIENT_ID", "app_vendor")
    settings = resolve_settings()
    assert (settings.client_id, settings.client_secret.reveal()) == ("app_dlt", "secret_dlt_123456")
    assert settings.app_limits() == ((5, 1.0), (9, 60.5))


def test_the_vendors_names_in_the_environment(monkeypatch):
    monkeypatch.setenv("AUTOMATUM_CLIENT_ID", "app_vendor")
    monkeypatch.setenv("AUTOMATUM_CLIENT_SECRET", "vendor-canary-123456")
    settings = resolve_settings()
    assert (settings.client_id, settings.client_secret.reveal()) == ("app_vendor", "vendor-canary-123456")
    assert redact("vendor-canary-123456") == "***"


@pytest.mark.parametrize("name", ["client_id", "client_secret"])
def test_a_missing_credential_is_named_with_what_to_set(monkeypatch, name):
    other = next(one for one in CREDENTIALS if one != name)
    monkeypatch.setenv(f"AUTOMATUM_{other.upper()}", CREDENTIALS[other])
    with pytest.raises(ConfigurationError) as caught:
        resolve_settings()
    assert caught.value.key == f"sources.automatum.{name}"
    assert f"AUTOMATUM_{name.upper()}" in caught.value.next_step
    assert "Settings > Integrations > API Access" in caught.value.next_step


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("https://api.example.com/", "https://api.example.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:1/", "http://localhost:1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("https://proxy.example.com/automatum/", "https://proxy.example.com/automatum"),
        ("https://proxy.example.com:8443/a/b-c", "https://proxy.example.com:8443/a/b-c"),
        ("https://proxy.example.com/api//", "https://proxy.example.com/api"),
    ],
)
def test_the_base_url_is_a_root_or_the_path_of_a_gateway(url, root):
    assert resolve_settings({**CREDENTIALS, "base_url": url}).base_url == root


@pytest.mark.parametrize(
    "url",
    [
        "http://api.automatum.io", "http://127.0.0.1.example.com", "http://localhost@evil.example", "ftp://x", "x", "",
        "https://", "https://api.automatum.io/api/v1", "https://u:p@api.automatum.io", "https://api.automatum.io?x=1",
        "https://api.automatum.io#x", "http://[", "https://api.automatum.io:port", "https://proxy.example.com/a/../b",
        "https://proxy.example.com/%2e%2e/b", "https://proxy.example.com/a b", "https://proxy.example.com/a?x=1",
    ],
)  # fmt: skip
def test_any_other_base_url_is_refused(url):
    assert refused(base_url=url).key == "sources.automatum.base_url"


@pytest.mark.parametrize("added", ["/api/v1", "/api/v1/", "/oauth/token"])
def test_a_base_url_with_a_path_that_is_added_anyway_is_refused_with_what_to_write(added):
    error = refused(base_url=f"https://proxy.example.com/automatum{added}")
    assert error.key == "sources.automatum.base_url"
    assert error.next_step == "Write https://proxy.example.com/automatum."


@pytest.mark.parametrize("value", [[], [[0, 60]], [[5, 0]], [[5, -1]], [[5]], [["many", 60]], [5], [[-5, 60]]])
def test_windows_that_make_no_sense_are_refused(value):
    assert refused(application_limits=value).key == "sources.automatum.application_limits"


@pytest.mark.parametrize(
    ("limits", "organization"),
    [
        ([[5, 60]], ((500, 60.0), (10_000, 3600.0))),
        ([[60, 60], [3000, 3600]], ((600, 60.0), (30_000, 3600.0))),
        ([[100, 1]], ((1000, 60.0), (10_000, 3600.0))),
    ],
)
def test_an_organization_has_ten_times_the_limits_of_an_application_and_not_less_than_documented(limits, organization):
    assert resolve_settings({**CREDENTIALS, "application_limits": limits}).org_limits() == organization


@pytest.mark.parametrize(
    ("limits", "checks"), [(None, 250), ([[300, 60], [8000, 3600]], 2000), ([[1, 1]], 900), ([[3, 3600]], 1)]
)
def test_a_run_asks_for_missing_rows_with_a_quarter_of_the_requests_of_an_hour(limits, checks):
    assert resolve_settings({**CREDENTIALS, "application_limits": limits}).delete_checks() == checks


@pytest.mark.parametrize("value", [0, -1])
def test_bounds_are_above_zero(value):
    assert refused(request_timeout=value).key == "sources.automatum.request_timeout"


def test_the_first_day_is_a_date():
    assert resolve_settings({**CREDENTIALS, "since": "2024-02-29"}).first_day() == date(2024, 2, 29)
    assert "YYYY-MM-DD" in refused(since="last week").next_step


def test_a_wrong_type_is_named_without_its_value(monkeypatch):
    monkeypatch.setenv("SOURCES__AUTOMATUM__APPLICATION_LIMITS", "secret_settings_canary_1")
    error = refused()
    assert error.key == "sources.automatum.application_limits"


def test_the_secret_is_not_shown():
    settings = resolve_settings(CREDENTIALS)
    for text in (repr(settings), str(settings), f"{settings}"):
        assert CREDENTIALS["client_secret"] not in text
        assert "app_1a2b" in text


def test_true_in_a_file_is_no_text(tmp_path, monkeypatch):
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "config.toml").write_text("[sources.automatum]\ndeletes = true\n")
    monkeypatch.chdir(tmp_path)
    with (
        Container().injectable_context(PluggableRunContext()),
        pytest.raises(ConfigurationError, match="is not a text"),
    ):
        resolve_settings(CREDENTIALS)


def test_the_settings_can_be_counted():
    """The budget is 28 (design, §0), and `applications`, which came later."""
    assert len(NAMES) <= 29
