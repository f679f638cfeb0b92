"""The commands of README.md, typed as they are written, in an empty folder, with the sandbox in place of the API."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.desk import SMALL

SET_UP = ("make ", "pip install", "export ", "python3 -m venv", ". ~")
"""The demo and the installation have tests of their own; the credentials are those of the sandbox."""


def commands():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [line.strip() for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith(SET_UP)]


@pytest.mark.slow
def test_the_commands_of_the_readme_work_as_written(desk, start):
    desk.use(start(**SMALL))
    typed = commands()
    assert [line.split()[:2] for line in typed[:2]] == [["automatum", "check"], ["automatum", "sync"]]
    assert len(typed) >= 3
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for line in typed:
        done = subprocess.run(
            ["sh", "-c", line], capture_output=True, text=True, timeout=120, env={**os.environ, "PATH": path}
        )
        assert (done.returncode, done.stderr) == (0, ""), (line, done)
        assert done.stdout, line
    assert Path("marketplace.duckdb").exists()
    assert "cust_" in done.stdout, "the last one shows customers"
