"""Which interpreters `make pythons` finds."""

import os
import subprocess
import sys

import pytest

from tests.support import ROOT

OURS = f"3.{sys.version_info.minor}"


@pytest.fixture
def listed(tmp_path):
    """What is found, on a PATH with a broken shim, with this test's Python behind it."""
    broken = tmp_path / "shims" / f"python{OURS}"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\necho /not/there\nexit 127\n")
    broken.chmod(0o755)
    good = tmp_path / "bin" / broken.name
    good.parent.mkdir()
    good.write_text(f'#!/bin/sh\nexec {os.path.realpath(sys.executable)} "$@"\n')
    good.chmod(0o755)

    def run(wanted):
        path = f"{broken.parent}:{good.parent}:/usr/bin:/bin"
        done = subprocess.run(
            [ROOT / ".ci/pythons", "--list"],
            env={"PATH": path, "HOME": str(tmp_path), "PYTHONS": wanted},
            capture_output=True,
            text=True,
        )
        return done.returncode, [line.split("  ") for line in done.stdout.splitlines()]

    return run


def test_a_shim_that_does_not_work_is_passed_over(listed):
    code, ((version, path),) = listed(OURS)
    assert (code, version) == (0, OURS)
    assert os.path.realpath(path) == os.path.realpath(sys.executable)


def test_the_oldest_is_found_by_its_name_and_listed_once(listed):
    code, found = listed(f"oldest {OURS}")
    assert code == 0
    assert [version for version, _ in found] == sorted({version for version, _ in found})
    assert OURS in [version for version, _ in found]


def test_a_python_that_is_asked_for_and_missing_is_a_failure(listed):
    assert listed("3.99") == (1, [["3.99", "not on this machine"]])
