"""The Arrow type of each type that a column of a stored table may have."""

from __future__ import annotations

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")
ARROW_TYPES: dict[str, pa.DataType] = {
    "text": pa.string(),
    "timestamp": TIMESTAMP,
    "date": pa.date32(),
    "decimal": pa.decimal128(38, 9),
    "bigint": pa.int64(),
    "bool": pa.bool_(),
    "json": pa.string(),  # Arrow has no type for JSON.
}
