"""Reading usage: a relation or query of the destination, Arrow, a pandas frame, CSV, Parquet, or dicts.

Columns: `customer_id`, `listing_id`, `vendor`, `dimension`, `units`, `price`, and `usage_at` (a moment) or `usage_date`
(a UTC day); optional `title`, `description`, `per`. Others are ignored. Values come as the source has them: it is
`validation` that judges them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...core.errors import ConfigurationError
from .readers import Choose, Rows, read_arrow, read_csv, read_frame, read_parquet
from .sql import read_query, read_relation

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

REQUIRED = ("customer_id", "listing_id", "vendor", "dimension", "units", "price")
TIMES = ("usage_at", "usage_date")
OPTIONAL = ("title", "description", "per")
COLUMNS = (*REQUIRED, *TIMES, *OPTIONAL)

FAULT = "(fault)"
"""Stands in a row's dict, instead of columns, for why it cannot be read as a row at all."""

_SQL = "sql:"
_FORMS = (
    "Give a .csv or .parquet file, the name of a table or view (`usage`, `schema.usage`), or a query: `sql:SELECT ...`."
)


def read_usage(
    source: Any, *, pipeline: SupportsPipeline | None = None, mapping: Mapping[str, str] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read usage, a batch at a time.

    Args:
        source: Path, or text that ends in `.csv` or `.parquet`; `sql:SELECT ...` or the name of a relation, which in
            the pipeline's dataset needs no schema; a pandas frame; anything that gives Arrow (`pyarrow.Table`, a
            `RecordBatchReader`, a polars frame, a DuckDB relation); an iterable of dicts.
        pipeline: Whose destination holds the relation; any destination with SQL.
        mapping: Our column name to the source's, where they differ. Names match whatever their case.

    Returns:
        Position of the row, from 1, and its values by our names. In a CSV file the position counts the lines below the
        header, if no field spans several.

    Raises:
        ConfigurationError: There is no such source, it cannot be read as what it is, or it lacks a column; raised at
            once, except for damage that shows only further down.
        DestinationError: The destination cannot be reached or breaks off.
    """
    mapping = dict(mapping or {})
    if unknown := sorted(set(mapping) - set(COLUMNS)):
        raise ConfigurationError(
            "usage.mapping", f"{', '.join(unknown)} is no column of ours.", f"Ours are: {', '.join(COLUMNS)}."
        )
    names: list[str] = []

    def choose(theirs: Sequence[str]) -> list[int]:
        places = _places(theirs, mapping)
        if missing := _missing(places, mapping):
            raise _incomplete(missing, theirs)
        names.extend(places)
        return list(places.values())

    opened = _open(source, pipeline, choose)
    if opened is None:
        return _from_dicts(source, mapping)
    # The first batch is read at once: what is wrong with a source as a whole shows here.
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
            raise ConfigurationError(
                "usage", f"{source!r} is to be read from a destination, and none is given.", _FORMS
            )
        if source[: len(_SQL)].lower() == _SQL:
            return read_query(pipeline, source[len(_SQL) :], choose)
        return read_relation(pipeline, source.strip(), _FORMS, choose)
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


def _pick(opened: Iterator[Rows], names: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for rows in opened:
        for position, values in rows:
            if isinstance(values, str):
                yield position, {FAULT: values}
            else:
                yield position, dict(zip(names, values, strict=True))


def _from_dicts(source: Iterable[Any], mapping: Mapping[str, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    known: dict[tuple[str, ...], dict[str, int]] = {}
    for position, row in enumerate(source, 1):
        if not isinstance(row, Mapping):
            yield position, {FAULT: f"is a {type(row).__name__}, not a row of columns and values"}
            continue
        names = tuple(map(str, row))
        if names not in known:
            known[names] = _places(names, mapping)
        values = list(row.values())
        yield position, {name: values[place] for name, place in known[names].items()}


def _places(names: Sequence[str], mapping: Mapping[str, str]) -> dict[str, int]:
    """Our name to the position of the source's column.

    Raises:
        ConfigurationError: Two columns could be meant.
    """
    places: dict[str, int] = {}
    for ours in COLUMNS:
        theirs = mapping.get(ours, ours)
        exact = [place for place, name in enumerate(names) if name.strip() == theirs]
        found = exact or [place for place, name in enumerate(names) if name.strip().lower() == theirs.lower()]
        if len(found) > 1:
            raise ConfigurationError("usage", f"has {len(found)} columns named {theirs}.", "Leave one of them out.")
        if found:
            places[ours] = found[0]
    return places


def _missing(places: Mapping[str, int], mapping: Mapping[str, str]) -> list[str]:
    """Columns that have to be there; also an optional one that was mapped, since that is a mistyped name."""
    missing = [name for name in COLUMNS if name not in places and (name in REQUIRED or name in mapping)]
    if not any(name in places for name in TIMES) and not any(name in mapping for name in TIMES):
        missing.append(" or ".join(TIMES))
    return [f"{name} (mapped to {mapping[name]})" if name in mapping else name for name in missing]


def _incomplete(missing: Sequence[str], names: Sequence[str]) -> ConfigurationError:
    next_step = f"It has: {', '.join(names) or 'none'}. Map a name that differs (ours=theirs), or rename it in a query."
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        next_step += " The file seems not to be separated by commas."
    return ConfigurationError("usage", f"the source lacks {', '.join(missing)}.", next_step)
