"""The key by which the rows of a table were loaded must be that of its endpoint. It imports no Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..core.errors import ConfigurationError
from ..endpoints import Endpoint
from ..schema.columns import ROW_HASH
from ..schema.log_tables import PAGES_TABLE, SWEEPS_TABLE
from ..warehouse.sql import json_object, read_latest, read_rows
from ..warehouse.sql_client import one_client
from .results import Verdict

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

_MOST_RECORDS = 2_000
"""Records of sweeps and of pages in which the keys of the tables are looked for."""


def check_keys(pipeline: SupportsPipeline, endpoints: Sequence[Endpoint]) -> None:
    """Check that the rows of each table were loaded by the key of its endpoint. Sends no request to the API.

    A changed `key` would load every record a second time beside its old row, and then find the old rows missing from
    the API. The key in use is stored with each sweep, and with its pages until it has a verdict.

    Args:
        pipeline: The pipeline whose destination is queried. Its dataset exists.
        endpoints: The endpoints whose tables to check.

    Raises:
        ConfigurationError: The rows of a table were loaded by another key.
        DestinationError: The destination cannot be reached.
    """
    with one_client(pipeline):
        pages = read_latest(pipeline, PAGES_TABLE, ("table_name", "extra"), {}, "read_at", _MOST_RECORDS)
        columns = ("table_name", "extra", "verdict")
        sweeps = read_latest(pipeline, SWEEPS_TABLE, columns, {}, "finished_at", _MOST_RECORDS)
        # A failed sweep may have loaded no row, such as with a wrong key that was set back.
        records = [*pages[::-1], *(row[:2] for row in reversed(sweeps) if row[2] != Verdict.FAILED)]
        stored = {table: key for table, extra in records if (key := json_object(extra).get("key"))}
        for endpoint in endpoints:
            key = stored.get(endpoint.table, endpoint.key)
            if tuple(key) != endpoint.key and any(read_rows(pipeline, endpoint.table, (ROW_HASH,))):
                raise ConfigurationError(
                    f"sources.automatum.endpoints.{endpoint.table}.key",
                    f"is {', '.join(endpoint.key)}, but the rows of {endpoint.table} in the dataset "
                    f"{pipeline.dataset_name} were loaded by the key {', '.join(key)}.",
                    "Set the key back, or sync to another dataset (--dataset), which the next sync fills from the "
                    "start.",
                )
