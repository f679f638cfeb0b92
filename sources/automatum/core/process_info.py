"""Names processes and the user of this machine for messages, without the secrets of a command."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

from .clock import instant
from .text import printable

_MOST_WORDS = 3
_PROC = Path("/proc")


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
