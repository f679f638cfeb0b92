"""The DAG file as Airflow's DAG processor meets it: every half minute, in a process that must not be harmed."""

import json

from automatum.endpoints import ENDPOINTS
from tests.support.airflow.installation import DAG_FILE

PARSE = """
import importlib.util, json, os, sys, time, warnings
import airflow.sdk
warnings.simplefilter("error")
before, loaded = dict(os.environ), set(sys.modules)
began = time.perf_counter()
spec = importlib.util.spec_from_file_location("automatum_dag", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(json.dumps({
    "seconds": time.perf_counter() - began,
    "environment_kept": dict(os.environ) == before,
    "loaded": sorted({name.split(".")[0] for name in set(sys.modules) - loaded}),
    "tables": module.TABLES,
}))
"""
BAG = """
import json, logging, sys, warnings
warnings.simplefilter("always")
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
print(json.dumps({
    "dags": {name: sorted(dag.task_dict) for name, dag in bag.dags.items()},
    "errors": bag.import_errors,
    "warnings": {file: list(said) for file, said in bag.captured_warnings.items()},
    "catchup": [dag.catchup for dag in bag.dags.values()],
    "pools": {task.task_id: task.pool for dag in bag.dags.values() for task in dag.tasks},
    "max_active_runs": [dag.max_active_runs for dag in bag.dags.values()],
}))
"""
RESCHEDULE = """
import importlib.util, json, sys, time
from airflow.sdk.exceptions import AirflowRescheduleException
spec = importlib.util.spec_from_file_location("automatum_dag", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
found = []
for resume_in in (None, -5, 1, 3600):
    began = time.time()
    try:
        module.conclude(75, None if resume_in is None else began + resume_in, "", module.DEFAULTS["earliest_return"])
    except AirflowRescheduleException as told:
        found.append(round(told.reschedule_date.timestamp() - began))
print(json.dumps(found))
"""


def test_nobody_comes_back_within_the_race_of_airflows_scheduler(installation):
    """A task that is queued again before its end has been noticed is failed by Airflow, see docs/airflow.md."""
    done = installation.python(RESCHEDULE, str(DAG_FILE))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [30, 30, 30, 3600]


def test_parsing_works_nothing_and_takes_less_than_a_second(installation):
    """No dlt, no connector, no environment touched; warnings would be errors."""
    done = installation.python(PARSE, str(DAG_FILE))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["seconds"] < 1
    assert found["environment_kept"]
    assert not {"dlt", "automatum", "duckdb", "pyarrow"} & set(found["loaded"])
    assert sorted(found["tables"]) == sorted({endpoint.group for endpoint in ENDPOINTS})


def test_airflow_imports_it_without_error_or_warning(installation):
    """Each table has its task, in the pool; one run at a time, and none for the past."""
    done = installation.python(BAG, str(DAG_FILE))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["errors"] == {} and found["warnings"] == {}
    tables = [f"each.{table}" for table in ("analytics", "customers", "entitlements", "private_offers", "push")]
    assert found["dags"] == {
        "automatum": [*tables, "organizations"],
        "automatum_reports": ["analytics", "organizations"],
    }
    pools = {"organizations": "default_pool", "analytics": "automatum_reports", "each.analytics": "automatum_reports"}
    assert found["pools"] == {task: pools.get(task, "automatum") for task in found["pools"]}
    assert found["catchup"] == [False, False] and found["max_active_runs"] == [1, 1]
