"""An Airflow of its own: home, database on a real Postgres, and the processes of a deployment.

Nothing of Airflow is imported here: it reads its settings when it is imported, and it changes the process that does.
Whatever needs it runs in a process of its own, as it does for a user.
"""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg2

from tests.support import ROOT
from tests.support.loopback import closed_port
from tests.support.postgres import running

DAG_FILE = ROOT / "pipelines" / "airflow" / "automatum_dag.py"
BIN = Path(sys.executable).parent
_AMBIENT = ("AIRFLOW", "AUTOMATUM_", "DLT_", "SOURCES__", "DESTINATION__")


@dataclass
class Execution:
    """One stay of a task in a worker slot.

    Attributes:
        began: Epoch seconds.
        ended: Epoch seconds.
        rescheduled: Whether it gave the slot back to come again.
    """

    began: float
    ended: float
    rescheduled: bool


class Installation:
    """A deployment with the LocalExecutor.

    Args:
        folder: Where its files go.

    Attributes:
        home: Airflow's home; its logs are below it.
        environment: Of every process of it.
    """

    def __init__(self, folder):
        self.folder = folder
        self.home = folder / "home"
        (folder / "dags").mkdir()
        # Daily, so that no further run begins at the full hour and gets in the way of those that are looked at.
        text = DAG_FILE.read_text()
        assert text.count('schedule="@hourly"') == 1
        (folder / "dags" / DAG_FILE.name).write_text(text.replace('schedule="@hourly"', 'schedule="@daily"'))
        self._server = running()
        self._database = self._server.new_database()
        self.port = closed_port()
        self._processes = []
        ambient = {name: value for name, value in os.environ.items() if not name.startswith(_AMBIENT)}
        self.environment = {
            **ambient,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self._server.url(self._database).replace("://", "+psycopg2://"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "2",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{self.port}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(closed_port()),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        }
        done = self.airflow("db", "migrate")
        assert done.returncode == 0, done.stderr

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()
        self._server.drop(self._database)

    # Commands

    def airflow(self, *arguments, **environment):
        """Run a command of Airflow's."""
        return self._run([BIN / "airflow", *arguments], environment)

    def python(self, code, *arguments, **environment):
        """Run Python in which Airflow can be imported."""
        return self._run([sys.executable, "-c", code, *arguments], environment)

    def _run(self, command, environment):
        return subprocess.run(
            list(map(str, command)),
            env={**self.environment, **environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def configure(self, connections=None, variables=None, pools=None):
        """Import connections, variables and pools, as a user would by the command line."""
        for kind, given in (("connections", connections), ("variables", variables), ("pools", pools)):
            if given:
                path = self.folder / f"{kind}.json"
                path.write_text(json.dumps(given))
                overwrite = [] if kind == "pools" else ["--action-on-existing-key", "overwrite"]
                overwrite = ["--overwrite"] if kind == "connections" else overwrite
                done = self.airflow(kind, "import", path, *overwrite)
                assert done.returncode == 0, done.stdout + done.stderr

    # The running deployment

    def start(self):
        """Start API server, DAG processor and scheduler; returns when the DAGs can be triggered."""
        for name in ("api-server", "dag-processor", "scheduler"):
            with (self.folder / f"{name}.log").open("ab") as log:
                self._processes.append(
                    subprocess.Popen(
                        [BIN / "airflow", name],
                        env=self.environment,
                        cwd=self.folder,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )
        self.wait(self._healthy, 300)

    def _healthy(self):
        url = f"http://127.0.0.1:{self.port}/api/v2/monitor/health"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            health = json.load(answer)
            there = self.query("SELECT count(*) FROM dag WHERE NOT is_stale")[0][0]
            return health["scheduler"]["status"] == "healthy" and there == 2
        return False

    def stop(self):
        """Stop all of it; what does not go is killed, with all that it started."""
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes = []

    @property
    def scheduler(self):
        """Process id of the scheduler, below which the workers and their tasks run."""
        return self._processes[2].pid

    def wait(self, true, seconds):
        """Wait until something is true in another process; fail, with the logs' ends, after so many seconds."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, self._ends()
            assert all(process.poll() is None for process in self._processes), self._ends()
            threading.Event().wait(0.2)

    def _ends(self):
        said = ["it did not come true"]
        for path in sorted(self.folder.glob("*.log")):
            said.append(f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-25:]))
        states = self.query("SELECT dag_id, task_id, map_index, state, try_number FROM task_instance ORDER BY 1, 2, 3")
        return "\n".join([*said, *map(str, states)])

    # What became of it

    def query(self, sql, *parameters):
        """Rows of a query on Airflow's database."""
        with contextlib.closing(psycopg2.connect(self._server.url(self._database))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters or None)
                return cursor.fetchall()

    def trigger(self, dag, **conf):
        """Start a run; returns its id."""
        run = f"test__{secrets.token_hex(4)}"
        done = self.airflow("dags", "trigger", dag, "--run-id", run, "--conf", json.dumps(conf))
        assert done.returncode == 0, done.stdout + done.stderr
        return run

    def state(self, run):
        """State of a run; None if there is none."""
        found = self.query("SELECT state FROM dag_run WHERE run_id = %s", run)
        return found[0][0] if found else None

    def tasks(self, run):
        """(task, map index) to (state, try number)."""
        found = self.query("SELECT task_id, map_index, state, try_number FROM task_instance WHERE run_id = %s", run)
        return {(task.removeprefix("each."), index): (state, tries) for task, index, state, tries in found}

    def reschedules(self, run):
        """(task, map index) to (when it said so, for when), epoch seconds, in their order."""
        found = {}
        for task, index, at, until in self.query(
            "SELECT i.task_id, i.map_index, r.end_date, r.reschedule_date FROM task_reschedule r "
            "JOIN task_instance i ON i.id = r.ti_id WHERE i.run_id = %s ORDER BY r.id",
            run,
        ):
            found.setdefault((task.removeprefix("each."), index), []).append((at.timestamp(), until.timestamp()))
        return found

    def logs(self, run):
        """(task, map index) to the records of its log, all tries, in their order."""
        found = {}
        for path in sorted((self.home / "logs").glob(f"dag_id=*/run_id={run}/**/*.log")):
            parts = dict(part.split("=", 1) for part in path.relative_to(self.home).parts if "=" in part)
            key = parts["task_id"].removeprefix("each."), int(parts.get("map_index", -1))
            lines = [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]
            found.setdefault(key, []).extend(lines)
        return found

    def executions(self, run):
        """(task, map index) to its stays in a worker slot."""
        found = {}
        for key, lines in self.logs(run).items():
            stays, moments = [], []
            for line in lines:
                if "Pre Execute" in line["event"]:
                    moments = []
                    stays.append(moments)
                moments.append((_epoch(line["timestamp"]), line["event"]))
            found[key] = [
                Execution(stay[0][0], stay[-1][0], any("UP_FOR_RESCHEDULE" in event for _, event in stay))
                for stay in stays
                if stay
            ]
        return found


def _epoch(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
