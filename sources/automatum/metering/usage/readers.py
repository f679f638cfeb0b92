"""Reads usage from a file or from memory as tables of texts: CSV, Parquet, Arrow, a pandas frame, dicts.

DuckDB cannot replace these readers: it does not number the lines of a CSV file that has blank or broken ones, fails on
one timestamp out of range or a 256-bit decimal, and turns a frame's mixed values into text.
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from ...core.clock import Clock
from ...core.errors import ConfigurationError
from ...core.text import plural
from .columns import COLUMNS, as_table, column_positions, require_columns
from .sql import read_relation_or_query

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

BATCH = 5_000
"""Rows of a table."""
FORMS = (
    "Give a .csv or .parquet file, the name of a table or view (`usage`, `schema.usage`), or a query: `sql:SELECT ...`."
)
_SUFFIXES = (".csv", ".parquet")
_QUIET = 5.0
"""Seconds without a write after which a file is read."""
_FRESH = 60.0
"""Seconds since the last write in which a last line without an end may be half a line."""
_WAITS = 3
"""Times that a file may change while it is waited for."""
_Row = tuple[int, Sequence[Any], str | None]
"""Position in the source, values, and why it cannot be read at all."""
_COMPLETE = "Write it under another name, and rename it when it is complete. Then push again."


def read_tables(
    usage: Any, pipeline: SupportsPipeline | None, mapping: Mapping[str, str], clock: Clock
) -> Iterator[pa.Table]:
    """The rows of a usage, as tables of `columns.as_table`.

    Args:
        usage: Path, or text that ends in `.csv` or `.parquet`; `sql:SELECT ...` or the name of a table or view, which
            in the pipeline's dataset needs no schema; a pandas frame; an object that exports Arrow (`pyarrow.Table`, a
            `RecordBatchReader`, a polars frame, a DuckDB relation); an iterable of dicts.
        pipeline: Pipeline whose destination contains the table; any destination with SQL.
        mapping: Our column name to the column name in the usage, where they differ.
        clock: Time, to wait for a file that is being written.

    Raises:
        ConfigurationError: The usage does not exist, cannot be read, lacks a column, or is being written.
        DestinationError: The destination cannot be reached, or the connection is lost.
    """
    if (path := as_path(usage)) is not None:
        return _read_file(path, mapping, clock)
    if isinstance(usage, str):
        if pipeline is None:
            raise ConfigurationError("usage", f"{usage!r} must be read from a destination, and there is none.", FORMS)
        return _read_relation(pipeline, usage, mapping)
    extract = sys.modules.get("dlt.extract")
    if extract is not None and isinstance(usage, (extract.DltResource, extract.DltSource)):
        raise ConfigurationError(
            "usage",
            f"{usage.name} is a dlt {'resource' if isinstance(usage, extract.DltResource) else 'source'}, which may "
            "give each row only once. A push needs all rows of an hour at once, again and again until they are sent.",
            "Load it to a table of the warehouse, and push the table.",
        )
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(usage, pandas.DataFrame):
        # NaN stays, so that it is refused by name where a number must be.
        positions = require_columns([str(name) for name in usage.columns], mapping)
        return _as_tables(_numbered(usage.itertuples(index=False, name=None)), positions)
    if isinstance(usage, pa.RecordBatch):
        usage = pa.Table.from_batches([usage])
    with suppress(pa.ArrowInvalid):  # A single column is no table.
        if hasattr(usage, "__arrow_c_stream__"):
            reader = pa.RecordBatchReader.from_stream(usage)
            return _read_batches(reader, require_columns(reader.schema.names, mapping))
    column = hasattr(usage, "__arrow_c_stream__") or (pandas is not None and isinstance(usage, pandas.Series))
    if column or isinstance(usage, (Mapping, bytes)) or not isinstance(usage, Iterable):
        raise ConfigurationError("usage", f"a {type(usage).__name__} cannot be read as rows.", FORMS)
    return _as_tables(_dict_rows(usage, mapping), {name: at for at, name in enumerate(COLUMNS)})


def as_path(usage: Any) -> Path | None:
    """The path of a usage file; None if the usage is no file."""
    named = isinstance(usage, str) and usage.lower().endswith(_SUFFIXES) and not usage.lower().startswith("sql:")
    return Path(usage) if named or isinstance(usage, Path) else None


def _read_file(path: Path, mapping: Mapping[str, str], clock: Clock) -> Iterator[pa.Table]:
    if path.suffix.lower() not in _SUFFIXES:
        raise ConfigurationError("usage", f"{path} is neither a .csv nor a .parquet file.", FORMS)
    if not path.is_file():
        raise ConfigurationError("usage", f"there is no file {path}.", FORMS)
    read = _read_csv if path.suffix.lower() == ".csv" else _read_parquet
    try:
        with _complete(path, clock):
            yield from read(path, mapping)
    except UnicodeDecodeError:
        raise ConfigurationError("usage", f"{path} is not in UTF-8.", "Save it as CSV UTF-8.") from None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        step = "Check the file, its permissions and the disk, or write it again."
        raise ConfigurationError(
            "usage", f"{path} cannot be read: {str(error).splitlines()[0].rstrip('.')}.", step
        ) from None


@contextmanager
def _complete(path: Path, clock: Clock) -> Iterator[None]:
    """Refuse a file that changes in the block, or may not be complete. One that was just written is waited for."""
    before = path.stat()
    for _ in range(_WAITS):
        # A file server's clock may be ahead of ours.
        if (age := abs(clock.time() - before.st_mtime)) >= _QUIET:
            break
        clock.sleep(_QUIET - age)
        before = path.stat()
    else:
        raise ConfigurationError("usage", f"{path} is being written.", _COMPLETE)
    if path.suffix.lower() == ".csv" and abs(clock.time() - before.st_mtime) < _FRESH and before.st_size:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) not in b"\r\n":
                raise ConfigurationError(
                    "usage",
                    f"{path} was written within the last minute, and its last line has no end: it may be incomplete.",
                    "End the last line with a line break, or push again in a minute.",
                )
    yield
    after = path.stat()
    if any(getattr(before, name) != getattr(after, name) for name in ("st_size", "st_mtime_ns", "st_ino")):
        raise ConfigurationError("usage", f"{path} changed while it was read.", _COMPLETE)


def _read_csv(path: Path, mapping: Mapping[str, str]) -> Iterator[pa.Table]:
    """A CSV file with a header, commas and UTF-8. All values are text, so no digit is lost."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = _csv_rows(path, file)
        _, names, _ = next(rows, (1, [], None))
        yield from _as_tables(rows, require_columns(names, mapping))


def _csv_rows(path: Path, file: TextIO) -> Iterator[_Row]:
    """The header, and the rows, each with its first line."""
    line, width = 1, 0
    # Without `strict`, a quote that is not closed would silently take in the rest of the file.
    reader = csv.reader(file, strict=True)
    try:
        for values in reader:
            width = width or len(values)
            if len(values) == width:
                yield line, values, None
            elif values:
                wrong = f"has {plural(len(values), 'field')} where the header has {width}"
                yield line, [""] * width, f"{wrong}\n{','.join(values)}"
            line = reader.line_num + 1
    except csv.Error as error:
        raise ConfigurationError(
            "usage", f"{path} is damaged from line {line} on: {error}.", "Correct that line, or write the file again."
        ) from None


def _read_parquet(path: Path, mapping: Mapping[str, str]) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        theirs = {ours: names[at] for ours, at in require_columns(names, mapping).items()}
        wanted = list(dict.fromkeys(theirs.values()))
        batches = file.iter_batches(batch_size=BATCH, columns=wanted)
        yield from _read_batches(batches, {ours: wanted.index(name) for ours, name in theirs.items()})


def _read_batches(batches: Iterable[pa.RecordBatch], positions: Mapping[str, int]) -> Iterator[pa.Table]:
    number = 1
    for whole in batches:
        for start in range(0, whole.num_rows, BATCH):
            batch = whole.slice(start, BATCH)
            numbers = range(number, number + batch.num_rows)
            number += batch.num_rows
            yield as_table(numbers, {name: batch.column(at) for name, at in positions.items()})


def _read_relation(pipeline: SupportsPipeline, usage: str, mapping: Mapping[str, str]) -> Iterator[pa.Table]:
    batches = read_relation_or_query(pipeline, usage, FORMS)
    names, _ = next(batches)  # without rows
    positions = require_columns(names, mapping)
    rows = (row for _, batch in batches for row in batch)
    yield from _as_tables(_numbered(rows), positions)


def _dict_rows(rows: Iterable[Any], mapping: Mapping[str, str]) -> Iterator[_Row]:
    """Dicts, whose columns may differ row by row, with the values in the order of `COLUMNS`."""
    known: dict[tuple[str, ...], dict[str, int]] = {}
    for number, row in enumerate(rows, 1):
        if isinstance(row, Mapping):
            names, values = tuple(map(str, row)), list(row.values())
            if names not in known:
                known[names] = column_positions(names, mapping)
            yield number, [values[at] if (at := known[names].get(name)) is not None else None for name in COLUMNS], None
        else:
            wrong = f"is a {type(row).__name__}, not a row of columns and values"
            yield number, [None] * len(COLUMNS), wrong


def _numbered(rows: Iterable[Sequence[Any]]) -> Iterator[_Row]:
    return ((number, row, None) for number, row in enumerate(rows, 1))


def _as_tables(rows: Iterator[_Row], positions: Mapping[str, int]) -> Iterator[pa.Table]:
    while batch := list(islice(rows, BATCH)):
        numbers, values, broken = zip(*batch, strict=True)
        columns = list(zip(*values, strict=True))
        yield as_table(numbers, {name: columns[at] for name, at in positions.items()}, broken)
