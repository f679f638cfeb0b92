"""These run in Dagster's own environment, by `make dagster`; without Dagster they are not collected."""

from importlib.util import find_spec

import pytest

collect_ignore_glob = [] if find_spec("dagster_dlt") else ["test_*.py"]


@pytest.fixture(autouse=True)
def dagster_home(isolated, tmp_path, monkeypatch):
    """Keep what Dagster stores in a folder of its own, and send no telemetry."""
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster" / "dagster.yaml").touch()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "1")
