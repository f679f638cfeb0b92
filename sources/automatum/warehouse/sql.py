"""SQL queries on a pipeline's dataset.

Each opens its own client, unless the block has one (`sql_client.one_client`), and raises `DestinationError` if the
destination cannot be reached or read. Some destinations return values as what was written, others as texts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import orjson

from ..endpoints import ORGANIZATION
from ..schema.log_tables import PAGES_TABLE as PAGES_TABLE
from ..schema.log_tables import REJECTED_TABLE as REJECTED_TABLE
from ..schema.log_tables import SWEEPS_TABLE as SWEEPS_TABLE
from .dlt_internals import LOADS_TABLE
from .sql_client import TABLE_MISSING, sql_client

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

_BATCH = 10_000
"""Rows that are fetched at a time."""
_KEYS_A_QUERY = 500


def organization_filter(organization_id: str | None) -> dict[str, Any]:
    """Column to value for the rows of an organization; empty where the dataset holds a single one."""
    return {} if organization_id is None else {ORGANIZATION: organization_id}


def where_clause(client: Any, where: Mapping[str, Any], word: str = "WHERE") -> str:
    """A condition with a parameter for each value that is not None; empty without columns.

    Args:
        client: From `sql_client`.
        where: Column to the value that it has; None for null.
        word: What comes before the condition: `WHERE`, or `AND`.
    """
    quoted = client.escape_column_name
    conditions = [f"{quoted(name)} {'IS NULL' if value is None else '= %s'}" for name, value in where.items()]
    return f" {word} {' AND '.join(conditions)}" if conditions else ""


def read_rows(
    pipeline: SupportsPipeline,
    table: str,
    columns: Sequence[str],
    where: Mapping[str, Any] | None = None,
    form: str = "SELECT {names} FROM {rows}",
    **others: str,
) -> Iterator[Any]:
    """Rows of a table, fetched in batches; none if the table does not exist.

    Args:
        pipeline: The pipeline whose destination is queried.
        table: Table name.
        columns: Column names, `{names}` in the query.
        where: Column to the value that it has, None for null; None for all rows.
        form: The query. `{rows}` in it is the table with the conditions.
        **others: Other names in braces to their columns.
    """
    where = where or {}
    with sql_client(pipeline) as client:
        quoted = client.escape_column_name
        rows = client.make_qualified_table_name(table) + where_clause(client, where)
        named = {word: quoted(name) for word, name in others.items()}
        text = form.format(names=", ".join(map(quoted, columns)), rows=rows, **named)
        try:
            with client.execute_query(text, *(one for one in where.values() if one is not None)) as cursor:
                while batch := cursor.fetchmany(_BATCH):
                    yield from batch
        except TABLE_MISSING:
            return


def read_last(
    pipeline: SupportsPipeline, table: str, key: str, columns: Sequence[str], by: str, where: Mapping[str, Any]
) -> Iterator[tuple[Any, ...]]:
    """The key and columns of the last row of each key, by the largest value of `by`; none without the table."""
    place = "ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {by} DESC) AS place"
    text = f"SELECT {{names}} FROM (SELECT {{names}}, {place} FROM {{rows}}) ranked WHERE place = 1"
    return read_rows(pipeline, table, (key, *columns), where, text, key=key, by=by)


def read_latest(
    pipeline: SupportsPipeline,
    table: str,
    columns: Sequence[str],
    where: Mapping[str, Any],
    by: str,
    most: int,
    until: datetime | None = None,
) -> list[Any]:
    """The latest rows of a table, latest first, by the values of columns; none if the table does not exist.

    Two queries: the first ranks the timestamps alone. So the destination never sorts the other columns of more rows
    than these. Destinations spell LIMIT differently. If a timestamp is too late, this process reads all of them.

    Args:
        pipeline: The pipeline whose destination is queried.
        table: Table name.
        columns: Column names.
        where: Column to value.
        by: Timestamp column to sort by.
        most: Number of rows.
        until: Rows with a later timestamp are left out.
    """
    latest = (
        "SELECT MIN({by}), MAX({by}) FROM (SELECT {by}, ROW_NUMBER() OVER (ORDER BY {by} DESC) AS place "
        f"FROM (SELECT {{by}} FROM {{rows}}) dated WHERE {{by}} IS NOT NULL) ranked WHERE place <= {most}"
    )
    ((first, last),) = list(read_rows(pipeline, table, (), where, latest, by=by)) or [(None, None)]
    if until is not None and last is not None and as_utc(last) > until:
        moments = [row[0] for row in read_rows(pipeline, table, (by,), where) if row[0] is not None]
        moments = sorted((one for one in moments if as_utc(one) <= until), key=as_utc, reverse=True)[:most]
        first, last = (moments[-1], moments[0]) if moments else (None, None)
    if last is None:
        return []
    with sql_client(pipeline) as client:
        name, column = client.make_qualified_table_name(table), client.escape_column_name(by)
        names = ", ".join(map(client.escape_column_name, (by, *columns)))
        conditions = where_clause(client, where, "AND")
        text = f"SELECT {names} FROM {name} WHERE {column} >= %s AND {column} <= %s{conditions}"
        with client.execute_query(text, first, last, *where.values()) as cursor:
            rows = sorted(cursor.fetchall(), key=lambda row: as_utc(row[0]), reverse=True)
    return [row[1:] for row in rows[:most]]


def column_names(pipeline: SupportsPipeline, table: str) -> set[str]:
    """Names of a table's columns, in lower case; empty if it does not exist."""
    with sql_client(pipeline) as client:
        try:
            text = f"SELECT * FROM {client.make_qualified_table_name(table)} WHERE 1 = 0"
            with client.execute_query(text) as cursor:
                return {str(one[0]).lower() for one in cursor.description}
        except TABLE_MISSING:
            return set()


def complete_load_ids(pipeline: SupportsPipeline) -> set[str]:
    """Ids of complete load packages, for all that is read after them. A killed load may have written some of its rows.

    What is read later may be of a package that was completed meanwhile. It then counts as incomplete, and is read or
    loaded again.
    """
    return {load_id for load_id, status in read_rows(pipeline, LOADS_TABLE, ("load_id", "status")) if status == 0}


def read_loaded(
    pipeline: SupportsPipeline,
    table: str,
    columns: Sequence[str],
    where: Mapping[str, Any],
    by: str,
    most: int,
    until: datetime,
    loaded: Collection[str],
) -> list[Any]:
    """Of the latest records that `read_latest` finds, those of complete loads (`complete_load_ids`)."""
    found = read_latest(pipeline, table, (*columns, "load_id"), where, by, most, until)
    return [row[:-1] for row in found if row[-1] in loaded]


def read_by_key(
    pipeline: SupportsPipeline, table: str, column: str, keys: Sequence[str], where: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Whole rows of a table with these values of a column; none if the table does not exist."""
    rows: list[dict[str, Any]] = []
    with sql_client(pipeline) as client:
        name, key = client.make_qualified_table_name(table), client.escape_column_name(column)
        for start in range(0, len(keys), _KEYS_A_QUERY):
            part = keys[start : start + _KEYS_A_QUERY]
            marks = ", ".join(["%s"] * len(part))
            query = f"SELECT * FROM {name} WHERE {key} IN ({marks}){where_clause(client, where, 'AND')}"
            try:
                with client.execute_query(query, *part, *where.values()) as cursor:
                    columns = [str(one[0]).lower() for one in cursor.description]
                    rows += [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
            except TABLE_MISSING:
                return []
    return rows


def count_rows(pipeline: SupportsPipeline, text: str, tables: Sequence[str], names: Mapping[str, str]) -> int | None:
    """Number of rows that a query finds; None if one of its tables does not exist.

    Args:
        pipeline: The pipeline whose destination is queried.
        text: The query, with names in braces.
        tables: The names in braces that are tables.
        names: The other names in braces, each with its column name.
    """
    with sql_client(pipeline) as client:
        known = {table: client.make_qualified_table_name(table) for table in tables}
        known.update({word: client.escape_column_name(name) for word, name in names.items()})
        try:
            with client.execute_query(f"SELECT COUNT(*) FROM ({text.format_map(known)}) q") as cursor:
                return int(cursor.fetchone()[0])
        except TABLE_MISSING:
            return None


# Values.


def as_utc(value: Any) -> datetime:
    """A timestamp of the destination, with a time zone. Some destinations omit it; the connector writes UTC."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def json_object(value: Any) -> dict[str, Any]:
    """The value of a JSON column, which some destinations return parsed and others as text; empty for anything else."""
    try:
        parsed = orjson.loads(value) if isinstance(value, (str, bytes)) else value
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
