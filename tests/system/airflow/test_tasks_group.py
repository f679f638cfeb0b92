"""dlt's own `PipelineTasksGroup` with the source: in one task, and decomposed to a task for each resource.

Each run is a process of its own. The group gives it a new data folder of dlt, so nothing is left of the run before.
"""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import ROOT
from tests.support.airflow.postgres_tables import copy_to_duckdb
from tests.support.desk import SMALL, WIDE_LIMITS, Desk, api_requests
from tests.support.expected import differences, expected_lists
from tests.support.postgres import postgres  # noqa: F401  the fixture

EXAMPLE = ROOT / "tests" / "support" / "airflow" / "tasks_group_dag.py"
DAG = "automatum_tasks"
TASKS = [f"automatum.automatum_{name}" for name in ("customers", "entitlements", "private_offers", "analytics_revenue")]
NO_VARIABLES = {"PROVIDERS__ENABLE_AIRFLOW_SECRETS": "false"}
"""Otherwise dlt asks Airflow for a variable for each key in each section, a thousand times in a run."""
RUN = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
dag = bag.dags["automatum_tasks"]
found = {"tasks": [task.task_id for task in dag.topological_sort()]}
if len(sys.argv) > 2:
    run = dag.test(mark_success_pattern=sys.argv[2])
    found["states"] = {one.task_id: str(one.state) for one in run.get_task_instances()}
print(json.dumps(found))
"""


class Group:
    """The DAG of docs/airflow.md in a folder of its own, and what its tasks need to know.

    Args:
        installation: Airflow.
        folder: Where the DAG goes, and a DuckDB file.
    """

    def __init__(self, installation, folder):
        self._installation = installation
        self._folder = folder / "dags"
        self._folder.mkdir()
        (folder / "tmp").mkdir()
        self.environment = {"AIRFLOW__CORE__DAGS_FOLDER": str(self._folder), "TMPDIR": str(folder / "tmp")}

    def write(self, destination, decompose="none"):
        """Write the DAG with a destination, as an expression, and a way to decompose the source."""
        text = EXAMPLE.read_text()
        changes = {'destination="postgres"': f"destination={destination}"}
        if decompose != "none":
            changes["automatum_source)"] = f'automatum_source(), decompose="{decompose}")'
        for old, new in changes.items():
            assert text.count(old) == 1
            text = text.replace(old, new)
        (self._folder / EXAMPLE.name).write_text(text)

    def use(self, served):
        """Set what is needed to talk to this sandbox, as environment of the workers."""
        known = served.sandbox.apps[0]
        settings = {
            "base_url": served.base_url,
            "client_id": known.client_id,
            "client_secret": known.secret,
            "application_limits": WIDE_LIMITS,
        }
        self.environment.update({f"SOURCES__AUTOMATUM__{name.upper()}": value for name, value in settings.items()})

    def parse(self):
        """Ids of the tasks, in their order."""
        return self._run()["tasks"]

    def run(self, only=None):
        """Run the DAG in one process, or one task of it, which must succeed; the tasks in their order."""
        found = self._run("" if only is None else rf"(?!{only}$).*")
        assert set(found["states"].values()) == {"success"}, found
        return found["tasks"]

    def _run(self, *arguments):
        done = self._installation.python(RUN, self._folder, *arguments, **self.environment)
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module", autouse=True)
def forgotten(installation):
    """Leave no DAG behind for the tests that count those of Airflow."""
    yield
    done = installation.airflow("dags", "delete", "--yes", DAG)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def group(installation, tmp_path):
    return Group(installation, tmp_path)


@pytest.fixture
def served(start):
    return start(**SMALL)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """In place of the one of the other tests: only what it reads is used."""
    return Desk(tmp_path, monkeypatch)


def duckdb_file(desk):
    return f'dlt.destinations.duckdb("{desk.database}")'


def change(sandbox):
    sandbox.rows.change("customers", sandbox.rows.ids("customers")[3], {"companyName": "Changed"}, touch=False)
    sandbox.rows.insert("entitlements")


def test_one_task_reads_everything_and_the_file_is_parsed_without_credentials(group, served, desk):
    """I1, I3, I9: first run, unchanged run, and a run after changes."""
    group.write(duckdb_file(desk))
    assert group.parse() == ["automatum.marketplace"]
    group.use(served)
    group.run()
    assert differences(desk, expected_lists(served.sandbox)) == []
    before = desk.dump()
    group.environment.update(NO_VARIABLES)
    group.run()
    assert desk.dump() == before
    change(served.sandbox)
    group.run()
    assert differences(desk, expected_lists(served.sandbox)) == []
    asked = api_requests(served.sandbox)
    assert asked.pop("analytics/revenue") < 40  # Windows of a year, with their proofs.
    assert asked == {"customers": 3, "entitlements": 3, "private-offers": 3}
    assert desk.query("SELECT verdict, count(*) FROM _automatum_sweeps GROUP BY ALL") == [("complete", 12)]


def test_a_task_for_each_resource_one_after_another(group, served, desk):
    """I1, I3: each task has a source of its own, begins with an empty folder, and undoes nothing of the others.

    To decompose a source, dlt needs it when Airflow parses the file, and the source needs its credentials.
    """
    group.write(duckdb_file(desk), "serialize")
    with pytest.raises(AssertionError, match=r"sources\.automatum\.client_id"):
        group.parse()
    group.use(served)
    group.environment.update(NO_VARIABLES)
    assert group.run() == TASKS
    assert differences(desk, expected_lists(served.sandbox)) == []
    before = desk.dump()
    change(served.sandbox)
    group.run()
    assert differences(desk, expected_lists(served.sandbox)) == []
    unchanged = ("private_offers", "private_offer_payments", "analytics_revenue")
    assert {name: desk.dump()[name] for name in unchanged} == {name: before[name] for name in unchanged}
    asked = api_requests(served.sandbox)
    assert asked.pop("analytics/revenue") < 40  # Windows of a year, with their proofs.
    assert set(asked.values()) == {2}
    assert desk.query("SELECT verdict, count(*) FROM _automatum_sweeps GROUP BY ALL") == [("complete", 8)]


def test_parallel_tasks_on_postgres_load_all_rows(group, served, desk, postgres):  # noqa: F811
    """I1: tasks at the same time, each in a process and with a pipeline of its own.

    They share dlt's staging dataset. There they can delete or double each other's rows of `_automatum_sweeps`, which
    this test does not read. docs/airflow.md advises against these modes.
    """
    group.environment.update({"DESTINATION__POSTGRES__CREDENTIALS": postgres, **NO_VARIABLES})
    group.write('"postgres"', "parallel-isolated")
    group.use(served)
    first, *others, end = group.parse()
    assert len(others) == 3 and end.endswith("_end")
    group.run(only=first)
    with ThreadPoolExecutor() as threads:
        list(threads.map(group.run, others))
    copy_to_duckdb(postgres, desk.database)
    assert differences(desk, expected_lists(served.sandbox)) == []
    before = desk.dump()
    group.run()
    copy_to_duckdb(postgres, desk.database)
    assert desk.dump() == before
