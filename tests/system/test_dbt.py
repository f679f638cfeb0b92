"""`dbt build` of `dbt/` on real data: its marts hold the rows of the views of `automatum models create`.

In environments of their own, as dbt is no dependency of anything here. They are made once a checkout, from the package
index; without it these are skipped. `DBT=all` (`make dbt`) has all combinations.
"""

import contextlib
import fcntl
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from automatum.operations.model_files import read_models
from tests.support import ROOT
from tests.support.answers import plain
from tests.support.answers_stage import EMPTY, FEES, RATES, REPORTING, Stage, change, entries
from tests.support.dbt_project import FOLDER
from tests.support.destinations.places import DuckDb, Postgres
from tests.support.environments import Environment, python_of

pytestmark = pytest.mark.slow
MARTS = sorted(name for name, model in read_models().items() if model.kind == "mart")
VERSIONS = ("1.11", "1.10")
ALL = os.environ.get("DBT") == "all"
SCHEMA = "made_by_dbt"


@pytest.fixture(scope="module", params=VERSIONS if ALL else VERSIONS[:1])
def environment(request):
    """An environment with this dbt, kept from one run to the next."""
    folder = ROOT / ".cache" / f"dbt-{request.param}"
    made = Environment.__new__(Environment)
    made.python = folder / "bin/python"
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Several workers of pytest may want it.
        if not (folder / ".ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            try:
                made = Environment(folder, python_of((3, 12), max))
                made.install(f"dbt-core~={request.param}.0", "dbt-duckdb", "dbt-postgres")
            except AssertionError as error:
                pytest.skip(f"no environment with dbt: {error}")
            (folder / ".ready").touch()
    return made


@pytest.fixture(scope="module", params=["full", "empty"])
def content(request):
    return request.param


@pytest.fixture(scope="module", params=[DuckDb, Postgres], ids=["duckdb", "postgres"])
def stage(request, content, tmp_path_factory):
    """A dataset with the views of `automatum models create`."""
    folder = tmp_path_factory.mktemp("stage")
    scene = {"names": ("acme", "globex"), "history": True} if content == "full" else {"volume": EMPTY}
    made = Stage(request.param("", ""), folder, **scene)
    try:
        made.sync()
        if content == "full":
            change(made)
            made.export(*entries())
        made.models().create()
        if content == "full":
            made.fill()
        yield made
    finally:
        made.close()


@dataclass
class Project:
    """A copy of `dbt/`, with a profile for the stage."""

    environment: Environment
    folder: Path
    variables: str

    def dbt(self, *arguments, code=0):
        """Run dbt; what it says."""
        return self.environment.run(
            self.environment.python.parent / "dbt",
            "--no-use-colors",
            *arguments,
            "--vars",
            self.variables,
            cwd=self.folder,
            code=code,
            DBT_PROFILES_DIR=str(self.folder),
            DO_NOT_TRACK="1",
        )

    def results(self):
        """Status by the name of a node, of the last run."""
        found = json.loads((self.folder / "target/run_results.json").read_text())["results"]
        return {one["unique_id"]: one["status"] for one in found}


@pytest.fixture
def project(environment, stage, content, tmp_path):
    folder = tmp_path / "dbt"
    shutil.copytree(FOLDER, folder)
    if isinstance(stage.place, DuckDb):
        target = {"type": "duckdb", "path": str(stage.place._file)}
    else:
        url = urlsplit(stage.place._server.url(stage.place._database))
        target = {"type": "postgres", "host": url.hostname, "port": url.port, "user": url.username}
        target |= {"password": url.password, "dbname": url.path[1:]}
    target |= {"schema": SCHEMA, "threads": 1}
    profile = {"automatum": {"target": "test", "outputs": {"test": target}}}
    (folder / "profiles.yml").write_text(yaml.safe_dump(profile))
    if content == "full":
        rates = [{**row, "reporting_currency": REPORTING} for row in RATES]
        for name, rows in (("expected_fees", FEES), ("exchange_rates", rates)):
            file = folder / "seeds" / f"{name}.csv"
            columns = file.read_text().strip().split(",")
            lines = [",".join(str(row.get(one, "")) for one in columns) for row in rows]
            file.write_text("\n".join([",".join(columns), *lines, ""]))
    variables = json.dumps({"today": stage.today.isoformat(), "reporting_currency": REPORTING})
    made = Project(environment, folder, variables)
    yield made
    with contextlib.suppress(Exception):
        stage.execute(f"DROP SCHEMA {SCHEMA} CASCADE")


def ask(stage, query):
    with stage.pipeline.sql_client() as client, client.execute_query(query) as cursor:
        names = [one[0] for one in cursor.description]
        return names, [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def test_dbt_builds_the_rows_that_the_views_have(project, stage, content):
    project.dbt("build")
    statuses = project.results()
    assert set(statuses.values()) == {"success", "pass"}, statuses
    assert sum(one.startswith("test.") for one in statuses) > 40
    for mart in MARTS:
        names, expected = ask(stage, f"SELECT * FROM automatum.{mart}")
        found_names, found = ask(stage, f"SELECT * FROM {SCHEMA}.{mart}")
        assert found_names == names, mart
        assert plain(found, names) == plain(expected, names), mart
        assert bool(expected) is (content == "full") or mart == "sync_health"
    if content == "full":  # The sandbox's clock is long past.
        assert "ERROR STALE" in project.dbt("source", "freshness", code=1)
