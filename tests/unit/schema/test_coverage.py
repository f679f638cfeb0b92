"""I8: what the columns do not take of the records is counted by name, so that a setting can be proposed for it."""

import json

from hypothesis import given
from hypothesis import strategies as st

from automatum.endpoints import CUSTOMERS, ENTITLEMENTS, Column, Endpoint, FieldPath
from automatum.schema.arrow_tables import Table
from automatum.schema.child_tables import ChildLists
from automatum.schema.coverage import UnknownField, coverage_of, key_candidates
from automatum.schema.records import Row
from tests.unit.schema.test_arrow_tables import NOW


def plain(*columns):
    return Endpoint("t", "t", "list", "t", "read:t", ("id",), columns)


ID = Column("id", "text", (FieldPath("id"),))
TIER = Column("tier", "text", (FieldPath("tier"), FieldPath("plan.tier")))
AMOUNT = Column("amount", "decimal", (FieldPath("amount"),))


def test_columns_that_stay_null_values_that_do_not_fit_and_fields_without_a_column():
    records = [
        {"id": "a", "amount": "many", "name": "x", "nested": {"at": "2026-01-02", "deep": {"n": 1}}, "gone": None},
        {"id": "b", "amount": 5, "nested": {"at": "2026-01-03"}, "tags": [1], "open": True, "paid": "1.50"},
    ]
    found = coverage_of(plain(ID, TIER, AMOUNT), records)
    assert (found.table, found.records) == ("t", 2)
    assert found.null_columns == ("tier",)
    assert found.misfits == {"amount": 1}
    assert {(one.path, one.type, one.count) for one in found.unknown} == {
        ("name", "text", 1),
        ("nested.at", "date", 2),
        ("nested.deep.n", "bigint", 1),
        ("tags", "list", 1),
        ("open", "bool", 1),
        ("paid", "decimal", 1),
    }


def test_identifiers_of_digits_are_text_and_mixed_values_too():
    records = [{"id": "a", "no": "0012", "mixed": 1, "sum": 1}, {"id": "b", "no": "0013", "mixed": "x", "sum": 2.5}]
    types = {one.path: one.type for one in coverage_of(plain(ID), records).unknown}
    assert types == {"no": "text", "mixed": "text", "sum": "decimal"}


def test_child_tables_are_covered_too():
    records = [{"id": "e1", "dimensions": [{"key": "api", "tier": 1}, "odd"]}, {"id": "e2", "dimensions": []}]
    (child,) = coverage_of(ENTITLEMENTS, records).children
    assert (child.table, child.records) == ("entitlement_dimensions", 2)
    assert "key" not in child.null_columns
    assert child.unknown == (UnknownField("tier", "bigint", 1), UnknownField("value", "text", 1))
    (without,) = coverage_of(ENTITLEMENTS, [{"id": "e1", "meters": [{"key": "api"}]}]).children
    assert without.records == 0


def test_a_field_with_a_similar_name_is_proposed_for_a_column_that_stays_null():
    records = [{"_id": "a", "account": {"companyName": "x"}, "emailAddr": "y", "state": "active", "created_at": "z"}]
    found = coverage_of(CUSTOMERS, records).likely_places()
    assert found["id"] == "_id"
    assert found["company_name"] == "account.companyName"
    assert found["created_at"] == "created_at"
    assert len(set(found.values())) == len(found)


def test_fields_that_can_be_a_key_are_those_that_differ_in_every_record():
    records = [{"n": 1, "name": "x", "orderId": "1", "_id": 5}, {"n": 2, "name": "x", "orderId": "2", "_id": 6}]
    assert key_candidates(records) == ["_id", "orderId", "n"]
    assert key_candidates([]) == []
    assert key_candidates([{"id": True}, {"id": None}]) == []


_PLAIN = st.sampled_from([None, True, 1, "x", "", "2026-01-01", [], [1]])
_VALUES = st.one_of(_PLAIN, st.dictionaries(st.sampled_from(["a", "b.c", "tier"]), _PLAIN, max_size=2))


@given(st.dictionaries(st.sampled_from(["id", "tier", "plan", "amount", "other", "x.y"]), _VALUES, max_size=5))
def test_what_is_neither_unknown_nor_a_misfit_is_not_in_extra(record):
    """The counts agree with what a sync would leave in `extra`."""
    endpoint = plain(ID, TIER, AMOUNT)
    found = coverage_of(endpoint, [record])
    ((_, table),) = Table(endpoint).arrow([Row("k", "h", record, NOW)], ChildLists())
    extra = json.loads(table["extra"][0].as_py() or "{}")
    if extra and not found.misfits:
        named = {one.path.partition(".")[0] for one in found.unknown}
        assert {name for name in extra if "." not in name and _has_value(extra[name])} <= named
    if not extra:
        assert not found.unknown
        assert not found.misfits


def _has_value(value):
    if isinstance(value, dict):
        return any("." not in key and _has_value(one) for key, one in value.items()) or not value
    return value is not None
