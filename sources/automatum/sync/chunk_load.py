"""Reads one chunk of the tables, and loads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..warehouse.load import ChunkTables, Loader, Tables
from .results import Chunk
from .table_sync import TableSync

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline


def load_chunk(loader: Loader, pipeline: SupportsPipeline, runs: Sequence[TableSync], chunk: Chunk) -> None:
    """Read one chunk and load it. The results of the runs tell what was read.

    Args:
        loader: Loads it.
        pipeline: The pipeline of the loader.
        runs: The table runs, in the order in which they are read.
        chunk: Bounds of the load, shared by all tables.

    Raises:
        AutomatumError: See `Loader.load`.
    """
    lacking = set(loader.lacking)
    tables = {run.endpoint.table: _tables(run, pipeline, chunk, lacking) for run in runs}
    declared = {table.name: (table, run.endpoint.table) for run in runs for table in run.tables()}
    loader.load(ChunkTables(tables, declared, lacking, runs[0].settings.table_format))


def _tables(run: TableSync, pipeline: SupportsPipeline, chunk: Chunk, lacking: set[str]) -> Tables:
    for name, table in run.extract(pipeline, chunk):
        lacking.discard(name)
        yield name, table
    yield from run.create_tables(lacking)
