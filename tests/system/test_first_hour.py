"""The path *start*, typed word for word: an empty home, this machine's own Python, and no other environment."""

import os
import re
import shutil
import subprocess

import pytest

from tests.support import ROOT
from tests.support.desk import await_
from tests.support.pages import blocks

BARE = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "RUNTIME__DLTHUB_TELEMETRY": "false"}


def kept(name):
    """Variables that a machine needs to reach its package index."""
    return name.lower().endswith("_proxy") or name.startswith(("PIP_", "UV_INDEX", "SSL_", "REQUESTS_"))


@pytest.mark.slow
def test_start_works_as_written(tmp_path):
    """Up to the own account: what needs one, or root, is left out."""
    python = shutil.which("python3", path=BARE["PATH"])
    if (
        not python
        or subprocess.run([python, "-c", "import venv, ensurepip"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no python3 with venv")
    home, checkout = tmp_path / "new-home", tmp_path / "checkout"
    home.mkdir()
    subprocess.run(["git", "clone", "-q", ROOT, checkout], check=True)
    environment = {**BARE, "HOME": str(home)} | {name: value for name, value in os.environ.items() if kept(name)}
    install, sandbox, commands, look, *_ = blocks(ROOT / "docs" / "start.md", "sh")
    typed = subprocess.run(
        ["sh", "-ec", install], cwd=checkout, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert typed.returncode == 0, typed.stderr[-2000:]
    activate = ". ~/automatum/bin/activate\n"
    log = tmp_path / "sandbox.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            ["sh", "-ec", activate + "exec " + sandbox],
            cwd=checkout,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        await_(lambda: len(re.findall(r"^ *export ", log.read_text(), re.MULTILINE)) >= 3, 60)
        exports = "\n".join(re.findall(r"^ *(export .*)", log.read_text(), re.MULTILINE))
        typed = subprocess.run(
            ["sh", "-ec", "\n".join((activate, exports, commands, look))],
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert typed.returncode == 0, typed
        assert "cust_" in typed.stdout and (checkout / "marketplace.duckdb").exists()
    finally:
        server.terminate()
        server.wait(30)
