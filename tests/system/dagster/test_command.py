"""The command `dagster` with `pipelines/automatum_dagster.py`, in processes of its own."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.desk import api_requests
from tests.support.expected import differences, expected_lists

DAGSTER = Path(sys.executable).parent / "dagster"
DAGSTER_FILE = ROOT / "pipelines" / "automatum_dagster.py"
pytestmark = pytest.mark.slow


def dagster(*arguments):
    """Run the command to its end, which must be a good one."""
    path = f"{DAGSTER.parent}{os.pathsep}{os.environ['PATH']}"
    command = [str(DAGSTER), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "PATH": path})
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]


def test_two_runs_at_once_take_turns(small, desk):
    """I7: by the pool of the assets; without it both fail. The second run finds nothing to change."""
    dagster("instance", "concurrency", "set", "automatum", "1")
    run = ("asset", "materialize", "-f", DAGSTER_FILE, "--select", "*")
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda _: dagster(*run), range(2)))
    assert differences(desk, expected_lists(small)) == []
    # Nothing is read twice but the report, a part of which the first run reads again as a proof.
    assert api_requests(small) == {"customers": 2, "entitlements": 2, "private-offers": 2, "analytics/revenue": 3}
    assert desk.query("SELECT verdict, count(*) FROM _automatum_sweeps GROUP BY ALL") == [("complete", 8)]
