"""How a destination merges rows, and what the settings ask of it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any

from ..config.settings import AutomatumSettings
from ..core.errors import ConfigurationError
from ..core.extras import install_command, is_installed
from .lake_files import open_lake_files, writes_lake_files

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

_KEY = "sources.automatum.table_format"
_LIBRARIES = {"delta": "deltalake", "iceberg": "pyiceberg"}
"""Table format to the library that writes it."""


class Merge(Enum):
    """What a destination does with a row whose key it has already."""

    REPLACE = "replace"
    """It deletes and inserts, by merge key too. Of a load package it takes one row of each key (`delete-insert`)."""
    UPSERT = "upsert"
    """It updates or inserts row by row, and deletes. Two rows of one key in a load package are doubled or refused."""
    UPDATE = "update"
    """The same, but it cannot delete: dlt upserts Iceberg tables with pyiceberg's upsert."""
    APPEND = "append"
    """It keeps every version, and cannot delete."""

    @property
    def one_row_per_key(self) -> bool:
        """Whether a load package must not contain a key twice."""
        return self in (Merge.UPSERT, Merge.UPDATE)


def merge_of(pipeline: SupportsPipeline, settings: AutomatumSettings) -> Merge:
    """How a pipeline's destination merges; sends no request and opens no connection.

    Args:
        pipeline: The pipeline.
        settings: `table_format` and `deletes` matter.

    Raises:
        ConfigurationError: The destination cannot do what the settings ask for.
    """
    name, wanted, able = (
        pipeline.destination.destination_name,
        settings.table_format,
        pipeline.destination.capabilities(),
    )
    if wanted and wanted not in (able.supported_table_formats or ()):
        raise ConfigurationError(_KEY, f"{name} has no {wanted} tables.", "Leave it out, or load to filesystem.")
    if wanted and not is_installed(library := _LIBRARIES[wanted]):
        raise ConfigurationError(_KEY, f"{wanted} needs the package {library}.", install_command(library))
    strategies: list[Any] = list(able.supported_merge_strategies or ())
    if able.merge_strategies_selector:
        table: Any = {"name": "", "table_format": wanted}
        strategies = list(able.merge_strategies_selector(strategies, table_schema=table))
    # By default, dlt uses the first one.
    merge = Merge.REPLACE if strategies else Merge.APPEND
    if strategies[:1] == ["upsert"]:
        merge = Merge.UPDATE if wanted != "delta" else Merge.UPSERT
    if settings.deletes == "hard" and merge in (Merge.UPDATE, Merge.APPEND):
        raise ConfigurationError(
            "sources.automatum.deletes",
            f"{name} cannot remove rows{f' of {wanted} tables' if wanted else ''}.",
            "Write `soft`, which sets `_deleted_at` in rows that are gone; or use another destination or table format.",
        )
    return merge


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
        if known.get(table, settings.table_format) != settings.table_format:
            found = f"{table} has the format {known[table] or 'Parquet'} already."
            raise ConfigurationError(_KEY, found, "Set it as it was, or name another dataset.")
