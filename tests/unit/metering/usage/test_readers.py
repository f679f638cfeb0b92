"""Usage from files, Arrow, frames and dicts keeps all its digits, and what cannot be read is named."""

from collections import deque
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from automatum.core.errors import ConfigurationError
from automatum.metering.model import UsageRow
from automatum.metering.usage.usage import read_usage
from automatum.metering.usage.validation import validate
from tests.support.metering_rows import MOMENT, NOW, ROW, UTC, as_parquet, judge, usage

HEADER = "customer_id,listing_id,vendor,dimension,units,price,usage_at\n"


GOOD = "cust_1,lst_1,aws,api_calls,5,0.01,2026-11-24T10:15:00Z\n"


def write(text, name="usage.csv"):
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return name


def refusal(source, **options):
    (one,) = judge(source, **options)
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
def test_every_form_gives_the_same_row(form):
    (row,) = judge(FORMS[form]())
    assert row == UsageRow(
        1, "aws", "lst_1", "cust_1", "api_calls", Decimal("12345678.000001"), Decimal("0.01"), MOMENT, MOMENT.date()
    )


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
    ],
)
def test_sources_that_are_none(source, says):
    with pytest.raises(ConfigurationError, match=says):
        read_usage(source)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEADER.replace("units,", "") + GOOD, "lacks units. It has: customer_id, listing_id, vendor, dimension, price"),
        (HEADER.replace(",", ";"), "seems not to be separated by commas"),
        ("", "It has: none"),
        (HEADER.replace("usage_at", "when"), "lacks usage_at or usage_date"),
        (HEADER.replace("usage_at", "Units"), "lacks usage_at or usage_date"),
        (HEADER.replace("usage_at", "usage_at,units"), "has 2 columns named units"),
        (HEADER + 'cust_1,"lst_1,aws\n' + GOOD, "is damaged from line"),
        (HEADER.encode() + GOOD.replace("cust_1", "Müller").encode("latin-1"), "is not in UTF-8"),
    ],
)
def test_csv_files_that_fail(text, says):
    with pytest.raises(ConfigurationError, match=says):
        list(read_usage(write(text)))


def test_a_damaged_parquet_file():
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_usage(write("PAR1 not", "usage.parquet"))


def test_rows_of_a_csv_file_that_are_none_are_named():
    # An unquoted separator of thousands moves every column behind it.
    text = HEADER + GOOD + "\n" + GOOD.replace(",5,", ",1,000,") + "cust_1,lst_1\n" + GOOD
    first, second, third, last = judge(write(text))
    assert (second.row, second.reason) == (3, "has 8 fields where the header has 7")
    assert (third.row, third.reason) == (4, "has 2 fields where the header has 7")
    assert (first.row, last.row, type(last)) == (1, 5, UsageRow)


def test_columns_are_found_in_any_case_and_by_mapping():
    table = pa.table({"CUSTOMER_ID": ["c"], "Listing": ["l"], "VENDOR": ["aws"], "sku": ["d"], "Units": ["1"],
                      "units_old": ["9"], "price": ["1"], "DAY": [date(2026, 11, 23)]})  # fmt: skip
    mapping = {"listing_id": "Listing", "dimension": "SKU", "usage_date": "day"}
    (row,) = validate(read_usage(table, mapping=mapping), "day", lambda: NOW)
    assert (row.customer_id, row.listing_id, row.dimension, row.units) == ("c", "l", "d", 1)


def test_a_mapping_that_misses():
    table = pa.Table.from_pylist([ROW])
    with pytest.raises(ConfigurationError, match=r"lacks units \(mapped to calls\)"):
        read_usage(table, mapping={"units": "calls"})
    with pytest.raises(ConfigurationError, match=r"lacks title \(mapped to name\)"):
        read_usage(table, mapping={"title": "name"})
    with pytest.raises(ConfigurationError, match=r"lacks usage_date \(mapped to day\)"):
        read_usage(table, mapping={"usage_date": "day"})
    with pytest.raises(ConfigurationError, match="unit is not a usage column"):
        read_usage(table, mapping={"unit": "units"})


def test_dicts_are_judged_row_by_row():
    rows = [usage(), usage(units=...), "text", usage(UNITS="7", units=...), ["x"]]
    found = judge(rows)
    assert [one.row for one in found] == [1, 2, 3, 4, 5]
    assert found[1].reason == "units is missing"
    assert found[2].reason == "is a str, not a row of columns and values"
    assert found[3].units == 7


def test_floats_of_frames_and_arrow():
    floats = [17.0, 0.1, 0.1 + 0.2, float("nan"), float("inf")]
    for source in (pd.DataFrame([{**ROW, "units": one} for one in floats]),
                   pa.Table.from_pylist([{**ROW, "units": one} for one in floats])):  # fmt: skip
        first, second, third, fourth, fifth = judge(source)
        assert (first.units, second.units) == (17, Decimal("0.1"))
        assert "use a DECIMAL or text column" in third.reason
        assert "units: NaN is not a number" in fourth.reason
        assert "units: Infinity is not a number" in fifth.reason


def test_a_narrow_float_is_not_what_it_seems():
    table = pa.Table.from_pylist([ROW]).set_column(4, "units", pa.array([0.1], pa.float32()))
    assert "use a DECIMAL or text column" in refusal(table)


def test_nulls_of_frames():
    frame = pd.DataFrame([ROW, ROW, ROW]).astype({"customer_id": "string"})
    frame.loc[1, "customer_id"] = pd.NA
    frame.loc[2, "usage_at"] = pd.NaT
    good, second, third = judge(frame)
    assert isinstance(good, UsageRow)
    assert second.reason == "customer_id is missing"
    assert third.reason == "usage_at (or usage_date) is missing"
    numbers = pd.DataFrame([ROW, ROW]).assign(units=pd.array([5, None], dtype="Int64"))
    assert [getattr(one, "reason", None) for one in judge(numbers)] == [None, "units is missing"]


def test_moments_of_arrow():
    for type_, value in (("ns", 1_795_515_300_000_000_001), ("us", 1_795_515_300_000_000), ("s", 1_795_515_300)):
        for zone in (None, "UTC", "Europe/Berlin"):
            column = pa.array([value], pa.int64()).cast(pa.timestamp(type_, zone))
            (row,) = judge(pa.Table.from_pylist([ROW]).set_column(6, "usage_at", column))
            assert row.used_at == datetime.fromtimestamp(1_795_515_300, UTC), (type_, zone)
    beyond = pa.array([2**61], pa.int64()).cast(pa.timestamp("us", "UTC"))
    assert "usage_at: " in refusal(pa.Table.from_pylist([ROW]).set_column(6, "usage_at", beyond))
    column = pa.array([date(2026, 11, 23)])
    assert "has a date only" in refusal(pa.Table.from_pylist([ROW]).set_column(6, "usage_at", column))


def test_dictionary_columns():
    table = pa.Table.from_pylist([ROW])
    coded = table.set_column(0, "customer_id", table["customer_id"].dictionary_encode())
    assert judge(coded)[0].customer_id == "cust_1"


def test_a_source_is_read_in_pieces():
    """Bounded memory: the second batch is not asked for before the first is used up."""
    asked = []

    def batches():
        for number in range(3):
            asked.append(number)
            yield pa.RecordBatch.from_pylist([ROW] * 10)

    reader = pa.RecordBatchReader.from_batches(pa.Table.from_pylist([ROW]).schema, batches())
    rows = read_usage(reader)
    for _ in range(10):
        next(rows)
    assert asked == [0]
    assert len(list(rows)) == 20


def test_an_empty_source_has_no_rows():
    assert judge(write(HEADER)) == []
    assert judge([]) == []
    assert judge(pa.Table.from_pylist([ROW]).slice(0, 0)) == []
    assert judge(pd.DataFrame([ROW]).iloc[:0]) == []
