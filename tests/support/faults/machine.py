"""The faults of the machine and of the destination, each with what begins it and what ends it."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass

import pytest

from tests.support.faults.kinds import RETRIED

_HOLD = """
import sys, duckdb, sqlite3
while True:
    try:
        if sys.argv[1].endswith(".sqlite"):
            there = sqlite3.connect(sys.argv[1])
            there.execute("BEGIN EXCLUSIVE")
        else:
            there = duckdb.connect(sys.argv[1])
        break
    except (duckdb.Error, sqlite3.Error):
        pass
print("open", flush=True)
sys.stdin.read()
"""


class Relay:
    """A way to a TCP server that can be down.

    Args:
        port: Of the server.

    Attributes:
        port: Of the way.
        marks: It goes down when a piece has all of these; none for never.
    """

    def __init__(self, port):
        self._port, self.marks, self._down, self._sockets = port, (), False, []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            if self._down:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._port))
            self._sockets += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one, other):
        with contextlib.suppress(OSError):
            while piece := one.recv(2**20):
                if self.marks and all(mark in piece for mark in self.marks):
                    self.down()
                    break
                other.sendall(piece)
        _end(one, other)
        one.close()  # The other way's thread closes the other one.

    def down(self):
        """Break all connections, and refuse further ones."""
        self._down, self.marks = True, ()
        _end(*self._sockets)
        self._sockets.clear()

    def up(self):
        """Pass on again."""
        self._down = False

    def close(self):
        """Listen no longer."""
        self.down()
        _end(self._listening)
        self._listening.close()


def _end(*sockets):
    for one in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def fill(folder, what="bytes"):
    """Use up a disk: its space, or the number of files (`names`) that it may have. Returns what frees it again."""
    files = [folder / "filler"]
    with contextlib.suppress(OSError):
        if what == "bytes":
            with files[0].open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(2**14))
        while what == "names":
            files[-1].touch()
            files.append(folder / f"filler{len(files)}")
    return lambda: [one.unlink(missing_ok=True) for one in files]


def _fill(world):
    fill(world.disk)


def _free(world):
    (world.disk / "filler").unlink(missing_ok=True)


def _read_only(world, flag="+i"):
    places = [world.disk, *(one for one in world.disk.iterdir() if one.is_file())]
    if subprocess.run(["chattr", flag, *places], capture_output=True).returncode:
        pytest.skip("files cannot be made immutable here")


def _lock(world):
    """Let another program have the database, or the ledger, as soon as it can."""
    world.locks = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(world.database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _lock_now(world):
    if world.pushes:
        world.begin_ledger()
    _lock(world)
    world.locks.stdout.readline()


def _unlock(world):
    world.locks.kill()
    world.locks.communicate()


def _jump(seconds):
    def begin(world):
        world.clock.jump += seconds

    return begin


def _right_clock(world):
    world.clock.jump = 0.0


def _mark(world):
    world.relay.marks = (b"UPDATE",) if world.pushes else (b"INSERT INTO", b"_dlt_loads")


@dataclass(frozen=True)
class MachineFault:
    """A fault of the machine.

    Attributes:
        name: In the table.
        begin: Called with the world when it begins.
        end: Called when it is over.
        at_start: It begins before the command, not in the phase.
        postgres: The destination, and the ledger, are in Postgres.
        disk: The files are on a disk of their own.
    """

    name: str
    begin: object
    end: object
    at_start: bool = False
    postgres: bool = False
    disk: bool = False
    rule: str = RETRIED
    say: object = None
    token: object = None
    wire: str = ""
    billed: bool = False
    slow: bool = False


_DOWN = {"begin": lambda world: world.relay.down(), "end": lambda world: world.relay.up(), "postgres": True}
MACHINE = (
    MachineFault("the clock jumps three hours ahead", _jump(3 * 3600), _right_clock),
    MachineFault("the clock jumps three hours back", _jump(-3 * 3600), _right_clock),
    MachineFault("the disk is full", _fill, _free, disk=True),
    MachineFault("the disk is full at the start", _fill, _free, disk=True, at_start=True),
    MachineFault("the folder is read-only", _read_only, lambda world: _read_only(world, "-i")),
    MachineFault(
        "the folder is read-only at the start", _read_only, lambda world: _read_only(world, "-i"), at_start=True
    ),
    MachineFault("the destination is down", **_DOWN),
    MachineFault("the destination is down at the start", **_DOWN, at_start=True),
    MachineFault("the destination is lost at the last write", _mark, lambda world: world.relay.up(), postgres=True),
    MachineFault("another program has the database", _lock, _unlock),
    MachineFault("another program has the database at the start", _lock_now, _unlock, at_start=True),
)
"""All faults of this side, in the order of the table."""


@contextlib.contextmanager
def small_disk(folder, options="size=24m"):
    """A small file system on a folder; skips if this user may not mount one."""
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        os.sync()
        subprocess.run(["umount", "--lazy", folder], capture_output=True, check=True)
