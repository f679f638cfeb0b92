"""Which place keeps the quota: what `quota_url` may say, and whose budget it is (I4, I6)."""

import logging
import os
from pathlib import Path

import platformdirs
import pytest

from automatum.api.rate_limit import open_rate_limiters, state_name, stores
from automatum.api.rate_limit.redis import RedisStore
from automatum.api.rate_limit.stores import SqliteStore, Store
from automatum.config.settings import resolve_settings
from automatum.core.budget import Budget
from automatum.core.errors import EXIT_CONFIGURATION, ConfigurationError
from automatum.metering.ledger.location import default_ledger_url
from tests.support.loopback import closed_port
from tests.support.quota_fixtures import spend, used

SECRET = "secret_canary_1a2b3c"
CLIENT = "app_canary_7e6d5c"


@pytest.fixture
def build(clock):
    """Opens limiters as `connect` does, and closes them."""
    made = []

    def one(url=None, client=CLIENT, host="https://api.example.com", **more):
        values = {"client_id": client, "client_secret": SECRET, "base_url": host, "quota_url": url, **more}
        made.extend(open_rate_limiters(resolve_settings({k: v for k, v in values.items() if v is not None}), clock))
        return made[-1]

    yield one
    for limiter in made:
        limiter.close()


def files(folder):
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*.sqlite"))


# ---- forms


def test_by_default_it_is_a_file_in_the_users_state_folder(build, tmp_path, clock):
    limiter = build()
    spend(limiter, Budget(clock))
    folder = Path(platformdirs.user_state_path("automatum", appauthor=False))
    assert tmp_path in folder.parents, "tests write nothing into the real home"
    (name,) = files(folder)
    assert name.startswith("quota-")
    assert isinstance(limiter._store, SqliteStore)


@pytest.mark.skipif(os.name != "posix" or os.uname().sysname == "Darwin", reason="XDG is not asked here")
def test_the_state_folder_is_where_xdg_says(build, tmp_path, clock, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    spend(build(), Budget(clock))
    assert len(files(tmp_path / "xdg" / "automatum")) == 1
    assert files(tmp_path / "home") == []


@pytest.mark.skipif(os.name != "posix" or os.uname().sysname == "Darwin", reason="XDG is not asked here")
@pytest.mark.parametrize("home", [None, "", "here"])
def test_a_user_without_a_home_counts_alone_and_has_no_place_for_a_ledger(build, clock, monkeypatch, caplog, home):
    """As in a container that runs under a number without a name."""
    for name in ("HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    settings = resolve_settings({"client_id": CLIENT, "client_secret": SECRET})
    with caplog.at_level(logging.WARNING, "automatum"):
        spend(build(), Budget(clock))
    assert "HOME: is not the absolute path of a folder" in caplog.text
    with pytest.raises(ConfigurationError, match="Set it, or XDG_DATA_HOME"):
        default_ledger_url(settings)


def test_an_absolute_path(build, tmp_path, clock):
    spend(build(f"sqlite:///{tmp_path}/my quota/q.sqlite"), Budget(clock))
    assert files(tmp_path) == ["my quota/q.sqlite"]


def test_a_relative_path_is_one_below_the_working_folder(build, tmp_path, clock):
    spend(build("sqlite:///here/q.sqlite"), Budget(clock))
    assert files(tmp_path / "work") == ["here/q.sqlite"]


def test_a_relative_path_stays_where_it_was_when_the_working_folder_changes(build, tmp_path, clock, monkeypatch):
    limiter = build("sqlite:///q.sqlite")
    monkeypatch.chdir(tmp_path)
    spend(limiter, Budget(clock))
    assert files(tmp_path) == ["work/q.sqlite"]


def test_memory(build):
    assert isinstance(build("memory://")._store, Store)


@pytest.mark.parametrize("scheme", ["redis", "rediss", "valkey", "valkeys"])
def test_a_server_by_each_of_its_names(build, scheme):
    store = build(f"{scheme}://127.0.0.1:{closed_port()}/3")._store
    assert isinstance(store, RedisStore)
    kind = store._client.connection_pool.connection_class.__name__
    assert ("SSL" in kind) == (scheme in ("rediss", "valkeys"))
    assert store._client.connection_pool.connection_kwargs["db"] == 3


def test_a_server_on_a_unix_socket(build, valkey, clock):
    one, other = build(valkey.url), build(valkey.url)
    spend(one, Budget(clock), 3)
    assert used(other) == [3, 3, 3, 3]


# ---- what makes no sense


@pytest.mark.parametrize(
    "url",
    ["nonsense", "sqlite://relative.sqlite", "sqlite:///", "sqlite:", "http://host/", "/a/path", "postgres://h/d"],
)
def test_what_makes_no_sense_is_refused_with_the_key_and_the_forms(build, url):
    with pytest.raises(ConfigurationError) as caught:
        build(url)
    assert caught.value.key == "sources.automatum.quota_url"
    assert caught.value.exit_code == EXIT_CONFIGURATION
    assert "sqlite:////absolute/path.sqlite" in caught.value.next_step


@pytest.mark.parametrize(
    "url",
    [
        "redis://host:port/0",
        "redis://host:99999/0",
        "redis://[half",
    ],
)
def test_a_server_whose_url_makes_no_sense_is_refused_with_the_key(build, url):
    with pytest.raises(ConfigurationError) as caught:
        build(url)
    assert caught.value.key == "sources.automatum.quota_url"
    assert caught.value.exit_code == EXIT_CONFIGURATION


def test_a_server_without_the_package_for_it_is_refused_with_the_command(build, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "redis", None)
    with pytest.raises(ConfigurationError, match="the package redis is not installed") as caught:
        build("redis://host:6379/0")
    assert caught.value.next_step == "pip install 'redis>=5.2'"


def test_a_chosen_file_on_a_network_file_system_is_refused(build, tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "network_file_system", lambda path: "nfs4")
    with pytest.raises(ConfigurationError, match="network file system"):
        build(f"sqlite:///{tmp_path}/q.sqlite")


def test_the_default_file_on_a_network_file_system_leads_to_a_count_in_memory_and_logged(
    build, clock, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(stores, "network_file_system", lambda path: "nfs4")
    limiter = build()
    spend(limiter, Budget(clock), 2)
    assert used(limiter) == [2, 2, 2, 2]
    (said,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    for part in ("network file system (nfs4)", "counts its requests alone", "redis://"):
        assert part in said
    assert files(tmp_path) == []


# ---- whose budget


@pytest.fixture(params=["sqlite", "redis"])
def place(request):
    """A place that several applications share."""
    return request.getfixturevalue("valkey").url if request.param == "redis" else None


def test_the_same_application_has_one_budget(build, place, clock):
    one, other = build(place), build(place)
    spend(one, Budget(clock), 4)
    assert used(other) == [4, 4, 4, 4]


@pytest.mark.parametrize(
    "different",
    [{"client": "app_other"}, {"host": "https://sandbox.example.com"}, {"host": "https://api.example.com/a"}],
)
def test_another_application_or_host_has_another_budget(build, place, clock, different):
    one, other = build(place), build(place, **different)
    spend(one, Budget(clock), 4)
    assert used(other) == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "host",
    [
        "https://api.example.com/",
        "https://API.example.com",
        "https://api.example.com:443",
        "https://api.example.com:443/",
    ],
)
def test_another_spelling_of_the_host_has_the_same_budget(build, clock, host):
    spend(build(), Budget(clock), 4)
    assert used(build(host=host)) == [4, 4, 4, 4]


def test_the_name_shows_neither_host_nor_client(build, tmp_path, valkey, clock):
    spend(build(), Budget(clock))
    spend(build(valkey.url), Budget(clock))
    shown = " ".join(files(tmp_path) + [key.decode() for key in valkey.client.scan_iter()])
    for hidden in (CLIENT, "canary", SECRET, "example"):
        assert hidden not in shown
    stored = b"".join(one.read_bytes() for one in tmp_path.rglob("*.sqlite*"))
    stored += b"".join(valkey.client.hget(key, "body") for key in valkey.client.scan_iter())
    for hidden in (CLIENT, SECRET, "example.com"):
        assert hidden.encode() not in stored


def test_the_name_is_the_same_in_every_process_and_version():
    settings = resolve_settings({"client_id": "app", "client_secret": SECRET, "base_url": "https://h.example"})
    assert state_name(settings) == "b98f8c3534de9502"


def test_windows_and_timeout_are_those_of_the_settings(build, clock):
    limiter = build("memory://", application_limits=[[2, 7]], request_timeout=5)
    assert [(row["limit"], row["seconds"]) for row in limiter.window_usage()][:2] == [(2, 7.0), (500, 60.0)]
    limiter.acquire(None, Budget(clock))
    clock.advance(2 * 5 + 7.1)
    assert used(limiter)[0] == 0, "a lost request was over after twice the timeout"
