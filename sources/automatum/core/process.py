"""The process of a command: its memory, its garbage collection, its streams, its end, and defaults for dlt; names of
processes and of the user for messages, without the secrets of a command.

Environment variables override the defaults. `benchmarks/memory.py` measures what they save.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import getpass
import io
import os
import re
import sys
import threading
from pathlib import Path

from .clock import instant
from .errors import EXIT_COMPLETE, ConfigurationError
from .text import printable

DUCKDB_MEMORY = "64MB"
"""Memory limit of DuckDB. Without a limit it keeps the whole file in memory; beyond the limit it works on disk."""
MOST_DUCKDB_MEMORY = 1_024_000_000
"""Bytes up to which the limit is raised when a load needs more: rows of 100 kB need about 256 MB."""
_M_ARENA_MAX = -8
_UNITS = {"KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_STDERR = 2
_MOST_WORDS = 3
_PROC = Path("/proc")


def limit_memory() -> None:
    """Limit the memory of the allocators. Call it before dlt and Arrow are imported."""
    # Arrow's own allocators keep freed memory for speed, which a sync does not need.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if "MALLOC_ARENA_MAX" not in os.environ:
        try:
            # glibc keeps an arena for each thread, and dlt loads in threads.
            ctypes.CDLL("libc.so.6").mallopt(_M_ARENA_MAX, 1)
        except (OSError, AttributeError):
            return  # Another C library, which has no such arenas.


def pause_garbage_collection() -> None:
    """Let nothing look for garbage while modules are imported: those of dlt make 150,000 objects that all stay.

    Call it before the imports, in a process that runs one command.
    """
    gc.disable()
    atexit.register(gc.unfreeze)  # If the interpreter tears everything down, it finds all of it.


def resume_garbage_collection() -> None:
    """Collect garbage again after `pause_garbage_collection`, but do not visit what has been imported until now."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def end_process(code: str | int | None) -> None:
    """End the process as the interpreter does, but leave the memory to the system.

    The interpreter would look through all objects for garbage and free each of the others, which takes a fifth of
    `automatum status`. What a user or another program can see happens before: threads are waited for, handlers of
    `atexit` run, and the streams are flushed. A file or a connection must be closed by its owner.

    Args:
        code: Code of `SystemExit`. With a text, or if a stream cannot be flushed, this returns, and the interpreter
            must end the process.
    """
    if isinstance(code, str):
        return
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return
    os._exit(code or EXIT_COMPLETE)


def arrow_without_pandas() -> None:
    """Let Arrow find no pandas; for the command line only, which has no frames.

    Arrow asks of each list whether it is one of pandas' series. Where pandas is installed, it would import pandas for
    that, which takes 0.3 s and 40 MB. Later imports of pandas work.
    """
    hidden = _NotFound()
    sys.meta_path.insert(0, hidden)
    try:
        import pyarrow

        pyarrow.array([])  # Arrow asks once.
    finally:
        sys.meta_path.remove(hidden)


class _NotFound:
    """A finder of modules that hides pandas."""

    def find_spec(self, fullname: str, path: object, target: object = None, /) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def disable_telemetry() -> None:
    """Turn off the telemetry of dlt, unless the environment turns it on."""
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")


def use_one_loader() -> None:
    """Load one file at a time, because DuckDB has one writer."""
    os.environ.setdefault("LOAD__WORKERS", "1")


def duckdb_memory() -> str:
    """DuckDB's memory limit: the environment variable `AUTOMATUM_DUCKDB_MEMORY`, or the default.

    Raises:
        ConfigurationError: The variable holds no amount of memory.
    """
    limit = os.environ.get("AUTOMATUM_DUCKDB_MEMORY") or DUCKDB_MEMORY
    if parse_memory(limit) is None:
        raise ConfigurationError(
            "AUTOMATUM_DUCKDB_MEMORY", "is no amount of memory.", "Write it like 512MB, or leave it out for 64MB."
        )
    return limit


def parse_memory(text: str) -> int | None:
    """Bytes of an amount such as `64MB`, in DuckDB's notation; None if it is none."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]i?B)\s*", text, re.IGNORECASE)
    return None if found is None else int(float(found[1]) * _UNITS[found[2].upper()])


def open_standard_streams() -> None:
    """Let stdin, stdout and stderr lead nowhere if they are closed.

    Otherwise the next file that is opened, such as the database, would take their place and get what is printed.
    """
    opened = os.open(os.devnull, os.O_RDWR)
    while opened <= _STDERR:  # The lowest free number is one of the three.
        opened = os.open(os.devnull, os.O_RDWR)
    os.close(opened)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", closefd=False))


def print_every_character() -> None:
    """Let stdout print a character that its encoding lacks as an escape: a name must not end a command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def describe_process(pid: int, program: str, proc: Path = _PROC) -> str:
    """Describe a process, such as `process 7 (python -m ipykernel_launcher, since 2026-11-26T08:00:00Z)`.

    Args:
        pid: Process id.
        program: Name of its program, for a system without `/proc`.
        proc: The proc file system.
    """
    command, since = program, ""
    try:
        words = (proc / str(pid) / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        command = _command([word for word in words if word]) or program
        since = f", since {instant(_started(pid, proc))}"
    except (OSError, ValueError, IndexError, StopIteration):
        pass  # The message then says less.
    return f"process {pid} ({printable(command)}{since})"


def user_name() -> str:
    """Name of the user of this machine; empty if it has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # A container runs under a number that has no name.
        return ""


def _command(words: list[str]) -> str:
    """The program and its first words. It stops at the first option, whose value may be a secret."""
    shown: list[str] = []
    for word in words[:_MOST_WORDS]:
        if word != "-m" and (word.startswith("-") or "://" in word or "=" in word):
            break
        shown.append(Path(word).name)
    return " ".join(shown)


def _started(pid: int, proc: Path) -> float:
    """Epoch seconds of the start: the machine's start, and the 22nd field of `stat` in clock ticks."""
    boot = next(
        int(line.split()[1]) for line in (proc / "stat").read_text("ascii").splitlines() if line.startswith("btime ")
    )
    # The second field, the name in parentheses, may contain spaces.
    fields = (proc / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    return boot + int(fields[19]) / os.sysconf("SC_CLK_TCK")
