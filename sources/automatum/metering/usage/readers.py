"""Reads usage from a file or from memory: CSV, Parquet, Arrow, a pandas frame.

Each reader calls `choose` with the names of its columns, gets the positions of the wanted columns, and yields batches
of numbered rows with only these. It keeps at most one batch of a file in memory.

DuckDB cannot replace these readers: it does not number the rows of a CSV file that has blank or broken lines, fails on
one timestamp out of range or a 256-bit decimal, and turns a frame's mixed values into text.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ...core.errors import ConfigurationError

BATCH = 5_000

Choose = Callable[[Sequence[str]], Sequence[int]]


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A row that cannot be read.

    Attributes:
        reason: Why, for people.
    """

    reason: str


Rows = list[tuple[int, list[Any] | UnreadableRow]]
"""Positions from 1, with the wanted values."""


def read_csv(path: Path, choose: Choose) -> Iterator[Rows]:
    """A CSV file with a header, commas and UTF-8. All values are text, so no digit is lost.

    Raises:
        ConfigurationError: It has another encoding, or a quote that is not closed.
    """
    where = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            # Without `strict`, a quote that is not closed would silently take in the rest of the file.
            reader = csv.reader(file, strict=True)
            names = next(reader, [])
            chosen = choose(names)
            rows: Rows = []
            for position, values in enumerate(reader, 1):
                where = reader.line_num + 1
                if not values:
                    continue
                if len(values) == len(names):
                    rows.append((position, [values[column] for column in chosen]))
                else:
                    reason = f"has {len(values)} fields where the header has {len(names)}"
                    rows.append((position, UnreadableRow(reason)))
                if len(rows) == BATCH:
                    yield rows
                    rows = []
            yield rows
    except UnicodeDecodeError:
        raise ConfigurationError("usage", f"{path} is not in UTF-8.", "Save it as CSV UTF-8.") from None
    except csv.Error as error:
        raise ConfigurationError(
            "usage", f"{path} is damaged from line {where} on: {error}.", "Correct that line, or write the file again."
        ) from None
    except OSError as error:
        raise _unreadable(path, error, "Check the permissions of the file, and the disk.") from None


def read_parquet(path: Path, choose: Choose) -> Iterator[Rows]:
    """A Parquet file.

    Raises:
        ConfigurationError: It is not a Parquet file, or is damaged.
    """
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            chosen = choose(names)
            columns = list(dict.fromkeys(names[position] for position in chosen))
            batches = file.iter_batches(batch_size=BATCH, columns=columns)
            yield from _batches(batches, [columns.index(names[position]) for position in chosen])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise _unreadable(path, error, "Check that it is a Parquet file, or write it again.") from None


def read_arrow(reader: pa.RecordBatchReader, choose: Choose) -> Iterator[Rows]:
    """A stream of Arrow batches."""
    yield from _batches(reader, choose(reader.schema.names))


def read_frame(frame: Any, pandas: Any, choose: Choose) -> Iterator[Rows]:
    """A pandas frame, in slices. `NA` and `NaT` become None. NaN stays, so that validation can refuse it by name."""
    chosen = choose([str(name) for name in frame.columns])
    for start in range(0, len(frame), BATCH):
        part = frame.iloc[start : start + BATCH]
        columns = [_python_values(part.iloc[:, position], pandas) for position in chosen]
        yield [(number, list(row)) for number, row in enumerate(zip(*columns, strict=True), start + 1)]


def _python_values(column: Any, pandas: Any) -> list[Any]:
    return [None if value is pandas.NA or value is pandas.NaT else value for value in column.tolist()]


def _batches(batches: Any, chosen: Sequence[int]) -> Iterator[Rows]:
    numbers = count(1)
    for whole in batches:
        for start in range(0, whole.num_rows, BATCH):
            batch = whole.slice(start, BATCH)
            columns = [_values(batch.column(position)) for position in chosen]
            yield [(next(numbers), list(values)) for values in zip(*columns, strict=True)]


def _values(column: pa.Array) -> list[Any]:
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        # Python has microseconds. The nanoseconds below them move no usage to another hour.
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError, pa.ArrowException):
        values = [_value(value) for value in column]
    return values


def _value(scalar: Any) -> Any:
    """A value, or a text for validation to refuse where Python has no such value."""
    try:
        return scalar.as_py()
    except (ValueError, OverflowError, pa.ArrowException):
        return f"{scalar.type} that cannot be read"


def _unreadable(path: Path, error: Exception, next_step: str) -> ConfigurationError:
    return ConfigurationError("usage", f"{path} cannot be read: {str(error).splitlines()[0]}.", next_step)
