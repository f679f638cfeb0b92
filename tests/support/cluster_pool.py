"""Any scheduler that starts commands: workers that share nothing but the warehouse, the quota store and the ledgers."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from tests.support import ROOT
from tests.support.cluster import Firm

ATTEMPTS = 12
DONE = (0, 65)
"""Exit codes after which a scheduler does not start a job again: 65 waits for a person."""


@dataclass
class Job:
    """A command for one organization.

    Attributes:
        kind: `sync` or `push`.
        name: Of the organization.
        not_before: Monotonic time of its next run.
        ended: Monotonic time of its last end.
        codes: How its runs ended; -9 for a kill.
        said: What those said that failed, or wait for a person.
    """

    kind: str
    name: str
    not_before: float = 0.0
    ended: float = 0.0
    codes: list = field(default_factory=list)
    said: list = field(default_factory=list)


class Pool:
    """Workers that run commands, each with a home of its own.

    Args:
        firm: Whom they work for.
        workers: How many.
    """

    def __init__(self, firm: Firm, workers=2):
        self.firm, self.workers = firm, workers
        self.failed = Counter()
        """Failures by worker."""
        self.on_failure = lambda worker: None
        """Called after each failure."""
        self.pushed = set()
        """Organizations whose ledger is begun."""
        self._running, self._lock = {}, threading.Lock()

    def home(self, worker):
        """Folder of a worker: all that it has of its own."""
        found = self.firm.folder / f"worker-{worker}"
        found.mkdir(exist_ok=True)
        return found

    def _command(self, job):
        place = ["--destination", "postgres", "--organization", job.name, "--json", "--max-wait", "0"]
        if job.kind == "sync":
            return ["sync", *place]
        begin = [] if job.name in self.pushed else ["--new-ledger"]
        return ["push", *place, "--usage", self.firm.usage_of(job.name), "--source", "usage", *begin, "--confirm"]

    def start(self, arguments, worker):
        """Start a command on a worker, in a process group of its own."""
        home = self.home(worker)
        plain = {key: value for key, value in os.environ.items() if "__" not in key}
        own = {"HOME": str(home), "DLT_DATA_DIR": str(home / "dlt"), "TMPDIR": str(home)}
        return subprocess.Popen(
            [sys.executable, "-m", "automatum", *arguments],
            env={**plain, **self.firm.environment(), **own, "PYTHONPATH": str(ROOT / "sources")},
            cwd=home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ask(self, *arguments):
        """The JSON of a command that a person runs at a desk."""
        process = self.start([*arguments, "--json"], "desk")
        out, err = process.communicate(timeout=60)
        assert out, err
        return json.loads(out)

    def kill(self, kind):
        """Kill -9 the commands of this kind that run, with all that they started; how many."""
        with self._lock:
            found = [process for name, process in self._running.values() if name == kind and process.poll() is None]
            for process in found:
                os.killpg(process.pid, signal.SIGKILL)
        return len(found)

    def run(self, kind):
        """Run a job for each organization until it is done: again at the time that exit code 75 names, and soon after
        a failure or a kill. Returns the jobs by name."""
        jobs = [Job(kind, name) for name in self.firm.names]
        waiting, changed = list(jobs), threading.Condition()
        left = len(jobs)

        def take():
            """The next job that is due; None if all are done."""
            with changed:
                while left:
                    now = time.monotonic()
                    due = min(waiting, key=lambda job: job.not_before, default=None)
                    if due and due.not_before <= now:
                        waiting.remove(due)
                        return due
                    changed.wait(due.not_before - now if due else 10)
            return None

        def work(worker):
            nonlocal left
            while job := take():
                self._run(job, worker)
                with changed:
                    if job.codes[-1] in DONE or len(job.codes) >= ATTEMPTS:
                        left -= 1
                    else:
                        waiting.append(job)
                    changed.notify_all()

        threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in range(self.workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {job.name: job for job in jobs}

    def _run(self, job, worker):
        with self._lock:
            process = self.start(self._command(job), worker)
            self._running[worker] = job.kind, process
        out, err = process.communicate()
        code, job.ended, job.not_before = process.returncode, time.monotonic(), 0.0
        job.codes.append(code)
        if job.kind == "push" and code in (*DONE, 75):
            self.pushed.add(job.name)
        if code == 65:
            job.said.append(out)
        if code == -signal.SIGKILL:
            shutil.rmtree(self.home(worker))  # The machine is gone, with its disk.
        elif code == 75:
            resume_at = datetime.fromisoformat(json.loads(out)["resume_at"].replace("Z", "+00:00"))
            job.not_before = job.ended + max(resume_at.timestamp() - time.time(), 0)
        elif code not in DONE:
            job.said.append(err or out)
            job.not_before = job.ended + 0.5
            self.failed[worker] += 1
            self.on_failure(worker)


def codes(jobs):
    """How often each exit code came up."""
    return Counter(code for job in jobs.values() for code in job.codes)
