"""A user at a shell: environment, working folder, the command, and what it prints."""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from functools import cache

import duckdb
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.pipeline import PipelineContext
from typer import testing
from typer.main import get_command

from automatum.core import redaction

# typer reads the options of all commands at each call of its runner, which takes 60 ms: a third of a short command.
testing._get_command = cache(get_command)

# The console takes its width when it is imported, which a test's own environment would come too late for.
os.environ["COLUMNS"] = "120"
# More than any test asks for: tests/integration/api/rate_limit tests the vendor's own limits.
WIDE_LIMITS = "[[100000, 60]]"
VOLUME = {"customers": 250, "entitlements": 410, "private_offers": 130, "days": 366}
"""The volume that issue 2 names: 3 + 5 + 2 pages and one report, which has each day of the year that is asked for."""
SMALL = {"customers": 12, "entitlements": 20, "private_offers": 9, "days": 4}
"""One page each."""
_AMBIENT = ("AUTOMATUM_", "DLT_", "AWS_", "GOOGLE_", "AIRFLOW_")


def isolate(tmp_path, monkeypatch):
    """Remove what the environment says of the connector and dlt, and move to a folder below `tmp_path`."""
    for name in list(os.environ):
        if "__" in name or name.startswith(_AMBIENT) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name, folder in (("HOME", "home"), ("DLT_DATA_DIR", "dlt")):
        (tmp_path / folder).mkdir()
        monkeypatch.setenv(name, str(tmp_path / folder))
    for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    # A console of fixed width, in every terminal and in none.
    monkeypatch.setenv("COLUMNS", "120")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def forget():
    """Forget what a new process does not know: dlt's active pipeline and settings, secrets, the streams of our log."""
    forget_run()
    # dlt reads its settings anew when something asks for them, which takes 4 ms.
    if PluggableRunContext in Container():
        del Container()[PluggableRunContext]


def forget_run():
    """Forget dlt's active pipeline, secrets and the streams of our log, but keep dlt's settings."""
    Container()[PipelineContext].deactivate()
    # What one test has registered would hide a leak in the next, and each message is searched for all of them.
    redaction._secrets.clear()
    logger = logging.getLogger("automatum")
    logger.handlers, logger.propagate = [], True
    if logger.level != logging.NOTSET:  # Setting a level clears the caches of all loggers.
        logger.setLevel(logging.NOTSET)


@dataclass
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """The one JSON object on stdout; fails if there is anything else."""
        made = json.loads(self.out)
        assert isinstance(made, dict)
        return made

    @property
    def says(self):
        """Both streams on one line: where a console breaks its lines does not matter."""
        return " ".join((self.out + " " + self.err).split())

    def __repr__(self):
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Desk:
    """A user at a shell: environment, working folder, the command, and the DuckDB file that it fills."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        self.database = folder / "marketplace.duckdb"
        self._monkeypatch = monkeypatch

    def set(self, **settings):
        """Set `SOURCES__AUTOMATUM__<NAME>`; None removes it, lists and tables become JSON."""
        for name, value in settings.items():
            key = f"SOURCES__AUTOMATUM__{name.upper()}"
            if value is None:
                self._monkeypatch.delenv(key, raising=False)
            else:
                text = json.dumps(value) if isinstance(value, (list, dict)) else str(value)
                self._monkeypatch.setenv(key, text)

    def attempts(self, count):
        """Let the connector give a failing request up after so many attempts."""
        self._monkeypatch.setattr("automatum.api.retry.ATTEMPTS", count)

    def use(self, served, app=0):
        """Set what is needed to talk to this sandbox."""
        known = served.sandbox.apps[app]
        self.set(
            base_url=served.base_url,
            client_id=known.client_id,
            client_secret=known.secret,
            application_limits=WIDE_LIMITS,
        )

    def run(self, *arguments):
        """Run the command in this process, as a new process would find things."""
        from automatum.cli.main import app

        forget()
        result = testing.CliRunner().invoke(app, [str(one) for one in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    def start(self, *arguments, chunk_rows=None):
        """Start the command in a process of its own."""
        chunks = f"from automatum.sync import results; results.CHUNK_ROWS = {chunk_rows}; " if chunk_rows else ""
        return subprocess.Popen(
            [sys.executable, "-c", f"{chunks}from automatum.__main__ import main; main()", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def sync(self, *arguments):
        return self.run("sync", "--json", *arguments)

    def query(self, sql, *parameters, database=None):
        """Rows of a query on the dataset."""
        with duckdb.connect(str(database or self.database), read_only=True) as connection:
            connection.execute("USE automatum")
            return connection.execute(sql, parameters).fetchall()

    def tables(self):
        """The user's tables: not dlt's, not the connector's own."""
        found = self.query(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'automatum' "
            "AND table_type = 'BASE TABLE' ORDER BY ALL"
        )
        return [name for (name,) in found if not name.startswith("_")]

    def dump(self):
        """Every value of every table, `_synced_at` included, as text."""
        return {
            name: [
                self.query(
                    "SELECT column_name, data_type FROM information_schema.columns "
                    "WHERE table_schema = 'automatum' AND table_name = ? ORDER BY ordinal_position",
                    name,
                ),
                self.query(f'SELECT COLUMNS(*)::VARCHAR FROM "{name}" ORDER BY ALL'),
            ]
            for name in self.tables()
        }

    def counts(self):
        return {name: self.query(f'SELECT count(*) FROM "{name}"')[0][0] for name in self.tables()}


def api_requests(sandbox):
    """Number of requests to each path below `/api/v1/`, by the sandbox's own log."""
    counted = {}
    for entry in sandbox.requests.to("/api/v1/"):
        path = entry.path.removeprefix("/api/v1/")
        counted[path] = counted.get(path, 0) + 1
    return counted


def await_(true, seconds=30.0):
    """Wait until something is true in another thread or process; fail after so many seconds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        threading.Event().wait(0.005)
