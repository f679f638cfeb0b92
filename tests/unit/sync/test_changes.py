"""I1, I2: which rows of a page are loaded, how they are counted, and which rows are missing from a list."""

from datetime import datetime, timezone

import pytest

from automatum.endpoints import ENTITLEMENTS
from automatum.schema.arrow_tables import Table
from automatum.sync.changes import Changes
from automatum.sync.rejections import Rejections
from automatum.sync.results import DELETED, LOAD_AGAIN, Counts, KnownRows

NOW = datetime(2026, 11, 24, 9, tzinfo=timezone.utc)
TABLE = Table(ENTITLEMENTS)
CHILD = "entitlement_dimensions"


def row(key, dimensions=1):
    return {"id": key, "dimensions": [{"key": f"d{number}"} for number in range(dimensions)]}


def hash_of(record):
    return TABLE.identify([record]).hashes[0]


def take(records, hashes, children=None):
    """Keys of the rows that are loaded, and what they count as."""
    known = KnownRows(dict(hashes), None if children is None else {CHILD: children})
    changes = Changes(TABLE, known, Counts(), Rejections(TABLE))
    return changes.take(TABLE.identify(records), records, NOW, set()).keys, changes.counts


@pytest.mark.parametrize(
    ("was", "counts"),
    [
        (None, Counts(inserted=1)),
        (DELETED, Counts(inserted=1)),
        ("another", Counts(updated=1)),
        (LOAD_AGAIN, Counts(updated=1)),
    ],
)
@pytest.mark.parametrize("beside", [[], [row("b")]], ids=["alone", "beside an unchanged row"])
def test_a_row_is_new_or_changed_by_what_the_destination_has(was, counts, beside):
    hashes = {"b": hash_of(row("b"))} | ({} if was is None else {"a": was})
    counts = Counts(counts.inserted, counts.updated, unchanged=len(beside))
    assert take([row("a"), *beside], hashes) == (["a"], counts)


@pytest.mark.parametrize("beside", [[], [row("b")]], ids=["alone", "beside a new row"])
def test_an_unchanged_row_is_loaded_again_if_the_destination_has_lost_entries_of_its_list(beside):
    hashes = {"a": hash_of(row("a", 2))}
    assert take([row("a", 2), *beside], hashes, {"a": 2})[0] == [one["id"] for one in beside]
    assert "a" in take([row("a", 2), *beside], hashes, {"a": 1})[0]


def test_the_hash_of_a_row_does_not_depend_on_the_rows_before_it():
    records = [row("a"), row("b"), row("c")]
    assert TABLE.identify(records).hashes == [hash_of(one) for one in records]


def test_a_row_that_is_marked_deleted_is_not_missing():
    known = KnownRows({"dead": DELETED, "live": "x", "again": LOAD_AGAIN, "listed": "x"})
    changes = Changes(TABLE, known, Counts(), Rejections(TABLE))
    assert changes.missing({"listed"}) == ["live", "again"]
