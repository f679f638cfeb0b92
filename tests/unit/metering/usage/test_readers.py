"""Usage from files, Arrow, frames and dicts keeps all its digits, and what cannot be read is named."""

import os
from collections import deque
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from automatum.core.errors import ConfigurationError
from automatum.metering.usage import readers
from automatum.metering.usage.usage import source_name
from tests.support.clocks import FakeClock
from tests.support.metering_rows import MOMENT, NOW, ROW, UTC, as_parquet, read, refused, usage

HEADER = "customer_id,listing_id,vendor,dimension,units,price,usage_at\n"
GOOD = "cust_1,lst_1,aws,api_calls,5,0.01,2026-11-24T10:15:00Z\n"


def write(text, name="usage.csv", age=600.0):
    """Write a file that was last written so many seconds before NOW."""
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    os.utime(name, (NOW.timestamp() - age,) * 2)
    return name


def reason(source, **options):
    (one,) = read(source, **options).refusals
    return one.reason


FORMS = {
    "table": lambda: pa.Table.from_pylist([ROW]),
    "batch": lambda: pa.RecordBatch.from_pylist([ROW]),
    "reader": lambda: pa.Table.from_pylist([ROW]).to_reader(),
    "frame": lambda: pd.DataFrame([ROW]),
    "dicts": lambda: [ROW],
    "generator": lambda: (row for row in [ROW]),
    "deque": lambda: deque([ROW]),
    "parquet": lambda: as_parquet(pa.Table.from_pylist([ROW])),
    "csv": lambda: write(HEADER + "cust_1,lst_1,aws,api_calls,12345678.000001,0.01,2026-11-24T10:15:00Z"),
    "path": lambda: Path(
        write("\ufeff" + HEADER + 'cust_1,lst_1,aws,"api_calls",12345678.000001,0.01,2026-11-24 10:15\r\n')
    ),
    "duckdb": lambda: duckdb.from_arrow(pa.Table.from_pylist([ROW])),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_line(form):
    found = read(FORMS[form]())
    (line,) = found.lines
    assert (line.customer_id, line.units, line.price) == ("cust_1", Decimal("12345678.000001"), Decimal("0.01"))
    assert (line.starts_at, line.rows) == (MOMENT.replace(minute=0), 1)
    assert found.digest == read([ROW]).digest


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("none.csv", "there is no file none.csv"),
        ("none.parquet", "there is no file none.parquet"),
        (Path("usage.xlsx"), "neither a .csv nor a .parquet file"),
        ("usage", "must be read from a destination, and there is none"),
        (5, "a int cannot be read as rows"),
        ({"customer_id": 1}, "a dict cannot be read as rows"),
        (None, "a NoneType cannot be read as rows"),
        (b"units", "a bytes cannot be read as rows"),
        (pd.Series([5]), "a Series cannot be read as rows"),
    ],
)
def test_sources_that_are_none(source, says):
    with pytest.raises(ConfigurationError, match=says):
        read(source)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEADER.replace("units,", "") + GOOD, "lacks units. It has: customer_id, listing_id, vendor, dimension, price"),
        (HEADER.replace(",", ";"), "seems not to be separated by commas"),
        ("", "It has: none"),
        (HEADER.replace("usage_at", "when"), "lacks usage_at"),
        (HEADER.replace("usage_at", "usage_at,units"), "has 2 columns named units"),
        (HEADER.replace("usage_at", "usage_at,Price"), "has 2 columns named price"),
        (HEADER + GOOD + 'cust_1,"lst_1,aws\n' + GOOD, "is damaged from line 3 on"),
        (HEADER.encode() + GOOD.replace("cust_1", "Müller").encode("latin-1"), "is not in UTF-8"),
    ],
)
def test_csv_files_that_fail(text, says):
    with pytest.raises(ConfigurationError, match=says):
        read(write(text))


def test_a_damaged_parquet_file():
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read(write("PAR1 not", "usage.parquet"))


def test_rows_are_numbered_by_the_lines_of_the_file():
    # An unquoted separator of thousands moves every column behind it.
    text = HEADER + GOOD + "\n" + GOOD.replace(",5,", ",1,000,") + "cust_1,lst_1\n" + GOOD.replace(",5,", ",x,")
    text += GOOD.replace("api_calls", '"two\nlines"') + GOOD.replace("0.01", "-1")
    found = read(write(text))
    parts = {row: reason.split("; ") for row, reason in refused(found).items()}
    assert {row: [part[:36] for part in reasons] for row, reasons in parts.items()} == {
        4: ["has 8 fields where the header has 7"],
        5: ["has 2 fields where the header has 7"],
        6: ["units: 'x' is not a plain number: wr", "price: '-1' is negative"],
        7: ["dimension: 'two\\nlines' has characte"],
        9: ["units: 'x' is not a plain number: wr", "price: '-1' is negative"],
    }
    assert found.rows == 6


def test_columns_are_found_in_any_case_and_by_mapping():
    table = pa.table({"CUSTOMER_ID": ["c"], "Listing": ["l"], "VENDOR": ["aws"], "sku": ["d"], "Units": ["1"],
                      "units_old": ["9"], "price": ["1"], "DAY": [date(2026, 11, 23)]})  # fmt: skip
    mapping = {"listing_id": "Listing", "dimension": "SKU", "usage_at": "day"}
    (line,) = read(table, "day", mapping=mapping).lines
    assert (line.customer_id, line.listing_id, line.dimension, line.units) == ("c", "l", "d", 1)


def test_a_mapping_that_misses():
    table = pa.Table.from_pylist([ROW])
    with pytest.raises(ConfigurationError, match=r"lacks units \(mapped to calls\)"):
        read(table, mapping={"units": "calls"})
    with pytest.raises(ConfigurationError, match=r"lacks title \(mapped to name\)"):
        read(table, mapping={"title": "name"})
    with pytest.raises(ConfigurationError, match=r"lacks usage_at \(mapped to day\)"):
        read(table, mapping={"usage_at": "day"})
    with pytest.raises(ConfigurationError, match="unit is not a usage column"):
        read(table, mapping={"unit": "units"})


def test_dicts_are_judged_row_by_row():
    rows = [usage(), usage(units=..., dimension="c"), "text", usage(UNITS="7", units=..., dimension="b"), ["x"]]
    found = read(rows)
    assert [line.units for line in found.lines] == [5, 7]
    assert refused(found) == {
        2: "units is missing",
        3: "is a str, not a row of columns and values",
        5: "is a list, not a row of columns and values",
    }


def test_floats_of_frames_and_arrow():
    floats = [17.0, 0.1, 0.1 + 0.2, float("nan"), float("inf")]
    rows = [{**ROW, "units": one, "dimension": f"d{n}"} for n, one in enumerate(floats)]
    for source in (pd.DataFrame(rows), pa.Table.from_pylist(rows)):
        found = read(source)
        assert [line.units for line in found.lines] == [17, Decimal("0.1")]
        third, fourth, fifth = found.refusals
        assert "use a DECIMAL or text column" in third.reason
        assert "units: NaN is not a number" in fourth.reason
        assert "units: Infinity is not a number" in fifth.reason


def test_numbers_of_numpy_are_those_of_python():
    units = [np.int64(5), np.float32(0.5), np.float64(0.25), np.uint8(7), np.float32(0.1), np.bool_(True)]
    rows = [usage(units=value, dimension=f"d{n}") for n, value in enumerate(units)]
    for source in (rows, pd.DataFrame(rows)):
        found = read(source)
        assert [str(line.units) for line in found.lines] == ["5", "0.5", "0.25", "7"]
        assert ["without exact digits" in one.reason for one in found.refusals] == [True, False]


def test_a_narrow_float_is_not_what_it_seems():
    table = pa.Table.from_pylist([ROW]).set_column(4, "units", pa.array([0.1], pa.float32()))
    assert "use a DECIMAL or text column" in reason(table)


def test_nulls_of_frames():
    frame = pd.DataFrame([{**ROW, "customer_id": f"cust_{n}"} for n in range(3)]).astype({"customer_id": "string"})
    frame.loc[1, "customer_id"] = pd.NA
    frame.loc[2, "usage_at"] = pd.NaT
    assert refused(read(frame)) == {2: "customer_id is missing", 3: "usage_at is missing"}
    numbers = pd.DataFrame([ROW, {**ROW, "dimension": "b"}]).assign(units=pd.array([5, None], dtype="Int64"))
    assert refused(read(numbers)) == {2: "units is missing"}


def test_moments_of_arrow():
    for type_, value in (("ns", 1_795_515_300_000_000_001), ("us", 1_795_515_300_000_000), ("s", 1_795_515_300)):
        for zone in (None, "UTC", "Europe/Berlin"):
            column = pa.array([value], pa.int64()).cast(pa.timestamp(type_, zone))
            (line,) = read(pa.Table.from_pylist([ROW]).set_column(6, "usage_at", column)).lines
            moment = datetime.fromtimestamp(1_795_515_300, UTC)
            assert line.starts_at == moment.replace(minute=0, second=0), (type_, zone)
    beyond = pa.array([2**61], pa.int64()).cast(pa.timestamp("us", "UTC"))
    assert "usage_at: " in reason(pa.Table.from_pylist([ROW]).set_column(6, "usage_at", beyond))
    column = pa.array([date(2026, 11, 23)])
    assert "has a date only" in reason(pa.Table.from_pylist([ROW]).set_column(6, "usage_at", column))


def test_wide_decimals_and_dictionary_columns():
    table = pa.Table.from_pylist([ROW])
    coded = table.set_column(0, "customer_id", table["customer_id"].dictionary_encode())
    assert read(coded).lines[0].customer_id == "cust_1"
    wide = table.set_column(4, "units", pa.array([Decimal("1." + "0" * 40)], pa.decimal256(76, 40)))
    assert read(wide).lines[0].units == 1


@pytest.mark.parametrize("form", ["csv", "parquet", "table", "frame", "dicts"])
def test_rows_are_numbered_through_all_batches(form, monkeypatch):
    monkeypatch.setattr(readers, "BATCH", 50)
    rows = [{**{name: str(value) for name, value in ROW.items()}, "units": f"-{n}"} for n in range(1, 124)]
    table = pa.Table.from_pylist(rows)
    if form == "csv":
        source = write(table.to_pandas().to_csv(index=False))
    else:
        source = {"parquet": as_parquet, "frame": pa.Table.to_pandas}.get(form, lambda one: one)(table)
        source = rows if form == "dicts" else source
    first = 2 if form == "csv" else 1
    found = read(source)
    (refusal,) = found.refusals
    assert (refusal.count, found.rows) == (123, 123)
    assert refusal.rows == tuple(range(first, first + 10))
    assert refusal.reason.startswith("units: '-1' is negative; units: '-2' is negative")


def test_an_empty_source_has_no_rows():
    sources = (write(HEADER), [], pa.Table.from_pylist([ROW]).slice(0, 0), pd.DataFrame([ROW]).iloc[:0])
    for source in sources:
        found = read(source)
        assert (found.rows, found.lines, found.refusals) == (0, (), ())


def test_the_name_of_a_source():
    """M8: two parts of one hour are told apart by where they come from."""
    assert source_name("a/usage.csv") == source_name(Path("a/usage.csv")) == str(Path.cwd() / "a" / "usage.csv")
    assert source_name(" product.usage ") == "product.usage"
    assert source_name("SQL:SELECT 1 ") == source_name("sql: SELECT 1") != source_name("sql:SELECT 2")
    assert source_name("sql:SELECT * FROM 'x.csv'").startswith("sql:")
    assert source_name([ROW]) == source_name(pd.DataFrame([ROW])) == "memory"
    assert read([ROW], named="mine").source == "mine"


def test_a_file_that_was_just_written_is_waited_for():
    """M7."""
    clock = FakeClock(NOW.timestamp())
    assert read(write(HEADER + GOOD, age=2), clock=clock).rows == 1
    assert clock.sleeps == [3.0]
    for age in (5, 3600, -3600):
        assert read(write(HEADER + GOOD, age=age), clock=(quiet := FakeClock(NOW.timestamp()))).rows == 1
        assert quiet.sleeps == []


def test_a_file_that_is_still_being_written_is_refused():
    """M7: `1` of `1000` was billed."""
    path = write(HEADER + GOOD.replace(",5,", ",1"), age=30)
    path = write(HEADER + "cust_1,lst_1,aws,api_calls,5,0.01,2026-11-24", age=30)
    with pytest.raises(ConfigurationError, match="its last line has no end: it may be incomplete"):
        read(path)
    assert read(write(HEADER + GOOD.rstrip(), age=61)).rows == 1
    write("PAR1", "usage.parquet", age=30)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read("usage.parquet")

    class Writer(FakeClock):
        def sleep(self, seconds):
            super().sleep(seconds)
            os.utime(path, (self.time(),) * 2)

    write(HEADER + GOOD, age=1)
    with pytest.raises(ConfigurationError, match="is being written"):
        read(path, clock=Writer(NOW.timestamp()))


@pytest.mark.parametrize("change", ["grows", "is rewritten", "is replaced"])
def test_a_file_that_changes_while_it_is_read_is_refused(change, monkeypatch):
    """M7: 28,400 of 32,000 were billed."""
    path = write(HEADER + GOOD * 100)
    monkeypatch.setattr(readers, "BATCH", 30)
    real, changed = readers.as_table, []

    def as_table(*arguments):
        if not changed:
            changed.append(True)
            if change == "grows":
                with Path(path).open("a") as file:
                    file.write(GOOD)
            elif change == "is rewritten":
                Path(path).write_text(HEADER + GOOD * 100)
            else:
                Path(write(HEADER + GOOD * 100, "other.csv")).replace(path)
        return real(*arguments)

    monkeypatch.setattr(readers, "as_table", as_table)
    with pytest.raises(ConfigurationError, match="changed while it was read"):
        read(path)
