"""A place of its own for each test: folder, home, dlt's folders, environment; and sandboxes served on real sockets."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from automatum_sandbox import SandboxConfig, serve
from tests.support.desk import SMALL, VOLUME, Desk, forget

_AMBIENT = ("AUTOMATUM_", "DLT_", "AWS_", "GOOGLE_", "AIRFLOW_")


@pytest.fixture(autouse=True)
def isolated(tmp_path, monkeypatch):
    """No ambient setting or credential, no telemetry; nothing is written outside the test's folder."""
    for name in list(os.environ):
        if "__" in name or name.startswith(_AMBIENT) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name, folder in (("HOME", "home"), ("DLT_DATA_DIR", "dlt")):
        (tmp_path / folder).mkdir()
        monkeypatch.setenv(name, str(tmp_path / folder))
    for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    # A console of fixed width, in every terminal and in none.
    monkeypatch.setenv("COLUMNS", "120")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    forget()
    yield
    forget()


@pytest.fixture
def desk(isolated, monkeypatch):
    """A user at a shell, in a working folder of their own."""
    return Desk(Path.cwd(), monkeypatch)


@pytest.fixture
def start():
    """Serve a sandbox with these options; no limits unless they are given."""
    with ExitStack() as servers:
        yield lambda **options: servers.enter_context(serve(SandboxConfig(**{"limits": None, **options})))


@pytest.fixture
def large(start, desk):
    """A sandbox of the volume that issue 2 names, and the desk set up for it."""
    served = start(**VOLUME)
    desk.use(served)
    return served.sandbox


@pytest.fixture
def small(start, desk):
    """A sandbox with one page a table, and the desk set up for it."""
    served = start(**SMALL)
    desk.use(served)
    return served.sandbox
