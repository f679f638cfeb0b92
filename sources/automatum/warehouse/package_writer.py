"""Writes a chunk as a dlt load package: for every destination but DuckDB."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import dlt
from dlt.common.pipeline import SupportsPipeline
from dlt.extract import DltResource
from dlt.pipeline.exceptions import PipelineStepFailed

from .dlt_internals import (
    create_tables,
    destination_client,
    drop_staging,
    failed_table,
)
from .dlt_schema import SCHEMA, declare_tables, extracted, make_resource
from .load import ChunkTables, WriteFailed


class PackageWriter:
    """Writes chunks as load packages. dlt's extraction writes the rows to files as they are read.

    Args:
        pipeline: The pipeline of the destination.
    """

    def __init__(self, pipeline: SupportsPipeline) -> None:
        # Until the next load, dlt would keep copies of the rows that were loaded last, even after their deletion.
        for setting in ("TRUNCATE_STAGING_DATASET", "DELETE_COMPLETED_JOBS"):
            os.environ.setdefault(f"{pipeline.pipeline_name.upper()}__LOAD__{setting}", "true")
        self._pipeline: Any = pipeline
        self._creates = False

    def read(self, chunk: ChunkTables) -> None:
        """Extract the tables; see `Writer`."""
        lacking = set(chunk.lacking)
        _step(lambda: self._pipeline.extract(chunk_source(chunk)))
        self._creates = chunk.lacking != lacking

    def write(self) -> None:
        """Normalize and load the package; see `Writer`."""
        _step(self._pipeline.normalize)
        if self._creates:
            with destination_client(self._pipeline) as client:
                create_tables(client, force=True)
        _step(self._pipeline.load)

    def drop(self) -> None:
        """Drop the package and what dlt knows: a new schema may be what the destination takes."""
        self._pipeline.drop()
        drop_staging(self._pipeline)


def _step(run: Callable[[], Any]) -> None:
    try:
        run()
    except PipelineStepFailed as error:
        cause = error.__context__ or error.__cause__ or error
        raise WriteFailed(error.step, cause, failed_table(cause)) from error


def chunk_source(chunk: ChunkTables) -> Any:
    """A dlt source of one chunk, with the whole schema."""

    def resource(name: str) -> DltResource:
        def rows() -> Iterator[Any]:
            yield from extracted(name, chunk.declared, chunk.table_format, chunk.tables[name])

        return make_resource(name, chunk.declared, chunk.table_format, rows)

    @dlt.source(name=SCHEMA, section="automatum")
    def automatum() -> Iterable[DltResource]:
        existing = chunk.declared.keys() - chunk.lacking
        declare_tables(dlt.current.source_schema(), chunk.declared, chunk.table_format, existing)
        return [resource(name) for name in chunk.tables]

    return automatum()
