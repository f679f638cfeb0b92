"""Example script of the `automatum` source; `dlt init automatum duckdb --location <this repository>` copies it.

Fill in `.dlt/secrets.toml` and run it: it loads everything that the credentials allow.
"""

from pathlib import Path

import dlt

from automatum import automatum_source


def load_everything() -> None:
    """Sync all tables that the OAuth application's scopes allow."""
    # The pipeline names the DuckDB file: marketplace.duckdb, with the dataset automatum, as for the command line.
    # Otherwise dlt would load to the file in the folder where a pipeline of this name ran first.
    folder = str(Path(".dlt/pipelines").resolve())
    pipeline = dlt.pipeline("marketplace", destination="duckdb", dataset_name="automatum", pipelines_dir=folder)
    print(pipeline.run(automatum_source()))


if __name__ == "__main__":
    load_everything()
