"""Run as a process: runs commands one after the other, and writes what each came to and the peak of the memory so far.

Usage: python -m tests.support.commands_in_turn RUNS.json RESULT.json

A run is a list: the root of its API, its DuckDB file, and its arguments.
"""

import json
import os
import sys
from pathlib import Path

from typer.testing import CliRunner

from tests.support.desk import forget


def peak_memory():
    """The peak of this process, in MiB. `ru_maxrss` would start at the size of the process that started this one."""
    line = next(one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def main():
    from automatum.api import retry
    from automatum.cli.main import app

    retry.ATTEMPTS = 2  # Six would take each refused request twelve seconds.
    runs, target = map(Path, sys.argv[1:])
    made = []
    for base_url, database, arguments in json.loads(runs.read_text()):
        os.environ["SOURCES__AUTOMATUM__BASE_URL"] = base_url
        forget()
        result = CliRunner().invoke(app, [*arguments, *(("--database", database) if database else ())])
        ended = result.exception is None or isinstance(result.exception, SystemExit)
        raised = None if ended else repr(result.exception)
        made.append([result.exit_code, result.stdout, result.stderr, raised, peak_memory()])
        target.write_text(json.dumps(made))


main()
