"""Count the rows of the tables of a schema: `python -m suite.count DATABASE SCHEMA`; prints JSON."""

import json
import sys

import duckdb


def main() -> None:
    """Count, and print."""
    database, schema = sys.argv[1:]
    with duckdb.connect(database, read_only=True) as connection:
        tables = connection.execute("SELECT table_name FROM duckdb_tables WHERE schema_name = ?", [schema]).fetchall()
        counts = {
            name: connection.execute(f'SELECT count(*) FROM "{schema}"."{name}"').fetchall()[0][0] for (name,) in tables
        }
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
