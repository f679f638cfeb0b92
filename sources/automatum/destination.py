"""What the destination holds already, read before a table is swept; and what is taken out of it afterwards."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
from dlt.common.destination.exceptions import DestinationUndefinedEntity, SqlClientNotAvailable
from dlt.destinations.exceptions import (
    DatabaseException,
    DatabaseUndefinedRelation,
    DestinationConnectionError,
)

from .account import DELETED, PARTIAL, Known, PageRecord
from .endpoints import ORGANIZATION, Endpoint
from .errors import ConfigurationError, DestinationError
from .lake import is_lake, open_lake
from .records import DELETED_AT, LOAD_ID, POSITION, ROW_HASH, SYNCED_AT
from .redaction import redact

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

logger = logging.getLogger("automatum")

SWEEPS_TABLE = "_automatum_sweeps"
PAGES_TABLE = "_automatum_pages"
FAILED = "failed"
"""Verdict of a sweep that an error ended, in the records alone: a later run may go on with it."""
SKIPPED = "skipped"
"""Verdict of a report that the API does not know, in the records alone."""
LOADS_TABLE = "_dlt_loads"
_BATCH = 10_000
_KEYS_A_QUERY = 500
_SWEEPS_LOOKED_AT = 200
_ABSENT = (DatabaseUndefinedRelation, DestinationUndefinedEntity)
_CANNOT = (SqlClientNotAvailable, DatabaseException, NotImplementedError)


@dataclass
class PastSweep:
    """A sweep that reached its verdict.

    Attributes:
        id: Its id.
        finished_at: When.
        verdict: `complete` or `incomplete`.
        facts: What else was written down: `candidates`, `ordered`, `full`, `drift`.
    """

    id: str
    finished_at: datetime
    verdict: str
    facts: dict[str, Any]


@dataclass
class Unfinished:
    """A sweep that was interrupted, as far as its pages were loaded.

    Attributes:
        id: Its id.
        started_at: When.
        read_at: When its last page arrived.
        pages: Its pages.
        state: What it knew after the last of them.
        requests: What it had cost by then.
    """

    id: str
    started_at: datetime
    read_at: datetime
    pages: list[PageRecord]
    state: dict[str, Any]
    requests: int


@dataclass
class Held:
    """What the destination holds about a table.

    Attributes:
        known: Keys and hashes.
        past: Sweeps that reached their verdict, the latest first.
        unfinished: The one to go on with.
        versioned: The history holds something.
    """

    known: Known
    past: list[PastSweep] = field(default_factory=list)
    unfinished: Unfinished | None = None
    versioned: bool = False


def prepare(pipeline: SupportsPipeline, by_organization: bool = False) -> None:
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
                _refuse_other_kind(pipeline, by_organization)
            else:
                client.initialize_storage()
    except ConfigurationError:
        raise
    except Exception as error:
        # dlt lets a driver's own error through, as psycopg2's: they have no ancestor in common.
        raise _unreachable(error) from None


def has_organizations(pipeline: SupportsPipeline) -> bool | None:
    """Whether the dataset holds several organizations; None if nothing was loaded to it yet, or it answers no SQL.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    try:
        with _client(pipeline) as client:
            name = client.make_qualified_table_name(SWEEPS_TABLE)
            with client.execute_query(f"SELECT * FROM {name} WHERE 1 = 0") as cursor:
                return any(str(one[0]).lower() == ORGANIZATION for one in cursor.description)
    except (*_ABSENT, *_CANNOT):
        return None


def last_sweeps(pipeline: SupportsPipeline) -> dict[str, datetime]:
    """When each organization's latest sweep ended, by `organization_id`; empty where that cannot be told.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    try:
        with _client(pipeline) as client:
            name = client.make_qualified_table_name(SWEEPS_TABLE)
            owner, ended = (client.escape_column_name(one) for one in (ORGANIZATION, "finished_at"))
            with client.execute_query(f"SELECT {owner}, MAX({ended}) FROM {name} GROUP BY {owner}") as cursor:
                return {one: moment(at) for one, at in cursor.fetchall() if one and at}
    except (*_ABSENT, *_CANNOT):
        return {}


def _refuse_other_kind(pipeline: SupportsPipeline, by_organization: bool) -> None:
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


def read_held(
    pipeline: SupportsPipeline, endpoint: Endpoint, history: str | None = None, organization_id: str | None = None
) -> Held:
    """Everything that a sweep has to know of the destination; read once.

    Args:
        pipeline: The pipeline that will load the table.
        endpoint: Whose table.
        history: Name of its history table. Rows that have no open version there count as changed.
        organization_id: Whose rows, where the table holds those of several organizations.

    Returns:
        What is held. Not readable, with the reason, where the destination has no SQL or the table is not ours.

    Raises:
        DestinationError: The destination cannot be reached; better to know before a request is spent.
    """
    try:
        with _client(pipeline) as client:
            loaded = _loaded(client)
            own = _own(organization_id)
            held = Held(_read_known(client, endpoint, own))
            if endpoint.children:
                _forget_half_loaded(client, endpoint, held.known, loaded, own)
            if history:
                held.versioned = _forget_without_version(client, endpoint, history, held.known, own)
            of_table = {**own, "table_name": endpoint.table}
            held.past = _read_past(client, of_table, loaded)
            held.unfinished = _read_unfinished(client, of_table, held.past, loaded)
            return held
    except _CANNOT as error:
        why = f"{type(error).__name__}: {redact(str(error)).splitlines()[0][:200]}"
        logger.warning("%s cannot be read from the destination; every row is loaded again (%s)", endpoint.table, why)
        return Held(Known(readable=False, why=why))


def read_children(
    pipeline: SupportsPipeline, endpoint: Endpoint, organization_id: str | None = None
) -> dict[str, dict[str, int]]:
    """Child table to parent's key to the number of places in its list that the destination holds as live.

    Args:
        pipeline: The pipeline that loads the tables.
        endpoint: Whose child tables.
        organization_id: Whose rows, where the tables hold those of several organizations.

    Raises:
        DestinationError: The destination cannot be reached or read.
    """
    found: dict[str, dict[str, int]] = {}
    try:
        with _client(pipeline) as client:
            for child in endpoint.children:
                places = found.setdefault(child.table, {})
                columns = (child.parent_key, POSITION, DELETED_AT)
                for key, position, deleted_at in _select(client, child.table, columns, _own(organization_id)):
                    if deleted_at is None:
                        places[key] = max(places.get(key, 0), int(position) + 1)
    except _CANNOT as error:
        raise _unreadable(error) from None
    return found


def grow(pipeline: SupportsPipeline, schemas: Mapping[str, pa.Schema]) -> None:
    """Make room for columns that tables lack, where dlt's own way of doing so fails.

    Args:
        pipeline: The pipeline that will load the tables.
        schemas: Table name to the schema of what will be loaded.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    if is_lake(pipeline):
        with _client(pipeline) as lake:
            for name, schema in schemas.items():
                lake.grow(name, schema)


def read_records(
    pipeline: SupportsPipeline,
    table: str,
    columns: Sequence[str],
    order_by: str,
    most: int,
    organization_id: str | None = None,
) -> list[tuple[Any, ...]]:
    """The latest records of sweeps or pages, of load packages that are in whole; see `query`."""
    try:
        with _client(pipeline) as client:
            loaded = _loaded(client)
            found = _select(client, table, (*columns, "load_id"), _own(organization_id), order_by)
            return [row[:-1] for row in islice(found, most) if row[-1] in loaded]
    except _CANNOT as error:
        raise _unreadable(error) from None


def read_rows(
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
    own = _own(organization_id)
    rows: list[dict[str, Any]] = []
    with _client(pipeline) as client:
        names = client.make_qualified_table_name(table), client.escape_column_name(column)
        for start in range(0, len(keys), _KEYS_A_QUERY):
            some = keys[start : start + _KEYS_A_QUERY]
            places = ", ".join(["%s"] * len(some))
            query = f"SELECT * FROM {names[0]} WHERE {names[1]} IN ({places}){_where(client, own, 'AND')}"
            try:
                with client.execute_query(query, *some, *own.values()) as cursor:
                    columns = [str(one[0]).lower() for one in cursor.description]
                    rows += [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
            except _ABSENT:
                return []
    return rows


def query(
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
        with _client(pipeline) as client:
            return list(_select(client, table, columns, _own(organization_id), order_by))
    except _CANNOT as error:
        raise _unreadable(error) from None


def count(pipeline: SupportsPipeline, text: str, tables: Sequence[str], names: Mapping[str, str]) -> int | None:
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
        with _client(pipeline) as client:
            known = {table: client.make_qualified_table_name(table) for table in tables}
            known.update({word: client.escape_column_name(name) for word, name in names.items()})
            with client.execute_query(f"SELECT COUNT(*) FROM ({text.format_map(known)}) q") as cursor:
                return int(cursor.fetchone()[0])
    except _ABSENT:
        return None
    except _CANNOT as error:
        raise _unreadable(error) from None


def prune_pages(pipeline: SupportsPipeline, tables: Sequence[str], organization_id: str | None = None) -> None:
    """Delete the page records of tables whose sweeps have reached their verdict; they have served their purpose."""
    try:
        if is_lake(pipeline):
            return  # files are only added to; what is older than its table's last verdict does not count
        with _client(pipeline) as client:
            name = client.make_qualified_table_name(PAGES_TABLE)
            for table in tables:
                where = {"table_name": table, **_own(organization_id)}
                client.execute_sql(f"DELETE FROM {name}{_where(client, where)}", *where.values())
    except _ABSENT:
        return
    except _CANNOT as error:
        logger.debug("page records stay: %s", redact(str(error)))


def _unreadable(error: Exception) -> DestinationError:
    return DestinationError(
        f"The destination cannot be read: {redact(str(error)).splitlines()[0]}",
        "This needs a destination that answers SQL.",
    )


@contextmanager
def sql_client(pipeline: SupportsPipeline) -> Iterator[Any]:
    """What answers SQL about a pipeline's dataset: dlt's client; for files, ours."""
    if is_lake(pipeline):
        with open_lake(pipeline) as lake:
            yield lake
        return
    with pipeline.sql_client() as client:  # type: ignore[attr-defined]
        _leave_json(client)
        yield client


def _leave_json(client: Any) -> None:
    """Have JSON columns come as text.

    Parsed by psycopg2, their numbers are floats: a row that is marked deleted would be written back with fewer digits.
    """
    connection = client.native_connection
    if type(connection).__module__.startswith("psycopg2"):
        from psycopg2 import extras  # type: ignore[import-untyped]

        for register in (extras.register_default_json, extras.register_default_jsonb):
            register(connection, loads=lambda text: text)


@contextmanager
def _client(pipeline: SupportsPipeline) -> Iterator[Any]:
    with ExitStack() as stack:
        try:
            client = stack.enter_context(sql_client(pipeline))
        except _CANNOT:
            raise
        except Exception as error:
            # dlt lets a driver's own error through, as psycopg2's: they have no ancestor in common.
            raise _unreachable(error) from None
        try:
            yield client
        except DestinationConnectionError as error:
            raise _unreachable(error) from None


def _unreachable(error: Exception) -> DestinationError:
    return DestinationError(
        f"The destination cannot be reached: {redact(str(error)).splitlines()[0] or type(error).__name__}",
        "Check its credentials and that no other program holds the file.",
    )


def _own(organization_id: str | None) -> dict[str, Any]:
    """Column to value, of the rows that are an organization's; of all rows where there is but one."""
    return {} if organization_id is None else {ORGANIZATION: organization_id}


def _where(client: Any, values: Mapping[str, Any], word: str = "WHERE") -> str:
    """A condition on columns of ours, for their values as parameters; empty for none."""
    text = " AND ".join(f"{client.escape_column_name(name)} = %s" for name in values)
    return f" {word} {text}" if text else ""


def _select(
    client: Any, table: str, columns: Sequence[str], where: Mapping[str, Any] | None = None, order_by: str = ""
) -> Iterator[Any]:
    """Rows of a table, by the values of columns; none if there is no such table."""
    names, where = ", ".join(client.escape_column_name(name) for name in columns), where or {}
    text = f"SELECT {names} FROM {client.make_qualified_table_name(table)}{_where(client, where)}"
    if order_by:
        text += f" ORDER BY {client.escape_column_name(order_by)} DESC"
    try:
        with client.execute_query(text, *where.values()) as cursor:
            while batch := cursor.fetchmany(_BATCH):
                yield from batch
    except _ABSENT:
        return


def _read_known(client: Any, endpoint: Endpoint, own: Mapping[str, Any]) -> Known:
    columns = (endpoint.row_key, ROW_HASH, DELETED_AT, SYNCED_AT)
    known, rows = Known(), 0
    for key, row_hash, deleted_at, _ in _select(client, endpoint.table, columns, own):
        known.hashes[key] = row_hash if deleted_at is None else DELETED
        rows += 1
    if rows > len(known.hashes):
        # A destination that cannot merge keeps every version; the latest counts.
        found = sorted(_select(client, endpoint.table, columns, own), key=lambda row: moment(row[3]))
        known.hashes = {key: row_hash if deleted_at is None else DELETED for key, row_hash, deleted_at, _ in found}
    return known


def _forget_half_loaded(
    client: Any, endpoint: Endpoint, known: Known, loaded: set[str], own: Mapping[str, Any]
) -> None:
    """Let rows count as changed whose load package is not in whole: a kill may have kept their children out.

    A package is loaded table by table, and marked as loaded in the end. On the same machine dlt takes up what is
    missing; on a fresh one nobody would, and a row that is there passes for unchanged.
    """
    try:
        for key, load_id in _select(client, endpoint.table, (endpoint.row_key, LOAD_ID), own):
            if load_id is not None and load_id not in loaded:
                known.hashes[key] = ""
    except DatabaseException as error:
        # An earlier version loaded the table, without that column; the next package adds it.
        logger.debug("%s has no %s yet: %s", endpoint.table, LOAD_ID, redact(str(error)))


def _forget_without_version(
    client: Any, endpoint: Endpoint, history: str, known: Known, own: Mapping[str, Any]
) -> bool:
    """Let rows count as changed whose open version is not what the table holds; returns whether there are versions."""
    columns = (endpoint.row_key, "_version", "valid_to")
    versions, any_version = {}, False
    for key, version, valid_to in _select(client, history, columns, own):
        any_version = True
        if valid_to is None:
            versions[key] = version
    for key, held in known.hashes.items():
        if held != DELETED and versions.get(key) != held:
            known.hashes[key] = ""
    return any_version


def _loaded(client: Any) -> set[str]:
    """Load packages that are in whole. One that was killed may have brought its records and not its rows."""
    return {load_id for load_id, status in _select(client, LOADS_TABLE, ("load_id", "status")) if status == 0}


def _read_past(client: Any, where: Mapping[str, Any], loaded: set[str]) -> list[PastSweep]:
    columns = ("sweep_id", "finished_at", "verdict", "extra", "load_id")
    found = _select(client, SWEEPS_TABLE, columns, where, "finished_at")
    return [
        PastSweep(id_, moment(finished_at), verdict, json_object(extra))
        for id_, finished_at, verdict, extra, load_id in islice(found, _SWEEPS_LOOKED_AT)
        if load_id in loaded
    ]


def _read_unfinished(
    client: Any, where: Mapping[str, Any], past: Sequence[PastSweep], loaded: set[str]
) -> Unfinished | None:
    finished = {one.id for one in past if one.verdict != FAILED}
    over = last_verdict((one.finished_at, one.verdict, one.facts) for one in past)
    columns = ("sweep_id", "page", "keys", "total", "read_at", "load_id", "state", "started_at", "requests")
    found = _select(client, PAGES_TABLE, columns, where)
    rows = [
        row for row in found if row[0] not in finished and row[5] in loaded and not (over and moment(row[4]) < over)
    ]
    if not rows:
        return None
    latest = max(rows, key=lambda row: moment(row[4]))
    pages = [
        PageRecord(int(page), orjson.loads(keys), total, moment(read_at))
        for id_, page, keys, total, read_at, *_ in rows
        if id_ == latest[0]
    ]
    return Unfinished(latest[0], moment(latest[7]), moment(latest[4]), pages, orjson.loads(latest[6]), int(latest[8]))


def last_verdict(sweeps: Iterable[tuple[datetime, str, dict[str, Any]]]) -> datetime | None:
    """When the whole of a table last got a verdict; page records from before have served their purpose.

    They are deleted then, but not in a destination that only adds.

    Args:
        sweeps: Of one table: when it finished, its verdict, its facts.
    """
    return max((at for at, verdict, facts in sweeps if verdict != FAILED and not facts.get(PARTIAL)), default=None)


def moment(value: Any) -> datetime:
    """A destination's timestamp, aware. Some give it without a zone; what we write is UTC."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def json_object(value: Any) -> dict[str, Any]:
    """A JSON column: some destinations give it parsed, some as text."""
    parsed = orjson.loads(value) if isinstance(value, (str, bytes)) else value
    return parsed if isinstance(parsed, dict) else {}
