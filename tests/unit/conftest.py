"""Unit tests do not read dlt's settings, so they do not pay 6 ms each to forget them."""

import pytest

from tests.support.desk import forget, forget_run, isolate


@pytest.fixture(autouse=True)
def isolated(tmp_path, monkeypatch):
    """Run a test without ambient settings and credentials, in a folder and a home of its own."""
    isolate(tmp_path, monkeypatch)
    forget_run()
    yield
    forget_run()


@pytest.fixture
def fresh_settings(isolated):
    """Let dlt read its settings anew, for a test that reads them."""
    forget()
