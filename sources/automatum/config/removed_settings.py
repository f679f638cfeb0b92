"""Settings of earlier versions, and what to do in place of each. They are refused by name and never ignored."""

from __future__ import annotations

from collections.abc import Mapping

_SQL = "Sync the whole table and filter it in SQL."
_NAMES = "Fields have camelCase names, as documented. For another, set the column's path in `columns` of the endpoint."
_TIMES = "Times are ISO 8601. Others stay in `extra` as they are; convert them in SQL."
_WHOLE = "Remove it: every sync reads every list whole."
_CHUNKS = "Remove it: rows are loaded when they are 250,000, have 32 MB, or are a minute old."

REMOVED_SETTINGS: Mapping[str, str] = {
    "naming": _NAMES,
    "timestamps": _TIMES,
    "vendor": _SQL,
    "status": _SQL,
    "success_codes": "Remove it: `code` in an answer is an HTTP status, as documented.",
    "full_sweep_every": _WHOLE,
    "reread_pages": "Remove it: a list that changes while it is read is read again if it has up to 100 pages.",
    "chunk_rows": _CHUNKS,
    "chunk_seconds": _CHUNKS,
    "accept_rejected": "Remove it: a table is incomplete (exit 65) while the API lists records that cannot be loaded; "
    "_automatum_rejected names them. Set `key` of the endpoint, or let the vendor correct the records.",
    "max_delete_checks": "Remove it: a run asks for missing rows with a quarter of the requests of an hour.",
    "organization_limits": "Remove it: they are ten times application_limits, and never less than documented.",
    "table_format": "Remove it: tables have the format of the destination. For Parquet files, load to ducklake.",
    "retry_attempts": "Remove it: a failing request is given up after six attempts.",
    "retry_deadline": "Set request_timeout: a failing request is given up after four times as long.",
    "secret_max_age_days": "Remove it: the age of a client secret is not recorded.",
    "webhook_signature_header": "Remove it: signatures are read from x-automatum-signature, as documented.",
    "metering_reserve": "Remove it: a push keeps a tenth of the rate limit for itself.",
    "metering_max_lines": "Use metering_max_amount; a dry run shows the number of lines.",
    "accept_organization": "Sync to another dataset (--dataset): it must not hold rows of two organization ids.",
    "metering_unusual_factor": "Remove it: a push warns of unusual amounts, and sends them.",
    "metering_check_prices": "Remove it: a price that the entitlement contradicts is refused, unless by --unchecked.",
    "metering_documented_window": "Push with --late-ok: it sends up to the documented deadline.",
    "metering_silence_hours": "Query the view metering_silence, which `automatum push export` makes.",
    "duckdb_storage_version": "Remove it: DuckDB 1.0 and later can read new files. For another format, create the file "
    "beforehand by DuckDB's ATTACH '...' (STORAGE_VERSION '...').",
}
"""Settings in `[sources.automatum]`."""

REMOVED_ENDPOINT_KEYS: Mapping[str, str] = {
    "pages": "Remove it: the number of pages follows from `total` and `page_size`.",
    "params": 'Write constants into the path, such as path = "analytics/revenue?groupBy=day".',
    "filters": _SQL,
    "newest_first": _WHOLE,
    "exact_total": 'For a list whose announced total is not exact, set total = "".',
    "volatile": "Remove it: a change of any field is a new version of the row.",
    "detail": "Remove it: a record at its own URL is read at `data`.",
    "date_format": "Remove it: days are sent as YYYY-MM-DD.",
    "naming": _NAMES,
    "timestamps": _TIMES,
    "children": "Remove it: nested lists are found where they are documented; others stay in `extra`.",
    "first_page": 'Write paginator = { type = "page_number", base_page = 0 }.',
}
"""Keys in `[sources.automatum.endpoints.<table>]` and in an entry of `sources.automatum.reports`."""

REMOVED_METERING_KEYS: Mapping[str, str] = {
    "path": "Remove it: usage is sent to /api/v1/metering, as documented.",
    "fields": "Remove it: fields have their documented names. For the place of an entitlement, set `entitlement_id`.",
    "numbers": "Remove it: units and charged are sent as numbers and price as text, as documented.",
    "reporting_date": "Remove it: the day is sent as YYYY-MM-DD, as documented.",
    "naming": "Remove it: the fields have their documented names.",
}
"""Keys in `[sources.automatum.metering]`."""
