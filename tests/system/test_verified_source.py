"""What dlt's repository of verified sources checks of each of its sources, of this one.

Its own tests are no package and need its repository around them, so their claims are made here, over dlt's commands: it
is listed with its docstring; `dlt init` gives a script for the destination that was named, with secrets to fill in
and requirements that name dlt; all resources load, in one package without a failed job
(`assert_load_info`), with keys that do not repeat, and again without a row more. `test_packaging.py` runs the script.
"""

import ast
import os
import subprocess
import sys

import dlt
import pytest
import tomlkit

from automatum import automatum_source
from tests.support.desk import SMALL
from tests.support.environments import copy_as_repository
from tests.support.postgres import postgres  # noqa: F401

pytestmark = pytest.mark.slow
TABLES = ("customers", "entitlements", "private_offers", "analytics_revenue")


@pytest.fixture(scope="module")
def location(tmp_path_factory):
    return copy_as_repository(tmp_path_factory.mktemp("repository"))


def run_dlt(*arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-m", "dlt", *map(str, arguments)],
        cwd=cwd,
        env=dict(os.environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_listed_with_its_docstring(location, desk):
    (line,) = [
        one
        for one in run_dlt("init", "--list-sources", "--location", location, cwd=desk.folder).splitlines()
        if one.startswith("automatum")
    ]
    assert len(line.partition(": ")[2]) > 20 and "needs update" not in line


@pytest.mark.parametrize("destination", ["bigquery", "duckdb"])
def test_dlt_init_names_the_destination_in_script_requirements_and_secrets(location, desk, destination):
    run_dlt("init", "automatum", destination, "--location", location, cwd=desk.folder)
    script = ast.parse((desk.folder / "automatum_pipeline.py").read_text())
    calls = [one for one in ast.walk(script) if isinstance(one, ast.Call) and ast.unparse(one.func) == "dlt.pipeline"]
    named = [word.value.value for call in calls for word in call.keywords if word.arg == "destination"]
    assert named and set(named) == {destination}
    assert "dlt" in (desk.folder / "requirements.txt").read_text()
    secrets = tomlkit.parse((desk.folder / ".dlt/secrets.toml").read_text())
    assert "client_secret" in secrets["sources"]["automatum"]
    assert (destination in secrets.get("destination", {})) == (destination != "duckdb")


@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
def test_all_resources_load_once_and_again(kind, desk, start, request):
    desk.use(start(**SMALL))
    place = str(desk.database)
    if kind == "postgres":
        place = request.getfixturevalue("postgres")
    counts = []
    for _ in range(2):
        pipeline = dlt.pipeline("all", destination=getattr(dlt.destinations, kind)(place), dataset_name="all_resources")
        info = pipeline.run(automatum_source())
        info.raise_on_failed_jobs()
        assert len(info.loads_ids) == 1 and not info.has_failed_jobs
        dataset = pipeline.dataset()
        counts.append({table: len(dataset[table].fetchall()) for table in TABLES})
        for table in TABLES:
            (key,) = (
                name for name, one in pipeline.default_schema.tables[table]["columns"].items() if one.get("primary_key")
            )
            keys = dataset[table].select(key).fetchall()
            assert len({*keys}) == len(keys) == counts[0][table] > 0
    assert counts[0] == counts[1]
