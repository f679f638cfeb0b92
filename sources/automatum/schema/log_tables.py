"""The connector's own tables: the log of sweeps, their pages, and records that cannot be loaded."""

from __future__ import annotations

from dataclasses import replace

from .stored import StoredTable, read_columns
from .tables import SYNCED, owned

SWEEPS_TABLE = "_automatum_sweeps"
PAGES_TABLE = "_automatum_pages"
REJECTED_TABLE = "_automatum_rejected"

_SHARED = {
    "load_id": "The load that wrote the row, as in `_dlt_loads`. The row counts only if that load is there, with "
    "status 0.",
    "started_at": "When the sweep began, by the clock of the connector. A resumed sweep keeps its start.",
    "table_name": "Name of the table that is filled.",
}


def _table(name: str, description: str, key: tuple[str, ...], columns: str, synced: str) -> StoredTable:
    made = read_columns(columns.format_map(_SHARED))
    return StoredTable(name, "log", description, key, (*made, replace(SYNCED, description=synced)))


SWEEPS = _table(
    SWEEPS_TABLE,
    "Each sweep, which is one reading of a list or report, with its figures and its verdict. A sync adds one row for "
    "each table that it finishes. After 90 days DuckDB and Postgres keep the last one of each day, table and verdict.",
    ("sweep_id",),
    """
sweep_id text! Identifies the sweep. A failed sweep has `:` and an id of the row at its end, because a later run may go
    on with the sweep.
table_name text! {table_name}
started_at timestamp {started_at}
finished_at timestamp When the sweep got its verdict, by the clock of the connector.
pages bigint Number of pages that were read, repeated pages included; for a report, of requests.
requests bigint Number of requests of all runs of the sweep, retries included, requests for a token not.
announced bigint Number of rows that the API announced last. Null if it announced none, as for reports.
distinct_keys bigint Number of rows that were read, each key counted once.
inserted bigint Number of rows that were new.
updated bigint Number of rows whose content had changed.
deleted bigint Number of rows that were marked deleted, or removed (setting `deletes`).
unchanged bigint Number of rows that were as in the destination, and so were not loaded.
verdict text `complete`: all rows that the API listed are in the destination. `incomplete`: that is not proven.
    `failed`: an error ended the sweep. `skipped`: the API does not know the report.
reason text Why the verdict is not `complete`, or what else is worth knowing. Null if nothing is.
load_id text {load_id}
extra json JSON object of what the next sweep needs to know of this one. Null if there is nothing.
""",
    "When the row was made: the same as `finished_at`.",
)

PAGES = _table(
    PAGES_TABLE,
    "The pages of sweeps that have no verdict yet. A later run goes on from them. Rows of sweeps that are over are "
    "removed where the destination can delete.",
    ("sweep_id", "page"),
    """
sweep_id text! The sweep that the page belongs to.
page bigint! Number of the page, from 1.
table_name text! {table_name}
keys text JSON array of the keys of the rows of the page, in the order of the API.
total bigint Number of rows of the whole list that the page announced. Null if it announced none.
read_at timestamp When the page was read, by the clock of the connector.
load_id text {load_id}
state text JSON object of what the sweep knew at the end of its chunk. Null but for the latest page of a chunk.
started_at timestamp {started_at}
requests bigint Number of requests of the sweep until its chunk ended, over all its runs.
extra json JSON object of the sync and the settings that the sweep belongs to.
""",
    "When the row was made: the same as `read_at`.",
)

REJECTED = _table(
    REJECTED_TABLE,
    "Records that could not be loaded, with the reason: most have no key, or are not JSON objects.",
    ("table_name", "rejection_id"),
    """
rejection_id text! Key of the record. For a record without a key, `hash:` with its hash and its number among equal
    records of its page.
table_name text! {table_name}
key text Key of the record. Null if it has none.
row_hash text Hash of the content of the record.
reason text Why the record was not loaded, in words.
fields text Names of the fields of the record, separated by commas, at most 500 characters. Values are not stored: they
    may be personal data.
rejected_at timestamp When the record was first read with this content.
resolved_at timestamp When a sync loaded the record, or no longer found it. Null as long as the API lists it as it is.
extra json Not used: always null.
""",
    "When the row was made, by the clock of the connector.",
)


def log_tables(by_organization: bool = False) -> tuple[StoredTable, ...]:
    """The tables of the log.

    Args:
        by_organization: The dataset holds several organizations.
    """
    tables = (SWEEPS, REJECTED, PAGES)
    return tuple(map(owned, tables)) if by_organization else tables
