"""Names in a destination: of columns that the connector adds, of tables that keep every version, and as dlt writes."""

from __future__ import annotations

from dlt.common.normalizers.naming.snake_case import NamingConvention

from ..endpoints import Endpoint

EXTRA = "extra"
ROW_HASH = "_row_hash"
SYNCED_AT = "_synced_at"
DELETED_AT = "_deleted_at"
DLT_LOAD_ID = "_dlt_load_id"
"""The load that wrote the row. dlt's name for it."""
POSITION = "position"
VERSION = "_version"
"""Of history tables, as the following."""
IS_DELETED = "deleted"
VALID_FROM = "valid_from"
VALID_TO = "valid_to"
"""Of the views over history tables."""


def history_table(endpoint: Endpoint) -> str:
    """Name of the table that keeps every version of the rows of an endpoint's table."""
    return f"{endpoint.table}_history"


def versions_view(table: str) -> str:
    """Name of the view that says of each version of a table's rows when it ended."""
    return f"{table}_versions"


def normalize_identifier(name: str) -> str:
    """A name as dlt writes it in a destination: in snake case, such as `my_data` for `My Data`."""
    return NamingConvention().normalize_identifier(name)
