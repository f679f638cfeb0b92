"""Reads usage: a table or query of the destination, Arrow, a pandas frame, CSV, Parquet, or dicts.

Columns: `customer_id`, `listing_id`, `vendor`, `dimension`, `units`, `price`, and `usage_at` (a moment) or `usage_date`
(a UTC day); optional `entitlement_id`, `title`, `description`, `per`. Other columns are ignored. Values are read as the
source has them; `validation` checks them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...core.errors import ConfigurationError
from .readers import Choose, Rows, UnreadableRow, read_arrow, read_csv, read_frame, read_parquet
from .sql import read_relation_or_query

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

REQUIRED = ("customer_id", "listing_id", "vendor", "dimension", "units", "price")
TIMES = ("usage_at", "usage_date")
OPTIONAL = ("entitlement_id", "title", "description", "per")
COLUMNS = (*REQUIRED, *TIMES, *OPTIONAL)

Row = Mapping[str, Any] | UnreadableRow
"""The values of a row by our column names."""

_FORMS = (
    "Give a .csv or .parquet file, the name of a table or view (`usage`, `schema.usage`), or a query: `sql:SELECT ...`."
)


def read_usage(
    source: Any, *, pipeline: SupportsPipeline | None = None, mapping: Mapping[str, str] | None = None
) -> Iterator[tuple[int, Row]]:
    """Read usage in batches.

    Args:
        source: Path, or text that ends in `.csv` or `.parquet`; `sql:SELECT ...` or the name of a table or view, which
            in the pipeline's dataset needs no schema; a pandas frame; an object that exports Arrow (`pyarrow.Table`, a
            `RecordBatchReader`, a polars frame, a DuckDB relation); an iterable of dicts.
        pipeline: Pipeline whose destination contains the table; any destination with SQL.
        mapping: Our column name to the column name in the source, where they differ. Names match in any case.

    Returns:
        Position of the row, from 1, and its values by our names. In a CSV file the position counts the lines below the
        header, unless a field spans several lines.

    Raises:
        ConfigurationError: The source does not exist, cannot be read, or lacks a column. It is raised at once, except
            for damage further down in a file.
        DestinationError: The destination cannot be reached, or the connection is lost.
    """
    mapping = dict(mapping or {})
    if unknown := sorted(set(mapping) - set(COLUMNS)):
        raise ConfigurationError(
            "usage.mapping", f"{', '.join(unknown)} is not a usage column.", f"Columns: {', '.join(COLUMNS)}."
        )
    names: list[str] = []

    def choose(theirs: Sequence[str]) -> list[int]:
        positions = _column_positions(theirs, mapping)
        if missing := _missing(positions, mapping):
            raise _incomplete(missing, theirs)
        names.extend(positions)
        return list(positions.values())

    opened = _open(source, pipeline, choose)
    if opened is None:
        return _from_dicts(source, mapping)
    # The first batch is read at once, so that an error about the source as a whole is raised here.
    first = next(opened, [])
    return _pick(chain([first], opened), names)


def _open(source: Any, pipeline: SupportsPipeline | None, choose: Choose) -> Iterator[Rows] | None:
    """Batches of rows; None for dicts, whose columns may differ row by row."""
    if isinstance(source, Path) or (isinstance(source, str) and source.lower().endswith((".csv", ".parquet"))):
        path = Path(source)
        if path.suffix.lower() not in (".csv", ".parquet"):
            raise ConfigurationError("usage", f"{path} is neither a .csv nor a .parquet file.", _FORMS)
        if not path.is_file():
            raise ConfigurationError("usage", f"there is no file {path}.", _FORMS)
        return read_csv(path, choose) if path.suffix.lower() == ".csv" else read_parquet(path, choose)
    if isinstance(source, str):
        if pipeline is None:
            raise ConfigurationError("usage", f"{source!r} must be read from a destination, and there is none.", _FORMS)
        return read_relation_or_query(pipeline, source, _FORMS, choose)
    extract = sys.modules.get("dlt.extract")
    if extract is not None and isinstance(source, (extract.DltResource, extract.DltSource)):
        raise ConfigurationError(
            "usage",
            f"{source.name} is a dlt {'resource' if isinstance(source, extract.DltResource) else 'source'}, which may "
            "give each row only once. A push needs all rows of an hour at once, again and again until they are sent.",
            "Load it to a table of the warehouse, and push the table.",
        )
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(source, pandas.DataFrame):
        return read_frame(source, pandas, choose)
    if isinstance(source, pa.RecordBatch):
        source = pa.Table.from_batches([source])
    if hasattr(source, "__arrow_c_stream__"):
        return read_arrow(pa.RecordBatchReader.from_stream(source), choose)
    if isinstance(source, Mapping) or not isinstance(source, Iterable):
        raise ConfigurationError("usage", f"a {type(source).__name__} cannot be read as rows.", _FORMS)
    return None


def _pick(opened: Iterator[Rows], names: Sequence[str]) -> Iterator[tuple[int, Row]]:
    for rows in opened:
        for position, values in rows:
            if isinstance(values, UnreadableRow):
                yield position, values
            else:
                yield position, dict(zip(names, values, strict=True))


def _from_dicts(source: Iterable[Any], mapping: Mapping[str, str]) -> Iterator[tuple[int, Row]]:
    known: dict[tuple[str, ...], dict[str, int]] = {}
    for position, row in enumerate(source, 1):
        if not isinstance(row, Mapping):
            yield position, UnreadableRow(f"is a {type(row).__name__}, not a row of columns and values")
            continue
        names = tuple(map(str, row))
        if names not in known:
            known[names] = _column_positions(names, mapping)
        values = list(row.values())
        yield position, {name: values[index] for name, index in known[names].items()}


def _column_positions(names: Sequence[str], mapping: Mapping[str, str]) -> dict[str, int]:
    """Our name to the position of the source's column."""
    positions: dict[str, int] = {}
    for ours in COLUMNS:
        theirs = mapping.get(ours, ours)
        exact = [index for index, name in enumerate(names) if name.strip() == theirs]
        found = exact or [index for index, name in enumerate(names) if name.strip().lower() == theirs.lower()]
        if len(found) > 1:
            raise ConfigurationError("usage", f"has {len(found)} columns named {theirs}.", "Leave one of them out.")
        if found:
            positions[ours] = found[0]
    return positions


def _missing(positions: Mapping[str, int], mapping: Mapping[str, str]) -> list[str]:
    """Missing columns that are required; also missing optional columns that were mapped, which are mistyped names."""
    missing = [name for name in COLUMNS if name not in positions and (name in REQUIRED or name in mapping)]
    if not any(name in positions for name in TIMES) and not any(name in mapping for name in TIMES):
        missing.append(" or ".join(TIMES))
    return [f"{name} (mapped to {mapping[name]})" if name in mapping else name for name in missing]


def _incomplete(missing: Sequence[str], names: Sequence[str]) -> ConfigurationError:
    next_step = f"It has: {', '.join(names) or 'none'}. Map a name that differs (ours=theirs), or rename it in a query."
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        next_step += " The file seems not to be separated by commas."
    return ConfigurationError("usage", f"the source lacks {', '.join(missing)}.", next_step)
