"""Environments with what a user installs and nothing else, and the Pythons to make them with.

A test process has a home and variables of its own; making an environment needs the real ones: proxies, the index.
"""

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.support import ROOT

OLDEST, NEWEST = (3, 10), (3, 14)
"""What `requires-python` allows."""
_AMBIENT = dict(os.environ)
_UV = ROOT / ".uv/bin/uv"


@functools.cache
def pythons():
    """Version to interpreter, of each Python on this machine that the project allows, lowest version first."""
    folders = [Path(one) for one in _AMBIENT.get("PATH", "").split(os.pathsep) if one]
    folders += sorted(Path(_AMBIENT.get("HOME", "/"), ".pyenv/versions").glob("*/bin"))
    folders.append(ROOT / ".cache/python3.14/usr/bin")
    found = {}
    for minor in range(OLDEST[1], NEWEST[1] + 1):
        for python in (folder / f"python3.{minor}" for folder in folders):
            if minor not in found and python.is_file() and _version(python) == (3, minor):
                found[minor] = python
    return {(3, minor): python for minor, python in found.items()}


def _version(python):
    """Version of an interpreter; None for a shim of pyenv that leads nowhere."""
    code = "import sys, ssl, sqlite3; print(*sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, env=_AMBIENT)
    return None if done.returncode else tuple(map(int, done.stdout.split()))


def python_of(wanted, nearest):
    """The interpreter of this version; if there is none, the `min` or `max` of those that there are."""
    version = wanted if wanted in pythons() else nearest(pythons())
    if version != wanted:
        print(f"\nno Python {'.'.join(map(str, wanted))} on this machine: {'.'.join(map(str, version))} instead")
    return pythons()[version]


class Environment:
    """A virtual environment in a folder, made by uv.

    Args:
        folder: New folder.
        python: Interpreter.
    """

    def __init__(self, folder, python):
        self.python = folder / "bin/python"
        uv("venv", "--quiet", "--python", python, folder)

    def install(self, *requirements):
        """Install these; arguments of `uv pip install`."""
        uv("pip", "install", "--quiet", "--python", self.python, *requirements)

    def remove(self, package):
        """Uninstall one package."""
        uv("pip", "uninstall", "--quiet", "--python", self.python, package)

    def pip(self, *arguments):
        """Run the pip of this environment, which was installed before, to its end, which must be a good one."""
        done = subprocess.run(
            [self.python, "-m", "pip", "--disable-pip-version-check", *arguments],
            env=_AMBIENT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    def names(self):
        """Names of the installed packages."""
        listed = uv("pip", "freeze", "--python", self.python)
        return {re.split(r"==| @ ", line)[0] for line in listed.splitlines()}

    def run(self, *arguments, cwd, code=0, timeout=600, **variables):
        """Run this environment's Python to its end, which must have this exit code.

        Returns:
            Both streams.
        """
        path = os.pathsep.join((str(self.python.parent), os.environ["PATH"]))
        done = subprocess.run(
            [self.python, *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "PATH": path, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr


def uv(*arguments):
    """Run uv to its end, which must be a good one; its output."""
    variables = {"UV_CACHE_DIR": str(ROOT / ".cache/uv"), "UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "1"}
    # Compiling a hundred packages takes longer than the few runs of an environment gain by it.
    variables["UV_COMPILE_BYTECODE"] = "0"
    done = subprocess.run(
        [_UV, *map(str, arguments)], cwd=ROOT, env={**_AMBIENT, **variables}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def copy_as_repository(folder):
    """What is in the work tree now, as the git repository that `dlt init --location` asks for."""
    unwanted = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "sources", folder / "sources", ignore=unwanted)
    shutil.copy(ROOT / "README.md", folder)
    identity = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com", "-c", "commit.gpgsign=false")
    for arguments in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "All")):
        subprocess.run(["git", "-C", str(folder), *arguments], check=True)
    return folder
