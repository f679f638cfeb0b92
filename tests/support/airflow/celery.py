"""An Airflow with Celery workers, for the organizations of `tests.support.cluster.Firm`."""

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

from tests.support.airflow.installation import BIN, Installation
from tests.support.cluster import Firm
from tests.support.loopback import closed_port
from tests.support.postgres import PASSWORD, running

SLOTS = 2
"""Tasks that a worker runs at a time."""
POOLS = ("automatum", "automatum_reports")


class CeleryInstallation(Installation):
    """A deployment with the CeleryExecutor: its broker is the quota store of the firm.

    Args:
        folder: Where its files go.
        firm: Whom it works for.
        workers: How many.
    """

    def __init__(self, folder, firm: Firm, workers=2):
        super().__init__(folder)
        self.firm, self.workers = firm, {}
        backend = self._server.url(self._database).replace("postgresql://", "db+postgresql+psycopg2://")
        self.environment |= {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__PARALLELISM": "64",
            "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "64",
            "AIRFLOW__CELERY__BROKER_URL": firm.broker.url.replace("/0", "/1"),
            "AIRFLOW__CELERY__RESULT_BACKEND": backend,
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(SLOTS),
            "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
            # A worker that is gone is noticed within seconds, not after the default of five minutes.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            # So are the tasks that it had taken from the broker and not begun.
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "40",
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
        }
        self._number = workers

    def configure_firm(self, **options):
        """Tell it what a user would: connections, variables with these options of the DAG, and pools."""
        firm, server = self.firm, running()
        extra = {key: value for key, value in firm.settings().items() if key != "base_url"}
        connections = {
            "automatum": {"conn_type": "http", "host": firm.served.base_url, "extra": json.dumps(extra)},
            "automatum_warehouse": {
                "conn_type": "postgres",
                "host": "127.0.0.1",
                "port": server.port,
                "login": "postgres",
                "password": PASSWORD,
                "schema": firm.warehouse,
            },
        }
        for name, own in firm.own_settings().items():
            connections[f"automatum_{name}"] = {
                "conn_type": "http",
                "login": own["client_id"],
                "password": own["client_secret"],
                "extra": json.dumps({"application_limits": own["application_limits"]}),
            }
        listed = "".join(f'[[sources.automatum.organizations]]\nname = "{name}"\n' for name in firm.names)
        slots = {"slots": self._number * SLOTS, "description": "", "include_deferred": False}
        options = {"pipelines_dir": "temporary", "earliest_return": 12.0, **options}
        options |= {"usage": firm.usage_of("{organization}"), "source": "usage", "confirm": True}
        self.configure(
            connections,
            {"dlt_secrets_toml": listed, "automatum_dag": json.dumps(options)},
            dict.fromkeys(POOLS, slots),
        )

    def start(self):
        """Start it with its workers."""
        super().start()
        for number in range(self._number):
            self.start_worker(number)

    def start_worker(self, number):
        """Start a worker; its home is its own."""
        home = self.folder / f"worker-{number}"
        home.mkdir(exist_ok=True)
        ports = {"AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(closed_port())}
        own = {"HOME": str(home), "DLT_DATA_DIR": str(home / "dlt"), "TMPDIR": str(home), **ports}
        with (self.folder / f"worker-{number}.log").open("ab") as log:
            process = subprocess.Popen(
                [BIN / "airflow", "celery", "worker", "--celery-hostname", f"worker-{number}"],
                env={**self.environment, **own},
                cwd=home,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.workers[number] = process
        self._processes.append(process)

    def kill_worker(self, number):
        """Kill -9 a worker with all that it started."""
        process = self.workers.pop(number)
        self._processes.remove(process)
        for pid in [process.pid, *descendants(process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()

    def workers_of(self, task):
        """Numbers of the workers that run this task."""
        rows = self.query("SELECT pid FROM task_instance WHERE task_id = %s AND state = 'running'", f"each.{task}")
        pids = {pid for (pid,) in rows}
        return [number for number, process in self.workers.items() if pids & set(descendants(process.pid))]

    def stop(self):
        """Stop all of it; the workers first, with all that they started."""
        for number in list(self.workers):
            self.kill_worker(number)
        super().stop()


def descendants(pid):
    """Processes that a process has started, and those that these have."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            text = path.read_text()
            parents[int(text.split(" ", 1)[0])] = int(text.rpartition(")")[2].split()[1])
    found, new = [], {pid}
    while new := {child for child, parent in parents.items() if parent in new}:
        found += new
    return found
