"""Refuses to sync a table by another key than the one that its rows were loaded by.

A changed `key` would load every record a second time beside its old row, and then find the old rows missing from the
API. The key in use is stored with each sweep. A dataset from before that is checked by its columns alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..core.errors import ConfigurationError
from ..endpoints import Endpoint
from ..warehouse.sql import (
    PAGES_TABLE,
    SWEEPS_TABLE,
    column_names,
    count_table,
    select_latest,
)
from ..warehouse.sql_client import SQL_UNSUPPORTED, checked_sql_client
from ..warehouse.values import json_object
from .facts import SweepFacts
from .results import Verdict

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

_MOST_RECORDS = 2_000


def check_keys(pipeline: SupportsPipeline, endpoints: Sequence[Endpoint]) -> None:
    """Check that the rows of each table were loaded by the key of its endpoint. Sends no request to the API.

    Args:
        pipeline: The pipeline whose destination is queried. Its dataset exists.
        endpoints: The endpoints whose tables to check.

    Raises:
        ConfigurationError: The rows of a table were loaded by another key.
        DestinationError: The destination cannot be reached.
    """
    try:
        with checked_sql_client(pipeline) as client:
            keys = _stored_keys(client, {endpoint.table for endpoint in endpoints})
            for endpoint in endpoints:
                stored = keys.get(endpoint.table)
                columns = column_names(client, endpoint.table) if stored is None else None
                # Without a stored key, a column that is missing tells of another key.
                same = stored == endpoint.key if columns is None else set(endpoint.key) <= columns
                if not same and count_table(client, endpoint.table):
                    raise _changed(pipeline.dataset_name, endpoint, stored)
    except SQL_UNSUPPORTED:
        return  # Then nothing is compared either, and every row is loaded again.


def _stored_keys(client: Any, tables: set[str]) -> dict[str, tuple[str, ...]]:
    """The key of the latest sweep of each table; of the pages of an unfinished one where no sweep has a verdict."""
    sweeps = select_latest(client, SWEEPS_TABLE, ("table_name", "extra", "verdict"), {}, "finished_at", _MOST_RECORDS)
    # A failed sweep may have loaded no row, such as with a wrong key that was set back.
    proven = (row[:2] for row in sweeps if row[2] != Verdict.FAILED)
    keys = _first_keys(proven, tables)
    if left := tables - keys.keys():
        pages = select_latest(client, PAGES_TABLE, ("table_name", "extra"), {}, "read_at", _MOST_RECORDS)
        keys.update(_first_keys(pages, left))
    return keys


def _first_keys(records: Iterable[tuple[str, Any]], tables: set[str]) -> dict[str, tuple[str, ...]]:
    keys: dict[str, tuple[str, ...]] = {}
    for table, extra in records:
        if table in tables and table not in keys and (key := SweepFacts.from_json(json_object(extra)).key):
            keys[table] = key
            if len(keys) == len(tables):
                break
    return keys


def _changed(dataset: str, endpoint: Endpoint, stored: tuple[str, ...] | None) -> ConfigurationError:
    loaded_by = f"the key {', '.join(stored)}" if stored else "another key, because they lack one of its columns"
    return ConfigurationError(
        f"sources.automatum.endpoints.{endpoint.table}.key",
        f"is {', '.join(endpoint.key)}, but the rows of {endpoint.table} in the dataset {dataset} were loaded by "
        f"{loaded_by}.",
        "Set the key back, or sync to another dataset (--dataset), which the next sync fills from the start.",
    )
