"""A user who has dlt and a destination, and nothing of ours: `dlt init`, the requirements, the example, the command."""

import json
from contextlib import closing

import psycopg2
import pytest

from automatum_sandbox import AppConfig
from tests.support.desk import SMALL, WIDE_LIMITS
from tests.support.environments import NEWEST, OLDEST, Environment, copy_as_repository, python_of
from tests.support.postgres import postgres  # noqa: F401  a fixture

SECRET = "canary_of_the_client_secret"


@pytest.fixture(scope="module")
def location(tmp_path_factory):
    return copy_as_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture
def variables(start):
    """The credentials of a sandbox that is served from here, as the user sets them."""
    served = start(**SMALL, apps=(AppConfig(client_secret=SECRET),))
    return {
        "AUTOMATUM_CLIENT_ID": served.client_id,
        "AUTOMATUM_CLIENT_SECRET": SECRET,
        "SOURCES__AUTOMATUM__BASE_URL": served.base_url,
        "SOURCES__AUTOMATUM__APPLICATION_LIMITS": WIDE_LIMITS,
    }


def initialized(environment, location, folder, destination):
    """The user's project after `dlt init`; the requirements are not installed yet."""
    folder.mkdir()
    environment.install(f"dlt[{destination}]")
    assert "pyarrow" not in environment.names()
    said = environment.run("-m", "dlt", "init", "automatum", destination, "--location", location, cwd=folder)
    assert "Verified source automatum was added" in said
    return folder


def test_dlt_init_duckdb(tmp_path, location, variables):
    """`pip install "dlt[duckdb]"`, on the newest Python."""
    user = Environment(tmp_path / "env", python_of(NEWEST, max))
    project = initialized(user, location, tmp_path / "project", "duckdb")
    user.install("-r", project / "requirements.txt")

    # Before the credentials are filled in, the message names them.
    assert "client_id" in user.run("automatum_pipeline.py", cwd=project, code=1)

    user.run("automatum_pipeline.py", cwd=project, **variables)
    code = "import duckdb; print(duckdb.connect('marketplace.duckdb').sql('FROM automatum.customers').count('*'))"
    assert str(SMALL["customers"]) in user.run("-c", code, cwd=project)

    # The copied package is the command line too.
    said = user.run("-m", "automatum", "sync", "--json", cwd=project, **variables)
    assert '"verdict": "complete"' in said
    assert SECRET not in said
    assert "pip install 'redis>=5.2'" in user.run(
        *("-m", "automatum", "sync"),
        cwd=project,
        code=78,
        **variables,
        SOURCES__AUTOMATUM__QUOTA_URL="redis://localhost",
    )
    assert "checkout of the repository" in user.run("-m", "automatum", "demo", cwd=project, code=78)


def test_dlt_init_postgres(tmp_path, location, variables, postgres):  # noqa: F811  a fixture
    """`pip install "dlt[postgres]"`, on the oldest Python; no part of a sync to Postgres needs duckdb."""
    variables["DESTINATION__POSTGRES__CREDENTIALS"] = postgres
    user = Environment(tmp_path / "env", python_of(OLDEST, min))
    project = initialized(user, location, tmp_path / "project", "postgres")
    assert "duckdb" not in user.names()
    user.install("-r", project / "requirements.txt")
    user.remove("duckdb")

    user.run("automatum_pipeline.py", cwd=project, **variables)
    to = ("--destination", "postgres", "--dataset", "marketplace")
    said = user.run("-m", "automatum", "sync", *to, "--json", cwd=project, **variables)
    assert '"verdict": "complete"' in said
    shown = json.loads(user.run("-m", "automatum", "status", *to, "--json", cwd=project, **variables))
    assert shown["tables"]
    with closing(psycopg2.connect(postgres)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM marketplace.customers")
        assert cursor.fetchone() == (SMALL["customers"],)

    # Where duckdb is needed, the message says how to get it.
    said = user.run("-m", "automatum", "sync", cwd=project, code=78, **variables)
    assert "pip install 'duckdb>=1.4'" in " ".join(said.split())
