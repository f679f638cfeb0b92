"""The benchmark suite runs, and checks what it measures. How long anything takes is not tested."""

import json
import subprocess
import sys

import pytest

from tests.support import ROOT

BENCH = ROOT / "benchmarks" / "bench.py"


def run_bench(*arguments):
    return subprocess.run([sys.executable, BENCH, *map(str, arguments)], capture_output=True, text=True)


@pytest.mark.slow
def test_every_section_runs_in_small(tmp_path):
    """Each task ends with the rows and the summary that it has to have, or the suite fails."""
    made = run_bench("--quick", "--python", sys.executable, "--output", tmp_path / "figures.json")
    assert made.returncode == 0, made.stderr
    measured = json.loads((tmp_path / "figures.json").read_text())
    sections = {group["section"] for group in measured["groups"]}
    assert sections == {"flat", "nested", "second", "startup", "push", "organizations", "growth"}
    for group in measured["groups"]:
        for task in group["tasks"]:
            figures = group["rounds"][0][task["name"]]
            assert min(figures["seconds"], figures["cpu"], figures["megabytes"]) > 0, task
            assert f"|{task['name']}|" in made.stdout


def test_an_unknown_section_is_refused():
    made = run_bench("flatt")
    assert made.returncode == 2
    assert "unknown section: flatt; there are flat, nested" in made.stderr
