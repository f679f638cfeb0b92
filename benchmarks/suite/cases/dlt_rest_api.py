"""dlt's declarative `rest_api` source: `python -m suite.cases.dlt_rest_api FORMAT URL TABLE DATABASE`.

FORMAT is the loader's file format, or `default` for what dlt chooses.
"""

from __future__ import annotations

import sys
from typing import Any, cast

import dlt
from dlt.sources.rest_api import rest_api_source

from suite.rows import PAGE


def main() -> None:
    """Merge a list by its key."""
    file_format, url, path, database = sys.argv[1:]
    paginator = {"type": "page_number", "base_page": 1, "page_param": "page", "total_path": "pagination.pages"}
    config: Any = {
        "client": {"base_url": f"{url}/api/v1/", "auth": {"type": "bearer", "token": "t"}, "paginator": paginator},
        "resources": [
            {
                "name": path,
                "primary_key": "id",
                "write_disposition": "merge",
                "endpoint": {"path": path, "params": {"limit": PAGE}, "data_selector": "data"},
            }
        ],
    }
    pipeline = dlt.pipeline("bench", destination=dlt.destinations.duckdb(database), dataset_name="bench")
    chosen = None if file_format == "default" else file_format
    pipeline.run(rest_api_source(config), loader_file_format=cast(Any, chosen))


if __name__ == "__main__":
    main()
