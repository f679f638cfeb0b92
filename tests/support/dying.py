"""Commands in processes of their own that are killed at a commit of the ledger, or around a call, by kill -9."""

import os
import signal
from pathlib import Path

from tests.support.pushing import CONTEXT, Process, _command

PLACES = ("before", "after", "later")
"""Before a commit that writes; after it, before anything else is done; or when the next transaction begins."""


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


def _listen(commit, place):
    """Kill this process at a commit that writes, counted from 1; an executed SQL statement makes the commit one."""
    from sqlalchemy import Engine, Pool, event

    seen = {"commits": 0, "due": False}

    @event.listens_for(Engine, "commit")
    def count(connection):
        if connection.get_execution_options().get("automatum_writes"):
            seen["commits"] += 1
            if seen["commits"] == commit and place == "before":
                _die()
            seen["due"] = seen["commits"] == commit or seen["due"]

    # The connection goes back to the pool right after its commit, before the code that follows runs.
    @event.listens_for(Pool, "checkin")
    def checkin(*_):
        if seen["due"] and place == "after":
            _die()

    @event.listens_for(Engine, "begin")
    def begin(connection):
        if seen["due"] and place == "later":
            _die()


def _dying_command(environment, folder, out, arguments, started, go, death):
    """The command, in the child."""
    if death:
        _listen(*death)
    _command(environment, folder, out, arguments, started, go)


class Dying(Process):
    """The command in a process that is killed.

    Args:
        folder: Where it runs, and where its output goes.
        arguments: Of the command.
        death: Number of the commit that writes, from 1, and one of PLACES; None to live.
        go: It waits for this event; None to begin at once.
    """

    def __init__(self, folder, *arguments, death=None, go=None):
        Process._number += 1
        self.out = f"{folder}/process-{Process._number}.out"
        started = CONTEXT.Event()
        if go is None:
            go = CONTEXT.Event()
            go.set()
        known = (dict(os.environ), str(folder), self.out, arguments, started, go, death)
        self._process = CONTEXT.Process(target=_dying_command, args=known)
        self._process.start()
        assert started.wait(60)

    @property
    def pid(self):
        return self._process.pid

    @property
    def killed(self):
        """Whether it was killed; waits for its end."""
        return self.code == -signal.SIGKILL

    @property
    def said(self):
        """Its output, for a message."""
        return Path(self.out).read_text() + self.err
