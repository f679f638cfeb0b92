"""A script that pushes usage from the warehouse to the marketplaces, and loads the result as `metering_lines`.

    python pipelines/automatum_push.py              # dry run: logs what it would send
    python pipelines/automatum_push.py --confirm    # sends
    python pipelines/automatum_push.py --confirm --new-ledger    # the very first push, which creates the ledger

It reads the table or view `usage_by_hour` of the dataset `automatum` in `marketplace.duckdb` of the current folder.
docs/metering.md lists its columns. `automatum push` does the same from the command line, with an exit code for cron.
"""

import logging
import sys
from pathlib import Path

from automatum import PushOptions, Target, metering_usage

USAGE = "usage_by_hour"


def main(confirm: bool, new_ledger: bool) -> None:
    """Push the usage in the table. Usage that was accepted before is not sent again."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    pipeline = Target(database=Path("marketplace.duckdb")).pipeline()
    print(pipeline.run(metering_usage(USAGE, PushOptions(confirm=confirm, new_ledger=new_ledger))))


if __name__ == "__main__":
    main("--confirm" in sys.argv[1:], "--new-ledger" in sys.argv[1:])
