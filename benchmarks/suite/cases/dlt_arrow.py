"""Bare dlt with Arrow tables: the fastest way to load with dlt."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import dlt

from suite.cases.pages import CHILD, CHILD_KEY, read_batches


def main() -> None:
    """Merge a list by its key."""
    url, path, database = sys.argv[1:]

    @dlt.resource(write_disposition="merge", primary_key="id", name=path)
    def records() -> Iterator[Any]:
        for batch in read_batches(url, path):
            yield batch[path]
            if CHILD in batch:
                hints = dlt.mark.make_hints(
                    table_name=CHILD, write_disposition="merge", merge_key=CHILD_KEY[0], primary_key=CHILD_KEY
                )
                yield dlt.mark.with_hints(batch[CHILD], hints, create_table_variant=True)

    dlt.pipeline("bench", destination=dlt.destinations.duckdb(database), dataset_name="bench").run(records())


if __name__ == "__main__":
    main()
