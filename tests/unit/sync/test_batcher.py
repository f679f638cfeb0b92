"""I1: a row that cannot be converted is rejected by itself, and the lists of its neighbours lose nothing."""

from datetime import datetime, timedelta, timezone

from automatum.endpoints import ENTITLEMENTS
from automatum.schema.arrow_tables import Table
from automatum.schema.records import Rows
from automatum.sync.batcher import Batcher
from automatum.sync.rejections import Rejections

NOW = datetime(2026, 11, 24, 9, tzinfo=timezone.utc)


def record(key, **fields):
    return {"id": key, **fields}


def given(batcher, *records):
    found = {}
    assert not list(batcher.give(Rows([one["id"] for one in records], ["hash"] * len(records), list(records), NOW)))
    for name, table in batcher.flush():
        found.setdefault(name, []).extend(table.to_pylist())
    return found


def test_one_row_in_a_batch_that_cannot_be_converted_i1():
    table = Table(ENTITLEMENTS)
    rejections = Rejections(table)
    batcher = Batcher(table, rejections)
    # In the destination each list has two entries. All but one become shorter.
    batcher.lists = {"entitlement_dimensions": {f"e{i}": 2 for i in range(9)}}
    records = [record(f"e{i}", dimensions=[{"key": "a"}]) for i in range(9)]
    records[4] = record("e4", dimensions=[{"key": "a"}], odd=object())
    found = given(batcher, *records)
    assert [one["id"] for one in found["entitlements"]] == [f"e{i}" for i in range(9) if i != 4]
    removed = [one["entitlement_id"] for one in found["entitlement_dimensions"] if one["_removed"]]
    assert removed == [f"e{i}" for i in range(9) if i != 4]
    (rejected,) = rejections.take(NOW).to_pylist()
    assert (rejected["key"], rejected["fields"]) == ("e4", "dimensions, id, odd")
    assert rejected["reason"] == "the record cannot be converted (TypeError)"

    assert rejections.take(NOW) is None
    given(batcher, record("e4", dimensions=[]))
    (resolved,) = rejections.take(NOW + timedelta(hours=1)).to_pylist()
    assert (resolved["rejection_id"], resolved["resolved_at"]) == ("e4", NOW)
