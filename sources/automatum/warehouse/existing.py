"""Checks that what a query asks about is there, and says what is there instead."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import AutomatumError, ConfigurationError
from ..core.suggest import suggestion
from .connection_errors import unreachable_error
from .dlt_internals import dataset_exists
from .lake_files import writes_lake_files
from .sql_client import SQL_UNSUPPORTED, checked_sql_client

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

_MOST = 20
"""Names that a message lists."""
_SYSTEM = ("information_schema", "main", "pg_catalog", "public")


def missing_file_error(database: Path) -> ConfigurationError:
    """The error for a DuckDB file that does not exist, with the DuckDB files of its folder."""
    path = database.absolute()
    if path.is_dir():
        return ConfigurationError("--database", f"{path} is a folder.", "Name a DuckDB file.")
    if not path.parent.is_dir():
        return ConfigurationError("--database", f"there is no folder {path.parent}.", "Name another file.")
    others = sorted(one.name for one in path.parent.glob("*.duckdb"))
    there = f"{path.parent} has {_listed(others)}." if others else f"There is no DuckDB file in {path.parent}."
    hint = suggestion(path.name, others)
    return ConfigurationError(
        "--database",
        f"there is no file {path}. {there}",
        f"{hint} Sync first, or name another with --database.".lstrip(),
    )


def check_dataset(pipeline: SupportsPipeline) -> None:
    """Check that the dataset of a pipeline exists.

    Raises:
        ConfigurationError: It does not exist. The message names the datasets that do, where the destination says.
        DestinationError: The destination cannot be reached.
    """
    try:
        if dataset_exists(pipeline):
            return
    except Exception as error:  # Errors of drivers have no common base class.
        raise unreachable_error(error) from None
    name, known = pipeline.dataset_name, list_datasets(pipeline)
    there = f" The destination has {_listed(known)}." if known else ""
    raise ConfigurationError(
        "--dataset",
        f"there is no dataset {name}.{there}",
        f"{suggestion(name, known)} Sync first, or name another with --dataset.".lstrip(),
    )


def list_datasets(pipeline: SupportsPipeline) -> list[str]:
    """Names of the datasets in the destination; empty if it does not say."""
    if writes_lake_files(pipeline):
        return []
    with contextlib.suppress(AutomatumError, *SQL_UNSUPPORTED), checked_sql_client(pipeline) as client:
        text = "SELECT DISTINCT table_schema FROM information_schema.tables ORDER BY 1"
        with client.execute_query(text) as cursor:
            names = [str(row[0]) for row in cursor.fetchall()]
        return [name for name in names if name.lower() not in _SYSTEM and not name.endswith("_staging")]
    return []


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more
