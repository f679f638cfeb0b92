"""Reads one chunk of the tables and loads it, in a load package only if there are rows to load."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

from ..warehouse.load import Loader
from ..warehouse.records import RECORD_KEYS, inserts_records
from .resources import chunk_source
from .results import Chunk
from .table_sync import TableSync

if TYPE_CHECKING:
    import pyarrow as pa
    from dlt.common.pipeline import SupportsPipeline


def load_chunk(loader: Loader, pipeline: SupportsPipeline, runs: Sequence[TableSync], chunk: Chunk) -> None:
    """Read one chunk and load it. The results of the runs tell what was read.

    The tables are read up to the first rows to load. From there on a load package reads them, so that no more than one
    batch is in memory. If there are no such rows, the records of the sweeps are inserted without a package, unless the
    destination lacks a table.

    Args:
        loader: Loads it.
        pipeline: The pipeline of the loader.
        runs: The table runs, in the order in which they are read.
        chunk: Bounds of the load package, shared by all tables.

    Raises:
        AutomatumError: See `Loader.run`.
    """
    tables = {run: run.extract(pipeline, chunk) for run in runs}
    read: dict[TableSync, list[tuple[str, pa.Table]]] = {run: [] for run in runs}
    lacking = set(loader.lacking)
    changed = not inserts_records(pipeline)
    for run in () if changed else runs:
        for name, table in tables[run]:
            read[run].append((name, table))
            changed = name not in RECORD_KEYS
            if changed:
                break
        if changed:
            break
    changed = changed or any(any(run.create_tables(set(lacking))) for run in runs)
    source = chunk_source({run: chain(read[run], tables[run]) for run in runs}, lacking)
    if changed:
        loader.run(source)
        loader.lacking = {name: columns for name, columns in loader.lacking.items() if name in lacking}
    elif records := list(chain.from_iterable(read.values())):
        loader.write(records, source)
