"""How a destination merges rows, and what the settings ask of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from ..config.settings import AutomatumSettings
from ..core.errors import ConfigurationError
from ..core.extras import install_command, is_installed
from .dlt_internals import merge_strategies
from .lake_files import open_lake_files, writes_lake_files

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

_LIBRARIES = {"delta": "deltalake", "iceberg": "pyiceberg"}
"""Table format to the library that writes it."""


class Merge(Enum):
    """What a destination does with a row whose key it has already."""

    REPLACE = "replace"
    """It deletes and inserts, by merge key too. Of a load package it takes one row of each key (`delete-insert`)."""
    UPSERT = "upsert"
    """It updates or inserts row by row. Two rows of one key in a load package are doubled or refused."""
    APPEND = "append"
    """It keeps every version."""


@dataclass(frozen=True)
class MergeStrategy:
    """How a destination merges.

    Attributes:
        merge: What it does with a row whose key it has already.
        can_delete: Whether it can delete rows.
    """

    merge: Merge = Merge.REPLACE
    can_delete: bool = True

    @property
    def one_row_per_key(self) -> bool:
        """Whether a load package must not contain a key twice."""
        return self.merge is Merge.UPSERT


def merge_strategy_of(pipeline: SupportsPipeline, settings: AutomatumSettings) -> MergeStrategy:
    """How a pipeline's destination merges; sends no request and opens no connection.

    Args:
        pipeline: The pipeline.
        settings: `table_format` and `deletes` matter.

    Raises:
        ConfigurationError: The destination cannot do what the settings ask for.
    """
    name, wanted = pipeline.destination.destination_name, settings.table_format
    if wanted and wanted not in (pipeline.destination.capabilities().supported_table_formats or ()):
        raise ConfigurationError(
            "sources.automatum.table_format", f"{name} has no {wanted} tables.", "Leave it out, or load to filesystem."
        )
    if wanted and not is_installed(_LIBRARIES[wanted]):
        library = _LIBRARIES[wanted]
        raise ConfigurationError(
            "sources.automatum.table_format", f"{wanted} needs the package {library}.", install_command(library)
        )
    strategies = merge_strategies(pipeline, wanted)
    merge = Merge.APPEND if not strategies else Merge.UPSERT if strategies[0] == "upsert" else Merge.REPLACE
    # dlt upserts Iceberg tables with pyiceberg's upsert, which deletes nothing.
    can_delete = merge is Merge.REPLACE or (merge is Merge.UPSERT and wanted == "delta")
    if settings.deletes == "hard" and not can_delete:
        raise ConfigurationError(
            "sources.automatum.deletes",
            f"{name} cannot remove rows{f' of {wanted} tables' if wanted else ''}.",
            "Write `soft`, which sets `_deleted_at` in rows that are gone; or use another destination or table format.",
        )
    return MergeStrategy(merge, can_delete)


def check_table_format(pipeline: SupportsPipeline, settings: AutomatumSettings, tables: Iterable[str]) -> None:
    """Check that tables of files have the format of the settings; dlt cannot change the format of a table.

    Args:
        pipeline: The pipeline.
        settings: `table_format` matters.
        tables: Names of tables.

    Raises:
        ConfigurationError: One of them has another format.
    """
    if not writes_lake_files(pipeline):
        return
    with open_lake_files(pipeline) as files:
        known = files.formats()
    for table in tables:
        if table in known and known[table] != settings.table_format:
            raise ConfigurationError(
                "sources.automatum.table_format",
                f"{table} has the format {known[table] or 'Parquet'} already.",
                "Set it as it was, or name another dataset.",
            )
