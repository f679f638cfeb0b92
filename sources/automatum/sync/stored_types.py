"""Keeps the types that columns have in the destination, where the settings name other ones."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from dlt.common.pipeline import SupportsPipeline

from ..endpoints import ENDPOINTS, Column, Endpoint
from ..schema.arrow_tables import Table
from ..warehouse.dataset import column_types

logger = logging.getLogger("automatum")


def keep_stored_types(pipeline: SupportsPipeline, table: Table) -> None:
    """Let columns whose types the settings name keep the types that they have in the destination.

    Args:
        pipeline: The pipeline that loads the table.
        table: The table. Its values are converted to the stored types from now on.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    stored: dict[str, dict[str, str]] = {}
    for name, columns in _named_by_settings(table.endpoint).items():
        if columns:
            types = column_types(pipeline, name)
            stored[name] = {column: types[column] for column in columns if column in types}
    for name, (wanted, found) in table.store_as(stored).items():
        logger.warning(
            "%s is %s in the destination and %s in the settings. It stays %s; values that do not fit are in the "
            "column extra. To change the type, change it in the destination, in its staging dataset too. The next "
            "sync then loads all rows again.",
            *(name, found, wanted, found),
        )


def _named_by_settings(endpoint: Endpoint) -> dict[str, set[str]]:
    """Table to columns whose types may come from settings: all of a report, and of a list those that it has not itself.

    The other columns of a list are not compared: a destination may store a type as another one.
    """
    if endpoint.kind == "report":
        return {endpoint.table: {column.name for column in endpoint.columns}}
    plain = next((one for one in ENDPOINTS if one.table == endpoint.table), None)
    children = {child.table: child.columns for child in plain.children} if plain else {}
    named = {endpoint.table: _differing(endpoint.columns, plain.columns if plain else ())}
    return named | {
        child.table: _differing(child.columns, children.get(child.table, ())) for child in endpoint.children
    }


def _differing(columns: Sequence[Column], plain: Sequence[Column]) -> set[str]:
    types = {column.name: column.type for column in plain}
    return {column.name for column in columns if types.get(column.name) != column.type}
