"""A crontab as cron reads it: settings, and lines of five fields and a command that /bin/sh runs."""

import json
import multiprocessing
import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import ROOT

EXAMPLE = ROOT / "pipelines" / "crontab.example"
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["tests.support.crontab", "automatum.cli.main", "automatum.sync.run", "dlt.destinations.impl.duckdb.duckdb"]
)


@dataclass
class Job:
    """One line.

    Attributes:
        when: Its five fields.
        command: What /bin/sh is given: `\\%` is a percent sign, and nothing follows an unescaped one.
    """

    when: str
    command: str

    @property
    def arguments(self):
        """Those of `automatum`."""
        return shlex.split(re.split(r"[;&>|]", self.command.partition("automatum ")[2])[0])


@dataclass
class Crontab:
    """A file of them.

    Attributes:
        settings: Name to value, taken literally: cron expands nothing.
        jobs: Its lines.
        commented: Its lines that are commented out.
    """

    settings: dict = field(default_factory=dict)
    jobs: list = field(default_factory=list)
    commented: list = field(default_factory=list)

    def start(self, job, home):
        """Start a job as cron does: in `home`, with these variables and no others."""
        bare = {"HOME": str(home), "LOGNAME": "automatum", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
        environment = {**bare, **self.settings}
        return subprocess.Popen(
            [environment["SHELL"], "-c", job.command],
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def read_crontab(path=EXAMPLE):
    """Parse it by the rules of crontab(5)."""
    made = Crontab()
    for line in path.read_text().splitlines():
        jobs = made.jobs
        if re.match(r"#\s*(?:[\d*/,-]+\s+){5}\S", line):
            line, jobs = line.lstrip("# "), made.commented
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        setting = re.fullmatch(r"\s*(\w+)\s*=\s*(.*?)\s*", line)
        if setting:
            made.settings[setting[1]] = setting[2].strip("\"'")
            continue
        *when, command = line.split(None, 5)
        assert len(when) == 5, line
        assert not re.search(r"(?<!\\)%", command), f"cron ends the command at a bare %: {line}"
        jobs.append(Job(" ".join(when), command.replace("\\%", "%")))
    return made


def due(field_, lowest, highest):
    """The numbers that one field names."""
    found = set()
    for part in field_.split(","):
        span, _, step = part.partition("/")
        first, _, last = (f"{lowest}-{highest}" if span == "*" else span).partition("-")
        found |= set(range(int(first), int(last or first) + 1, int(step or 1)))
    assert found <= set(range(lowest, highest + 1)), field_
    return found


@dataclass
class Ended:
    """How a start ended.

    Attributes:
        pid: Its process.
        code: Exit code.
        seconds: From its start to its end.
        out: What it wrote to stdout.
        err: What it wrote to stderr.
    """

    pid: int
    code: int
    seconds: float
    out: str
    err: str


class Start:
    """One start of the command in a process of its own, forked from a server that has imported everything.

    Args:
        arguments: Those of `automatum`.
        environment: Further variables.
        folder: Working folder.
        name: Of its result's files, beside the folder.
    """

    def __init__(self, arguments, environment, folder, name):
        self._files = folder.parent / name
        self.process = _CONTEXT.Process(target=_enter, args=(arguments, environment, str(folder), str(self._files)))
        self.process.start()

    def alive(self):
        return self.process.is_alive()

    def ended(self, within=60):
        """How it ended; fails if it has not."""
        self.process.join(within)
        assert not self.process.is_alive()
        texts = [Path(f"{self._files}.{one}").read_text() for one in ("out", "err")]
        return Ended(self.process.pid, *json.loads(Path(f"{self._files}.json").read_text()), *texts)


def _enter(arguments, environment, folder, files):
    """Runs in the child, in place of what /bin/sh would start."""
    began = time.monotonic()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["automatum", *arguments]
    with Path(f"{files}.out").open("w") as sys.stdout, Path(f"{files}.err").open("w") as sys.stderr:
        from automatum.__main__ import run

        code = run()
    Path(f"{files}.json").write_text(json.dumps([code or 0, time.monotonic() - began]))
