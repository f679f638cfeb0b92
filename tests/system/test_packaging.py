"""The package as others meet it: `dlt init`, the built wheel and sdist, dlt's own commands and progress collectors."""

import importlib.util
import os
import re
import subprocess
import sys
import tarfile
import zipfile

import dlt
import pytest

from automatum import automatum_source
from automatum_sandbox import AppConfig
from tests.support import ROOT
from tests.support.desk import SMALL
from tests.support.environments import copy_as_repository

SECRET = "canary_of_the_client_secret"
PACKAGES = ("automatum", "automatum_sandbox")


def run(*command, cwd=None, **environment):
    """Run a command of this environment to its end; both streams and nothing else are returned, and it must succeed."""
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def run_dlt(*arguments, **more):
    return run("-m", "dlt", *arguments, **more)


# dlt init


@pytest.fixture(scope="module")
def location(tmp_path_factory):
    return copy_as_repository(tmp_path_factory.mktemp("repository"))


def test_dlt_init_gives_a_running_pipeline(location, start, desk):
    """In an empty folder, with nothing to mend: the copied script loads every row by the copied package."""
    served = start(**SMALL, apps=(AppConfig(client_secret=SECRET),))
    variables = {
        "AUTOMATUM_CLIENT_ID": served.client_id,
        "AUTOMATUM_CLIENT_SECRET": SECRET,
        "SOURCES__AUTOMATUM__BASE_URL": served.base_url,
    }
    assert list(desk.folder.iterdir()) == []
    said = run_dlt("init", "automatum", "duckdb", "--location", location, cwd=desk.folder)
    assert "Verified source automatum was added" in said
    made = {path.relative_to(desk.folder).as_posix() for path in desk.folder.rglob("*") if path.is_file()}
    assert made >= {
        "automatum_pipeline.py",
        "automatum/source.py",
        "automatum/api/rate_limit/limiter.py",
        ".dlt/secrets.toml",
    }
    assert not [name for name in made if name.startswith(("automatum_sandbox", "tests"))]

    # It asks for the two credentials, and for nothing that has a default.
    asked = (desk.folder / ".dlt/secrets.toml").read_text() + (desk.folder / ".dlt/config.toml").read_text()
    assert re.findall(r'^(\w+) = "<configure me>"', asked, re.M) == ["client_secret", "client_id"]

    # The credentials by environment; the two placeholders count as not set.
    code = "import automatum, automatum_pipeline as one; print(automatum.__file__); one.load_everything()"
    said = run("-c", code, cwd=desk.folder, **variables)
    assert str(desk.folder / "automatum/__init__.py") in said
    assert SECRET not in said
    desk.database = desk.folder / "marketplace.duckdb"
    assert count(desk, "customers") == SMALL["customers"]


def count(desk, table):
    import duckdb

    with duckdb.connect(str(desk.database), read_only=True) as connection:
        return connection.execute(f"SELECT count(*) FROM automatum.{table}").fetchone()[0]


@pytest.mark.parametrize("key", ["client_id", "client_secret"])
def test_a_placeholder_is_not_a_credential(desk, key):
    """What `dlt init` writes for the user to fill in is never sent to the vendor; the key is named, exit 78."""
    desk.set(client_id="app_1", client_secret="secret_1", quota_url="<configure me>", ledger_url="<configure me>")
    desk.set(**{key: "<configure me>"})
    made = desk.sync()
    assert made.code == 78
    assert f"sources.automatum.{key}: is not set." in made.says


def test_the_requirements_of_dlt_init_are_those_of_the_package():
    declared = (ROOT / "pyproject.toml").read_text().partition("dependencies = [")[2].partition("\n]")[0]
    wanted = set(re.findall(r'^\s*"([^"]+)"', declared, re.M))
    copied = set((ROOT / "sources/automatum/requirements.txt").read_text().split("\n")) - {""}
    assert wanted == copied


# Wheel and sdist


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the sdist of the work tree, by the build backend itself, which needs no network."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(folder)], cwd=ROOT, check=True, capture_output=True
    )
    return folder


def test_the_wheel_runs_the_demo(built, desk):
    """Unpacked as pip unpacks it, in front of everything else that could be imported."""
    (wheel,) = built.glob("*.whl")
    site = desk.folder / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (info,) = site.glob("*.dist-info")
    assert "automatum = automatum.__main__:main" in (info / "entry_points.txt").read_text()
    code = "import automatum as a, automatum_sandbox as s; print(a.__file__, s.__file__, a.__version__)"
    *files, version = run("-c", code, PYTHONPATH=str(site)).split()
    assert all(one.startswith(str(site)) for one in files)
    assert info.name.endswith(f"-{version}.dist-info")
    assert '"verdict": "complete"' in run("-m", "automatum", "demo", "--json", PYTHONPATH=str(site))
    assert (desk.folder / "automatum_demo.duckdb").is_file()


def test_the_wheel_holds_the_packages_and_nothing_else(built):
    (wheel,) = built.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    others = {"automatum/py.typed", "automatum/operations/report.html.j2"}
    assert held == modules() | others | {f"automatum/models/{name}" for name in models()}


def test_the_sdist_holds_what_it_must_and_no_noise(built):
    """All that `make demo` and `make test` need, and what the documentation names."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"sources/{name}" for name in modules()} <= held
    must = {
        "pyproject.toml",
        "uv.lock",
        "Makefile",
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "LICENSE",
        ".dlt/config.toml",
        ".ci/run",
    }
    must |= {f"tests/{path.name}" for path in (ROOT / "tests").glob("*.py")}
    must |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")}
    must |= {f"models/{name}" for name in models()}
    must |= {"dbt/dbt_project.yml", "dbt/models/mart/revenue_monthly.sql"}
    must |= {f"benchmarks/{path.name}" for path in (ROOT / "benchmarks").glob("*.py")}
    must |= {"pipelines/crontab.example", "pipelines/systemd/automatum.timer", "sources/automatum/requirements.txt"}
    assert must - held == set()
    tops = {name.partition("/")[0] for name in held if name}
    known = {
        "sources",
        "pipelines",
        "tests",
        "docs",
        "benchmarks",
        "notebooks",
        "models",
        "dbt",
        ".dlt",
        ".ci",
        ".gitignore",
        "PKG-INFO",
    }
    assert tops <= known | {name for name in must if "/" not in name}
    noise = r"__pycache__|\.pyc$|\.duckdb|secrets\.toml$|\.cache|\.venv|\.ipynb_checkpoints|\.hypothesis"
    assert [name for name in held if re.search(noise, name)] == []


def models():
    return {path.name for path in (ROOT / "models").iterdir()}


def modules():
    """Paths of all modules, and of the SQL that they read, below sources/ that are in packages."""
    suffixes = ("*.py", "*.sql")
    found = [path for package in PACKAGES for one in suffixes for path in (ROOT / "sources" / package).rglob(one)]
    return {path.relative_to(ROOT / "sources").as_posix() for path in found}


# dlt's own commands


def test_dlt_knows_the_pipeline_of_a_sync(start, desk):
    """`dlt pipeline NAME info|trace`, with the name that the sync prints: the tables; and I6: no secret."""
    served = start(**SMALL, apps=(AppConfig(client_secret=SECRET),))
    desk.use(served)
    ran = desk.sync()
    assert ran.code == 0
    said = {step: run_dlt("pipeline", "-v", ran.json["pipeline"], step) for step in ("info", "trace")}
    for resource in ("customers", "entitlements", "private_offers", "analytics_revenue"):
        assert f"{resource} with" in said["info"]
    # A sync to DuckDB is one transaction a chunk, and no load package.
    assert "does not have last run trace" in said["trace"]
    assert SECRET not in str(said)


@pytest.mark.parametrize("collector", ["log", *(one for one in ("tqdm",) if importlib.util.find_spec(one))])
def test_dlts_progress_collectors_show_the_source(small, desk, capsys, collector):
    """`log`, and `tqdm` where it is installed: rows by resource while it reads."""
    pipeline = dlt.pipeline("progress", destination=dlt.destinations.duckdb(str(desk.database)), progress=collector)
    pipeline.run(automatum_source().with_resources("customers", "entitlements"))
    shown = "".join(capsys.readouterr())
    assert re.search(r"customers: \d+", shown)
    assert re.search(r"entitlements: \d+", shown)
    assert small.client_secret not in shown
