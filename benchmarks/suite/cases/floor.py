"""The floor: what a first load costs at the least. No retries, no limits, no change detection, no proof of anything."""

from __future__ import annotations

import sys

import duckdb

from suite.cases.pages import CHILD, CHILD_KEY, read_batches


def main() -> None:
    """Load a list by delete and insert, in one transaction."""
    url, path, database = sys.argv[1:]
    with duckdb.connect(database) as connection:
        connection.begin()
        for batch in read_batches(url, path):
            for table, rows in batch.items():
                key = CHILD_KEY[0] if table == CHILD else "id"
                connection.register("rows", rows)
                connection.execute(f"CREATE TABLE IF NOT EXISTS {table} AS FROM rows LIMIT 0")
                connection.execute(f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM rows)")
                connection.execute(f"INSERT INTO {table} FROM rows")
                connection.unregister("rows")
        connection.commit()


if __name__ == "__main__":
    main()
