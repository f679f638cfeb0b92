"""What the destination holds already, read before a table is swept."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dlt.common.destination.exceptions import SqlClientNotAvailable
from dlt.destinations.exceptions import (
    DatabaseException,
    DatabaseUndefinedRelation,
    DestinationConnectionError,
)

from .endpoints import Endpoint
from .errors import DestinationError
from .records import DELETED_AT, ROW_HASH
from .redaction import redact
from .sweep import DELETED, Known

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

logger = logging.getLogger("automatum")

_BATCH = 10_000


def read_known(pipeline: SupportsPipeline, endpoint: Endpoint) -> Known:
    """Keys and row hashes of a table, read once.

    Args:
        pipeline: The pipeline that will load the table.
        endpoint: Whose table.

    Returns:
        What is known. Not readable, with the reason, where the destination has no SQL or the table is not ours.

    Raises:
        DestinationError: The destination cannot be reached; better to know before a request is spent.
    """
    known = Known()
    try:
        with pipeline.sql_client() as client:  # type: ignore[attr-defined]
            key, row_hash, deleted = (
                client.escape_column_name(name) for name in (endpoint.row_key, ROW_HASH, DELETED_AT)
            )
            table = client.make_qualified_table_name(endpoint.table)
            query = f"SELECT {key}, {row_hash}, {deleted} FROM {table}"  # noqa: S608  names come from our own table
            with client.execute_query(query) as cursor:
                while batch := cursor.fetchmany(_BATCH):
                    known.hashes.update((k, h if d is None else DELETED) for k, h, d in batch)
    except DatabaseUndefinedRelation:
        return Known()
    except DestinationConnectionError as error:
        raise DestinationError(
            f"The destination cannot be reached: {redact(str(error))}",
            "Check its credentials and that no other program holds the file.",
        ) from None
    except (SqlClientNotAvailable, DatabaseException, NotImplementedError) as error:
        why = f"{type(error).__name__}: {redact(str(error)).splitlines()[0][:200]}"
        logger.warning("%s cannot be read from the destination; every row is loaded again (%s)", endpoint.table, why)
        return Known(readable=False, why=why)
    return known
