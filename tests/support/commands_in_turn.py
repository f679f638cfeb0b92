"""Run as a process: runs commands one after the other, and writes what each came to and the peak of the memory so far.

Usage: python -m tests.support.commands_in_turn RUNS.json RESULT.json

A run is a list: the root of its API, its DuckDB file, and its arguments.
"""

import json
import os
import resource
import sys
from pathlib import Path

from typer.testing import CliRunner

from tests.support.desk import forget


def main():
    from automatum.cli.main import app

    runs, target = map(Path, sys.argv[1:])
    made = []
    for base_url, database, arguments in json.loads(runs.read_text()):
        os.environ["SOURCES__AUTOMATUM__BASE_URL"] = base_url
        forget()
        result = CliRunner().invoke(app, [*arguments, *(("--database", database) if database else ())])
        ended = result.exception is None or isinstance(result.exception, SystemExit)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        raised = None if ended else repr(result.exception)
        made.append([result.exit_code, result.stdout, result.stderr, raised, peak])
        target.write_text(json.dumps(made))


main()
