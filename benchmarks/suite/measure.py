"""Run programs and measure them as a whole: from start to exit, with everything that they start and wait for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_UNIT = 1 << 20 if sys.platform == "darwin" else 1 << 10
"""Bytes, or kB, to MB: systems count `ru_maxrss` differently."""


@dataclass(frozen=True)
class Usage:
    """What a program took.

    Attributes:
        seconds: From start to exit.
        cpu: Seconds of CPU time, of the system for the program included.
        megabytes: Peak of resident memory; for programs in a pipe their sum.
    """

    seconds: float
    cpu: float
    megabytes: int


class ProgramFailed(Exception):
    """A program that is measured has failed, or has not done what it was to do."""


def run(commands: Sequence[Sequence[str]], environment: Mapping[str, str], folder: Path) -> tuple[Usage, str]:
    """Run commands in a pipe, each reading what the one before it writes.

    The peak memory is that of the kernel (`wait4`), which begins with the memory of the process that starts the
    program. So the process that calls this stays small: it imports the standard library only.

    Args:
        commands: Arguments of each program.
        environment: All environment variables.
        folder: Working directory.

    Returns:
        What they took, and the standard output of the last one.

    Raises:
        ProgramFailed: One of them did not exit with 0.
    """
    output, errors = folder / "stdout", folder / "stderr"
    started, running, source = time.perf_counter(), [], None
    with output.open("wb") as out, errors.open("wb") as err:
        for at, command in enumerate(commands):
            last = at == len(commands) - 1
            process = subprocess.Popen(
                list(command), env=dict(environment), cwd=folder, stdin=source or subprocess.DEVNULL,
                stdout=out if last else subprocess.PIPE, stderr=err,
            )  # fmt: skip
            if source is not None:
                source.close()
            source = process.stdout
            running.append(process)
        cpu, megabytes, codes = 0.0, 0, []
        for process in running:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            codes.append(process.returncode)
            cpu += used.ru_utime + used.ru_stime
            megabytes += used.ru_maxrss // _UNIT
    usage = Usage(time.perf_counter() - started, cpu, megabytes)
    text = output.read_text(encoding="utf-8", errors="replace")
    if any(codes):
        said = errors.read_text(encoding="utf-8", errors="replace")[-3000:]
        raise ProgramFailed(f"{' | '.join(map(' '.join, commands))} exited with {codes}:\n{said or text[-3000:]}")
    return usage, text
