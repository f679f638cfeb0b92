"""Run the groups of the plan: rounds in which the tasks of a group take turns, each in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TypedDict

from suite.measure import ProgramFailed, Usage, run
from suite.plan import Group, Program, Task

BENCHMARKS = Path(__file__).parents[1]
_LIMITS = "[[10000000, 60]]"
Before = tuple[tuple[Program, int], ...]
"""Runs before a task, each with the version of the lists that it reads."""
Round = dict[str, dict[str, float]]
"""What each task of a group took, by its name."""


class Taken(TypedDict):
    """What the server has received."""

    requests: dict[str, int]
    usages: int


class Server:
    """The server of a group.

    Args:
        url: Where it is.
    """

    def __init__(self, url: str) -> None:
        self.url, self._version = url, 1

    def _get(self, path: str) -> Taken:
        with urllib.request.urlopen(f"{self.url}/bench/{path}") as answer:
            return json.loads(answer.read())  # type: ignore[no-any-return]

    def serve(self, version: int) -> None:
        """List this version of the records, and forget what was requested."""
        if version != self._version:
            self._get(f"version/{version}")
            self._version = version
        self.take()

    def take(self) -> Taken:
        """The requests by path, and the usages, since the last call."""
        return self._get("take")


@contextmanager
def serving(served: Mapping[str, int], python: Path) -> Iterator[Server]:
    """Serve lists of so many records for as long as the context lasts."""
    command = [str(python), "-m", "suite.server", *(f"{name}={count}" for name, count in served.items())]
    with subprocess.Popen(command, env={"PYTHONPATH": str(BENCHMARKS)}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            url = process.stdout.readline().strip()
            if not url:
                raise ProgramFailed(f"the server did not start: {' '.join(command)}")
            yield Server(url)
        finally:
            process.terminate()


class Bench:
    """Runs tasks.

    Args:
        homes: Interpreter by name of the environment.
        folder: Where the programs run. Every run has the same paths in it: dlt remembers them.
        say: Called with a line of progress.
    """

    def __init__(self, homes: Mapping[str, Path], folder: Path, say: Callable[[str], None]) -> None:
        self._homes, self._say = homes, say
        self._work, self._kept = folder / "work", folder / "kept"
        self._prepared: list[tuple[str, Before]] = []

    def measure(self, group: Group, repeats: int) -> list[Round]:
        """Rounds of a group."""
        rounds: list[Round] = []
        shutil.rmtree(self._kept, ignore_errors=True)
        self._prepared.clear()
        with serving(group.served, self._homes["bench"]) as server:
            for number in range(repeats):
                taken: Round = {}
                for task in group.tasks:
                    measured = self._measure(task, server)
                    taken[task.name] = measured
                    self._say(
                        f"{group.title} [{number + 1}/{repeats}] {task.name}: {measured['seconds']:.2f} s, "
                        f"{measured['cpu']:.2f} s CPU, {measured['megabytes']:.0f} MB"
                    )
                rounds.append(taken)
        return rounds

    def _measure(self, task: Task, server: Server) -> dict[str, float]:
        self._prepare(task.table, task.before, server)
        server.serve(task.version)
        usage, output = self._run(task.program, task.table, server.url)
        return {**asdict(usage), "lost": self._check(task, output, server.take())}

    def _prepare(self, table: str, before: Before, server: Server) -> None:
        """Make the folder as it is after these runs, and keep it: other tasks and rounds begin with the same ones."""
        shutil.rmtree(self._work, ignore_errors=True)
        if not before:
            (self._work / "home").mkdir(parents=True)
            return
        program, version = before[-1]
        if (table, before) not in self._prepared:
            self._prepare(table, before[:-1], server)
            server.serve(version)
            self._run(program, table, server.url)
            if not program.copied:
                return
            self._kept.mkdir(exist_ok=True)
            shutil.move(self._work, self._kept / str(len(self._prepared)))
            self._prepared.append((table, before))
        shutil.copytree(self._kept / str(self._prepared.index((table, before))), self._work, symlinks=True)

    def _run(self, program: Program, table: str, url: str) -> tuple[Usage, str]:
        python, work = self._homes[program.home], self._work
        values = {
            "python": str(python),
            "automatum": str(python.parent / "automatum"),
            "url": url,
            "table": table,
            "database": str(work / "marketplace.duckdb"),
        }
        commands = [[word.format_map(values) for word in command] for command in program.commands]
        return run(commands, {**_environment(url, work), **program.environment}, work)

    def _check(self, task: Task, output: str, taken: Taken) -> int:
        """Compare what a task left behind with what it should have; return the number of rows that it lost."""
        said = json.loads(output) if task.summary else {}
        found = {place: _at(said, place) for place in task.summary}
        if found != dict(task.summary) or taken["usages"] != task.usages:
            raise ProgramFailed(f"{task.name}: {found} and {taken['usages']} usages, not {task.summary}, {task.usages}")
        counted = sum(count for path, count in taken["requests"].items() if path != "oauth/token")
        if said.get("requests", counted) != counted:
            raise ProgramFailed(f"{task.name}: says {said['requests']} requests, and made {counted}")
        if not task.tables:
            return 0
        database = str(self._work / "marketplace.duckdb")
        printed = subprocess.run(
            [str(self._homes["bench"]), "-m", "suite.count", database, task.program.dataset],
            env={"PYTHONPATH": str(BENCHMARKS)}, capture_output=True, text=True,
        )  # fmt: skip
        if printed.returncode:
            raise ProgramFailed(f"{task.name}: its database cannot be read: {printed.stderr[-1000:]}")
        rows: dict[str, int] = json.loads(printed.stdout)
        counts = {table: rows.get(table, 0) for table in task.tables}
        if task.program.exact and counts != dict(task.tables):
            raise ProgramFailed(f"{task.name}: the database has {counts}, not {dict(task.tables)}")
        return sum(task.tables.values()) - sum(counts.values())


def _at(value: object, place: str) -> object:
    for name in place.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _environment(url: str, work: Path) -> dict[str, str]:
    """Nothing of the user's, no telemetry, and the settings of the connector."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "LANG": "C.UTF-8",
        "HOME": str(work / "home"),
        "PYTHONPATH": str(BENCHMARKS),
        "DLT_DATA_DIR": str(work / "home/dlt"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "DO_NOT_TRACK": "1",
        "AIRBYTE_LOGGING_ROOT": str(work / "logs"),
        "SOURCES__AUTOMATUM__BASE_URL": url,
        "SOURCES__AUTOMATUM__CLIENT_ID": "app_1",
        "SOURCES__AUTOMATUM__CLIENT_SECRET": "secret_12345678",
        "SOURCES__AUTOMATUM__APPLICATION_LIMITS": _LIMITS,
    }


def warm(python: Path) -> None:
    """Compile and read once what every program needs, so that the first task is not charged for it."""
    for code in ("import dlt, duckdb, orjson, pyarrow", "import automatum.cli.main"):
        subprocess.run([str(python), "-c", code], stderr=sys.stderr, check=True)
