"""Inserts the records of sweeps and pages without a load package.

A package takes dlt a second and a dozen statements. A sync that finds nothing new has a record for each table to write,
and nothing else. The records and dlt's own record of a load are inserted in one transaction. So whoever reads the
records of complete loads finds these too, and a run on another machine sees that the dataset was loaded meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import dlt

from ..core.redaction import redact
from ..schema.columns import DLT_LOAD_ID
from .dlt_internals import LOADS_TABLE, create_load_id
from .sql import PAGES_TABLE, SWEEPS_TABLE, column_names
from .sql_client import SQL_UNSUPPORTED, checked_sql_client

if TYPE_CHECKING:
    import pyarrow as pa
    from dlt.common.pipeline import SupportsPipeline

logger = logging.getLogger("automatum")

RECORD_KEYS = {SWEEPS_TABLE: ("sweep_id",), PAGES_TABLE: ("sweep_id", "page")}
"""Tables of records, each with its key."""
SCHEMA = "automatum"
"""Name of the dlt schema that the packages of a sync are loaded with."""
_DESTINATIONS = (dlt.destinations.duckdb, dlt.destinations.postgres)
"""Destinations that are known to take every value as the parameter of a statement, and several statements at once."""
_ROWS = 100
"""Rows of one statement."""


def inserts_records(pipeline: SupportsPipeline) -> bool:
    """Whether records can be inserted into the destination of a pipeline."""
    return isinstance(pipeline.destination, _DESTINATIONS)


def insert_records(pipeline: SupportsPipeline, records: Sequence[tuple[str, pa.Table]], at: datetime) -> str | None:
    """Insert records in one transaction, in place of records of the same keys.

    Args:
        pipeline: The pipeline that would load them.
        records: Table name and rows. The column `load_id` is filled in.
        at: The present, for dlt's table of loads.

    Returns:
        The id of the load, which dlt's table of loads has too. None if nothing was inserted: a table or a column does
        not exist yet, or the destination refuses.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    load_id, tables = create_load_id(), _by_name(records)
    try:
        with checked_sql_client(pipeline) as client:
            for name, table in tables.items():
                stored = column_names(client, name)
                # dlt fills in columns of its own, if the user wants them.
                if not set(table.column_names) <= stored or any(one.startswith("_dlt_") for one in stored):
                    return None
            with client.begin_transaction():
                for name, table in tables.items():
                    _replace(client, name, stamp(table, load_id))
                _complete(client, load_id, at)
    except SQL_UNSUPPORTED as error:
        logger.debug("records go into a load package: %s", redact(str(error)))
        return None
    return load_id


def _by_name(records: Sequence[tuple[str, pa.Table]]) -> dict[str, pa.Table]:
    """The rows of each table: one statement inserts those of several sweeps."""
    import pyarrow as pa

    parts: dict[str, list[pa.Table]] = {}
    for name, table in records:
        parts.setdefault(name, []).append(table)
    return {name: pa.concat_tables(tables) for name, tables in parts.items()}


def stamp(table: pa.Table, load_id: str) -> pa.Table:
    """The table with the id of a load in its column for that: `_dlt_load_id`, or `load_id` of the log.

    Args:
        table: The table.
        load_id: Id of the load; empty to change nothing.
    """
    import pyarrow as pa

    for at, name in enumerate(table.column_names):
        if load_id and name in (DLT_LOAD_ID, "load_id"):
            ids = pa.repeat(pa.scalar(load_id, pa.string()), len(table))
            table = table.set_column(at, table.schema.field(at), ids)
    return table


def _replace(client: Any, name: str, table: pa.Table) -> None:
    """Insert rows in place of those of the same keys; a transaction whose end was not seen is repeated."""
    target = client.make_qualified_table_name(name)
    names = ", ".join(client.escape_column_name(one) for one in table.column_names)
    same = " AND ".join(f"{client.escape_column_name(one)} = %s" for one in RECORD_KEYS[name])
    marks = f"({', '.join(['%s'] * table.num_columns)})"
    for start in range(0, len(table), _ROWS):
        rows = table.slice(start, _ROWS).to_pylist()
        keys = [row[one] for row in rows for one in RECORD_KEYS[name]]
        client.execute_sql(f"DELETE FROM {target} WHERE {' OR '.join([f'({same})'] * len(rows))}", *keys)
        values = [value for row in rows for value in row.values()]
        client.execute_sql(f"INSERT INTO {target} ({names}) VALUES {', '.join([marks] * len(rows))}", *values)


def _complete(client: Any, load_id: str, at: datetime) -> None:
    """Insert dlt's record of a load, with the version of the schema that the last load had."""
    loads = client.make_qualified_table_name(LOADS_TABLE)
    columns = ("load_id", "schema_name", "status", "inserted_at", "schema_version_hash")
    id_, schema, *_, version = names = [client.escape_column_name(one) for one in columns]
    last = f"SELECT MAX({id_}) FROM {loads} WHERE {schema} = %s"
    found = client.execute_sql(f"SELECT {version} FROM {loads} WHERE {id_} = ({last})", SCHEMA)
    values = load_id, SCHEMA, 0, at, found[0][0] if found else None
    client.execute_sql(f"INSERT INTO {loads} ({', '.join(names)}) VALUES (%s, %s, %s, %s, %s)", *values)
