"""DuckDB files go both ways between the lowest DuckDB that pyproject.toml allows, those in use, and the newest."""

import json
import re
import sys

import pytest

from tests.support import ROOT
from tests.support.environments import Environment

LOWEST = re.search(r'"duckdb>=([\d.]+)"', (ROOT / "pyproject.toml").read_text())[1]
VERSIONS = {"lowest": f"duckdb=={LOWEST}.0", "1.4": "duckdb==1.4.*", "1.5": "duckdb==1.5.*", "newest": "duckdb"}
OLD = {"1.1": "duckdb==1.1.3"}
"""Only readers: two years old."""
WRITE = """
import sys
from pathlib import Path
import dlt, duckdb
from automatum import Target
name, path = sys.argv[1:]
pipeline = Target(database=Path(path)).pipeline()
rows = [{"id": at, "at": dlt.common.pendulum.now(), "part": {"a": at}} for at in range(3000)]
pipeline.run(rows, table_name="rows_of_" + name, primary_key="id", write_disposition="merge")
pipeline.run(rows[:10], table_name="rows_of_" + name, primary_key="id", write_disposition="merge")
"""
CREATE = """
import sys
import duckdb
duckdb.connect(sys.argv[1], config={"storage_compatibility_version": "latest"}).close()
"""
READ = """
import json, sys
import duckdb
with duckdb.connect(sys.argv[1], read_only=True) as connection:
    tables = connection.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'automatum' AND table_name LIKE 'rows%'"
    ).fetchall()
    print(json.dumps({
        table: connection.execute(f'SELECT count(*), sum(id), count("at") FROM automatum."{table}"').fetchone()
        for (table,) in tables
    }))
"""
ROWS = [3000, sum(range(3000)), 3000]


@pytest.fixture(scope="module")
def environments(tmp_path_factory):
    """An environment with each version; the readers have DuckDB alone."""
    made = {}
    for name, requirement in {**VERSIONS, **OLD}.items():
        made[name] = Environment(tmp_path_factory.mktemp("env") / "env", sys.executable)
        made[name].install(requirement, *(() if name in OLD else ("--editable", ROOT)))
    return made


def read(environment, path):
    return json.loads(environment.run("-c", READ, path, cwd=path.parent).strip().splitlines()[-1])


@pytest.mark.parametrize("writer", VERSIONS)
def test_each_version_reads_and_extends_the_file_of_each(environments, tmp_path, writer):
    path = tmp_path / "marketplace.duckdb"
    environments[writer].run("-c", WRITE, writer.replace(".", "_"), path, cwd=tmp_path)
    for name, environment in environments.items():
        assert set(map(tuple, read(environment, path).values())) == {tuple(ROWS)}, name
    for name in VERSIONS:
        environments[name].run("-c", WRITE, name.replace(".", "_"), path, cwd=tmp_path)
    for name, environment in environments.items():
        found = read(environment, path)
        assert (len(found), set(map(tuple, found.values()))) == (len(VERSIONS), {tuple(ROWS)}), name


def test_the_newest_format_is_for_the_newest_alone(environments, tmp_path):
    """Otherwise the storage version of new files would be needless."""
    path = tmp_path / "marketplace.duckdb"
    environments["newest"].run("-c", CREATE, path, cwd=tmp_path)
    environments["newest"].run("-c", WRITE, "newest", path, cwd=tmp_path)
    assert read(environments["newest"], path) == {"rows_of_newest": ROWS}
    said = environments["1.5"].run("-c", READ, path, cwd=tmp_path, code=1)
    assert "version" in said
    # An existing file keeps its format, and is written to.
    environments["newest"].run("-c", WRITE, "newest", path, cwd=tmp_path)
    assert read(environments["newest"], path) == {"rows_of_newest": ROWS}
