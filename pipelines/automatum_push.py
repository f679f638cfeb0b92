"""A script that pushes usage from the warehouse to the marketplaces, and ends with the exit code of the push.

    python pipelines/automatum_push.py              # dry run: prints what it would send
    python pipelines/automatum_push.py --confirm    # sends
    python pipelines/automatum_push.py --confirm --new-ledger    # the very first push, which creates the ledger

It reads the table or view `usage_by_hour` of the dataset `automatum` in `marketplace.duckdb` of the current folder.
docs/metering.md lists its columns. Exit code 65 means that something waits for a person: `automatum push status`.
"""

import logging
import sys
from pathlib import Path

from automatum import AutomatumError, PushOptions, Target, run_push

USAGE = "usage_by_hour"


def main(confirm: bool, new_ledger: bool) -> int:
    """Push the usage in the table. Usage that was accepted before is not sent again.

    Returns:
        The exit code of the push: 0 if all usage is billed, 65 if something waits for a person, and others.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = PushOptions(confirm=confirm, new_ledger=new_ledger, target=Target(database=Path("marketplace.duckdb")))
    try:
        result = run_push(USAGE, options)
    except AutomatumError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(result.line())
    for error in result.errors:
        print(error, file=sys.stderr)
    return result.exit_code


if __name__ == "__main__":
    sys.exit(main("--confirm" in sys.argv[1:], "--new-ledger" in sys.argv[1:]))
