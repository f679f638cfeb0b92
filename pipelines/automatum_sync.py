"""The plain-script way to sync: dlt and the source, nothing else.

    python pipelines/automatum_sync.py

Credentials come from `.dlt/secrets.toml` or the environment. `automatum sync` does the same with a budget, a summary,
exit codes for cron, and loads in chunks that survive a kill; prefer it for what runs unattended.
"""

import dlt

from automatum import automatum_source


def main() -> None:
    """Sync everything that the scopes allow into `marketplace.duckdb`."""
    pipeline = dlt.pipeline(
        "automatum", destination=dlt.destinations.duckdb("marketplace.duckdb"), dataset_name="automatum"
    )
    print(pipeline.run(automatum_source()))
    with pipeline.sql_client() as client:
        print(client.execute_sql("SELECT vendor, status, count(*) FROM customers GROUP BY ALL ORDER BY ALL"))


if __name__ == "__main__":
    main()
