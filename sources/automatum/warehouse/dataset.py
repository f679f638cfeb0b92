"""The destination as a run meets it: made ready before, asked about rows and records, tidied up after."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..core.errors import ConfigurationError
from ..core.redaction import redact
from ..endpoints import ORGANIZATION
from .lake_files import writes_lake_files
from .sql import (
    PAGES_TABLE,
    SQL_UNSUPPORTED,
    SWEEPS_TABLE,
    TABLE_MISSING,
    as_utc,
    checked_sql_client,
    complete_load_ids,
    condition,
    organization_filter,
    select,
    unreachable,
    unreadable,
)

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

logger = logging.getLogger("automatum")

_KEYS_A_QUERY = 500


def prepare_dataset(pipeline: SupportsPipeline, by_organization: bool = False) -> None:
    """Make the dataset, if it is not there; see that it is of the right kind, if it is.

    dlt takes a working folder whose dataset does not exist for a leftover and wipes it, and with it what a first run
    had read before it was killed.

    Args:
        pipeline: The pipeline that loads.
        by_organization: It loads one of several organizations.

    Raises:
        ConfigurationError: The dataset was loaded for one organization, and is to hold several; or the other way round.
        DestinationError: The destination cannot be reached; better to know before a request is spent.
    """
    try:
        with pipeline.destination_client() as client:
            if client.is_storage_initialized():
                check_organization_kind(pipeline, by_organization)
            else:
                try:
                    client.initialize_storage()
                except Exception:
                    # Two runs that find no dataset both make it, and the later one is refused.
                    if not client.is_storage_initialized():
                        raise
    except ConfigurationError:
        raise
    except Exception as error:
        # dlt lets a driver's own error through, as psycopg2's: they have no ancestor in common.
        raise unreachable(error) from None


def has_organizations(pipeline: SupportsPipeline) -> bool | None:
    """Whether the dataset holds several organizations; None if nothing was loaded to it yet, or it answers no SQL.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    # Before the first verdict there are pages alone.
    for table in (SWEEPS_TABLE, PAGES_TABLE):
        try:
            with checked_sql_client(pipeline) as client:
                name = client.make_qualified_table_name(table)
                with client.execute_query(f"SELECT * FROM {name} WHERE 1 = 0") as cursor:
                    return any(str(one[0]).lower() == ORGANIZATION for one in cursor.description)
        except TABLE_MISSING:
            continue
        except SQL_UNSUPPORTED:
            break
    return None


def last_sweeps(pipeline: SupportsPipeline) -> dict[str, datetime]:
    """When each organization's latest sweep ended, by `organization_id`; empty where that cannot be told.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    try:
        with checked_sql_client(pipeline) as client:
            name = client.make_qualified_table_name(SWEEPS_TABLE)
            owner, ended = (client.escape_column_name(one) for one in (ORGANIZATION, "finished_at"))
            with client.execute_query(f"SELECT {owner}, MAX({ended}) FROM {name} GROUP BY {owner}") as cursor:
                return {one: as_utc(at) for one, at in cursor.fetchall() if one and at}
    except (*TABLE_MISSING, *SQL_UNSUPPORTED):
        return {}


def check_organization_kind(pipeline: SupportsPipeline, by_organization: bool) -> None:
    """Raise `ConfigurationError` for one organization's sync into a dataset of several, or the other way round."""
    held = has_organizations(pipeline)
    if held is None or held == by_organization:
        return
    name = pipeline.dataset_name
    if held:
        # One organization's sync would take all the others' rows for rows that are gone.
        raise ConfigurationError(
            "--dataset",
            f"{name} holds several organizations, and none is named.",
            "List them under sources.automatum.organizations, or name another dataset.",
        )
    raise ConfigurationError(
        "--dataset",
        f"{name} was loaded before organizations were listed, and its keys do not hold them.",
        "Name another dataset for several organizations.",
    )


def add_missing_columns(pipeline: SupportsPipeline, schemas: Mapping[str, pa.Schema]) -> None:
    """Make room for columns that tables lack, where dlt's own way of doing so fails.

    Args:
        pipeline: The pipeline that will load the tables.
        schemas: Table name to the schema of what will be loaded.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    if writes_lake_files(pipeline):
        with checked_sql_client(pipeline) as lake:
            for name, schema in schemas.items():
                lake.grow(name, schema)


def read_sync_records(
    pipeline: SupportsPipeline,
    table: str,
    columns: Sequence[str],
    order_by: str,
    most: int,
    organization_id: str | None = None,
) -> list[tuple[Any, ...]]:
    """The latest records of sweeps or pages, of load packages that are in whole; see `query`."""
    try:
        with checked_sql_client(pipeline) as client:
            loaded = complete_load_ids(client)
            found = select(client, table, (*columns, "load_id"), organization_filter(organization_id), order_by)
            return [row[:-1] for row in islice(found, most) if row[-1] in loaded]
    except SQL_UNSUPPORTED as error:
        raise unreadable(error) from None


def read_rows_by_key(
    pipeline: SupportsPipeline, table: str, column: str, keys: Sequence[str], organization_id: str | None = None
) -> list[dict[str, Any]]:
    """Rows of the destination, by the value of a column.

    Args:
        pipeline: The pipeline that loads the table.
        table: Its name.
        column: Column to look in.
        keys: Values to look for.
        organization_id: Whose rows, where the table holds those of several organizations.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    own = organization_filter(organization_id)
    rows: list[dict[str, Any]] = []
    with checked_sql_client(pipeline) as client:
        names = client.make_qualified_table_name(table), client.escape_column_name(column)
        for start in range(0, len(keys), _KEYS_A_QUERY):
            some = keys[start : start + _KEYS_A_QUERY]
            places = ", ".join(["%s"] * len(some))
            query = f"SELECT * FROM {names[0]} WHERE {names[1]} IN ({places}){condition(client, own, 'AND')}"
            try:
                with client.execute_query(query, *some, *own.values()) as cursor:
                    columns = [str(one[0]).lower() for one in cursor.description]
                    rows += [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
            except TABLE_MISSING:
                return []
    return rows


def read_columns(
    pipeline: SupportsPipeline,
    table: str,
    columns: Sequence[str],
    order_by: str = "",
    organization_id: str | None = None,
) -> list[tuple[Any, ...]]:
    """Columns of the rows of one of our tables; empty if there is no such table yet.

    Args:
        pipeline: The pipeline whose destination is asked.
        table: Table name.
        columns: Column names.
        order_by: Column whose largest values come first.
        organization_id: Whose rows, where the table holds those of several organizations; None for all.

    Raises:
        DestinationError: The destination cannot be reached or read.
    """
    try:
        with checked_sql_client(pipeline) as client:
            return list(select(client, table, columns, organization_filter(organization_id), order_by))
    except SQL_UNSUPPORTED as error:
        raise unreadable(error) from None


def count_rows(pipeline: SupportsPipeline, text: str, tables: Sequence[str], names: Mapping[str, str]) -> int | None:
    """Number of rows that a query of ours finds; None if one of its tables is not there.

    Args:
        pipeline: The pipeline whose destination is asked.
        text: The query, with our names in braces.
        tables: Table names among them.
        names: Word in braces to column name.

    Raises:
        DestinationError: The destination cannot be reached or read.
    """
    try:
        with checked_sql_client(pipeline) as client:
            known = {table: client.make_qualified_table_name(table) for table in tables}
            known.update({word: client.escape_column_name(name) for word, name in names.items()})
            with client.execute_query(f"SELECT COUNT(*) FROM ({text.format_map(known)}) q") as cursor:
                return int(cursor.fetchone()[0])
    except TABLE_MISSING:
        return None
    except SQL_UNSUPPORTED as error:
        raise unreadable(error) from None


def delete_page_records(pipeline: SupportsPipeline, tables: Sequence[str], organization_id: str | None = None) -> None:
    """Delete the page records of tables whose sweeps have reached their verdict; they have served their purpose."""
    try:
        if writes_lake_files(pipeline):
            return  # files are only added to; what is older than its table's last verdict does not count
        with checked_sql_client(pipeline) as client:
            name = client.make_qualified_table_name(PAGES_TABLE)
            for table in tables:
                where = {"table_name": table, **organization_filter(organization_id)}
                client.execute_sql(f"DELETE FROM {name}{condition(client, where)}", *where.values())
    except TABLE_MISSING:
        return
    except SQL_UNSUPPORTED as error:
        logger.debug("page records stay: %s", redact(str(error)))
