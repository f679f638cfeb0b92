"""A script that syncs everything into a DuckDB file and counts the customers.

    python pipelines/automatum_sync.py

Credentials come from `.dlt/secrets.toml` or the environment. The exit code is that of `automatum sync`. To load with
`pipeline.run` instead, see `sources/automatum_pipeline.py`.
"""

import sys
from pathlib import Path

import duckdb

from automatum import AutomatumError, SyncOptions, Target, run_sync

TARGET = Target(database=Path("marketplace.duckdb"))


def main() -> int:
    """Sync all tables that the scopes allow, print the result, and return the exit code."""
    try:
        summary = run_sync(SyncOptions(target=TARGET))
    except AutomatumError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(summary.line(), TARGET.file)
    if summary.exit_code == 0:
        with duckdb.connect(str(TARGET.database), read_only=True) as connection:
            query = "SELECT vendor, status, count(*) FROM automatum.customers GROUP BY ALL ORDER BY ALL"
            print(connection.execute(query).fetchall())
    return summary.exit_code


if __name__ == "__main__":
    sys.exit(main())
