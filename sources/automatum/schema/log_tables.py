"""The connector's own tables: the log of sweeps, their pages, and records that cannot be loaded."""

from __future__ import annotations

from dataclasses import replace

from .stored import StoredColumn, StoredTable
from .tables import EXTRA_COLUMN, SYNCED, owned

SWEEPS_TABLE = "_automatum_sweeps"
PAGES_TABLE = "_automatum_pages"
REJECTED_TABLE = "_automatum_rejected"

_TABLE_NAME = StoredColumn("table_name", "text", "Name of the table that is filled.", nullable=False)
_LOAD_ID = StoredColumn(
    "load_id",
    "text",
    "The load that wrote the row, as in `_dlt_loads`. The row counts only if that load is there, with status 0.",
)
_STARTED = StoredColumn(
    "started_at", "timestamp", "When the sweep began, by the clock of the connector. A resumed sweep keeps its start."
)


def _number(name: str, description: str) -> StoredColumn:
    return StoredColumn(name, "bigint", description)


def _answers(name: str, what: str) -> StoredColumn:
    return _number(name, f"Number of {what} in the last run of the sweep. Null in rows of earlier versions.")


def _latency(name: str, what: str) -> StoredColumn:
    return _number(
        name,
        f"Milliseconds from request to response in the last run of the sweep: {what}. "
        "Null if nothing was sent, and in rows of earlier versions.",
    )


def _synced(description: str) -> StoredColumn:
    return replace(SYNCED, description=description)


STATS = (
    _answers("http_401", "responses with status 401"),
    _answers("http_403", "responses with status 403"),
    _answers("http_404", "responses with status 404"),
    _answers("http_429", "responses with status 429"),
    _answers("http_5xx", "responses with a status from 500 to 599"),
    _answers("network_errors", "requests without a usable response"),
    _answers("retries", "requests that repeat an earlier one"),
    _latency("latency_p50_ms", "half of the requests took no longer"),
    _latency("latency_p95_ms", "95 % of the requests took no longer"),
    _latency("latency_max_ms", "the longest"),
)
"""What the API answered to the requests for a table. Requests for a token do not count."""

SWEEPS = StoredTable(
    SWEEPS_TABLE,
    "log",
    "Each sweep, which is one reading of a list or report, with its figures and its verdict. A sync adds one row for "
    "each table that it finishes.",
    ("sweep_id",),
    (
        StoredColumn(
            "sweep_id",
            "text",
            "Identifies the sweep. A failed sweep has `:` and an id of the row at its end, because a later run may go "
            "on with the sweep.",
            nullable=False,
        ),
        _TABLE_NAME,
        _STARTED,
        StoredColumn("finished_at", "timestamp", "When the sweep got its verdict, by the clock of the connector."),
        _number("pages", "Number of pages that were read, repeated pages included; for a report, of requests."),
        _number("requests", "Number of requests of all runs of the sweep, retries included, requests for a token not."),
        _number("announced", "Number of rows that the API announced last. Null if it announced none, as for reports."),
        _number("distinct_keys", "Number of rows that were read, each key counted once."),
        _number("inserted", "Number of rows that were new."),
        _number("updated", "Number of rows whose content had changed."),
        _number("deleted", "Number of rows that were marked deleted, or removed (setting `deletes`)."),
        _number("unchanged", "Number of rows that were as in the destination, and so were not loaded."),
        StoredColumn(
            "verdict",
            "text",
            "`complete`: all rows that the API listed are in the destination. `incomplete`: that is not proven. "
            "`failed`: an error ended the sweep. `skipped`: the API does not know the report.",
        ),
        StoredColumn(
            "reason", "text", "Why the verdict is not `complete`, or what else is worth knowing. Null if nothing is."
        ),
        _LOAD_ID,
        *STATS,
        replace(
            EXTRA_COLUMN,
            description="JSON object of what the next sweep needs to know of this one. Null if there is nothing.",
        ),
        _synced("When the row was made: the same as `finished_at`."),
    ),
)

PAGES = StoredTable(
    PAGES_TABLE,
    "log",
    "The pages of sweeps that have no verdict yet. A later run goes on from them. Rows of sweeps that are over are "
    "removed where the destination can delete.",
    ("sweep_id", "page"),
    (
        StoredColumn("sweep_id", "text", "The sweep that the page belongs to.", nullable=False),
        StoredColumn("page", "bigint", "Number of the page, from 1.", nullable=False),
        _TABLE_NAME,
        StoredColumn("keys", "text", "JSON array of the keys of the rows of the page, in the order of the API."),
        _number("total", "Number of rows of the whole list that the page announced. Null if it announced none."),
        StoredColumn("read_at", "timestamp", "When the page was read, by the clock of the connector."),
        _LOAD_ID,
        StoredColumn(
            "state",
            "text",
            "JSON object of what the sweep knew at the end of its chunk. Null but for the latest page of a chunk.",
        ),
        _STARTED,
        _number("requests", "Number of requests of the sweep until its chunk ended, over all its runs."),
        replace(EXTRA_COLUMN, description="JSON object of the sync and the settings that the sweep belongs to."),
        _synced("When the row was made: the same as `read_at`."),
    ),
)

REJECTED = StoredTable(
    REJECTED_TABLE,
    "log",
    "Records that could not be loaded, with the reason: most have no key, or are not JSON objects.",
    ("table_name", "rejection_id"),
    (
        StoredColumn(
            "rejection_id",
            "text",
            "Key of the record. For a record without a key, `hash:` with its hash and its number among equal records "
            "of its page.",
            nullable=False,
        ),
        _TABLE_NAME,
        StoredColumn("key", "text", "Key of the record. Null if it has none."),
        StoredColumn("row_hash", "text", "Hash of the content of the record."),
        StoredColumn("reason", "text", "Why the record was not loaded, in words."),
        StoredColumn(
            "fields",
            "text",
            "Names of the fields of the record, separated by commas, at most 500 characters. Values are not stored: "
            "they may be personal data.",
        ),
        StoredColumn("rejected_at", "timestamp", "When the record was first read with this content."),
        StoredColumn(
            "resolved_at",
            "timestamp",
            "When a sync loaded the record, or no longer found it. Null as long as the API lists it as it is.",
        ),
        replace(EXTRA_COLUMN, description="Not used: always null."),
        _synced("When the row was made, by the clock of the connector."),
    ),
)


def log_tables(by_organization: bool = False) -> tuple[StoredTable, ...]:
    """The tables of the log.

    Args:
        by_organization: The dataset holds several organizations.
    """
    tables = (SWEEPS, REJECTED, PAGES)
    return tuple(map(owned, tables)) if by_organization else tables
