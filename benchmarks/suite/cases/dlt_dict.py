"""Bare dlt with a resource of dicts, as most dlt sources are written."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import dlt

from suite.cases.pages import read_pages


def main() -> None:
    """Merge a list by its key."""
    url, path, database = sys.argv[1:]

    @dlt.resource(write_disposition="merge", primary_key="id", name=path)
    def records() -> Iterator[Any]:
        yield from read_pages(url, path)

    dlt.pipeline("bench", destination=dlt.destinations.duckdb(database), dataset_name="bench").run(records())


if __name__ == "__main__":
    main()
