"""I8 and I1: everything that a record holds reaches its row, by name or in `extra`; a child list is replaced whole."""

import json
from datetime import date, datetime, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automatum.endpoints import CUSTOMERS, ENDPOINTS, ENTITLEMENTS, PRIVATE_OFFERS, REVENUE
from automatum.schema.arrow_tables import Table
from automatum.schema.records import Rows

NOW = datetime(2026, 11, 24, 9, tzinfo=timezone.utc)


def page_of(table, records):
    found = table.identify(records)
    return Rows(found.keys, found.hashes, records, NOW, found.size)


def rows_of(endpoint, *records, lists=None):
    table = Table(endpoint)
    return {name: arrow.to_pylist() for name, arrow in table.arrow([page_of(table, records)], lists)}


def test_a_flat_customer_as_documented():
    record = {
        "id": "cust_12345678",
        "organizationId": "org_12345678",
        "vendor": "aws",
        "awsAccountId": "012345678901",
        "email": "a@example.com",
        "companyName": "Ünïcode & Söhne 株式会社",
        "status": "active",
        "createdAt": "2026-01-15T10:00:00Z",
        "updatedAt": "2026-01-15T10:00:00Z",
    }
    (row,) = rows_of(CUSTOMERS, record)["customers"]
    assert row["aws_account_id"] == row["cloud_identifier"] == "012345678901"
    assert row["company_name"] == "Ünïcode & Söhne 株式会社"
    assert row["updated_at"] == datetime(2026, 1, 15, 10, tzinfo=timezone.utc)
    assert row["extra"] is None


@pytest.mark.parametrize(("vendor", "column"), [("aws", "aws_account_id"), ("azure", "azure_tenant_id")])
def test_a_nested_customer_fills_the_same_columns(vendor, column):
    record = {
        "id": "cust_1",
        "vendor": vendor,
        "cloudIdentifier": "0042",
        "details": {"company": {"name": "Acme", "website": "acme.example"}, "contact": {"email": "a@b.c"}},
    }
    (row,) = rows_of(CUSTOMERS, record)["customers"]
    assert (row["company_name"], row["email"], row["cloud_identifier"], row[column]) == (
        "Acme",
        "a@b.c",
        "0042",
        "0042",
    )
    assert json.loads(row["extra"]) == {"details": {"company": {"website": "acme.example"}}}


def test_two_forms_that_disagree_are_both_kept():
    record = {"id": "c", "companyName": "A", "details": {"company": {"name": "B"}}}
    (row,) = rows_of(CUSTOMERS, record)["customers"]
    assert row["company_name"] == "A"
    assert json.loads(row["extra"]) == {"details": {"company": {"name": "B"}}}


def test_what_does_not_fit_its_column_is_kept_in_extra():
    record = {"id": "e", "value": "call us", "startDate": "2026-01-15T10:00:00Z", "autoRenew": "sometimes"}
    (row,) = rows_of(ENTITLEMENTS, record)["entitlements"]
    assert (row["value"], row["auto_renew"], row["start_date"]) == (None, None, date(2026, 1, 15))
    assert json.loads(row["extra"]) == {key: record[key] for key in ("value", "startDate", "autoRenew")}


def test_exact_numbers_survive_in_extra():
    record = {"id": "c", "rate": Decimal("0.1234567890123456789"), "big": Decimal(2**70)}
    (row,) = rows_of(CUSTOMERS, record)["customers"]
    assert row["extra"] == '{"big":1180591620717411303424,"rate":0.1234567890123456789}'


def test_dimensions_and_payments_are_rows_of_their_own():
    entitlement = {
        "id": "e",
        "dimensions": [{"apiKey": "calls", "units": 2, "x": 1}, "odd", {"key": "s", "price": "0.5"}],
    }
    tables = rows_of(ENTITLEMENTS, entitlement)
    assert tables["entitlements"][0]["extra"] is None
    assert [
        (one["position"], one["key"], one["quantity"], one["price"]) for one in tables["entitlement_dimensions"]
    ] == [
        (0, "calls", Decimal(2), None),
        (1, None, None, None),
        (2, "s", None, Decimal("0.5")),
    ]
    assert [one["extra"] for one in tables["entitlement_dimensions"]] == ['{"x":1}', '{"value":"odd"}', None]
    offer = {"id": "o", "pricing": {"paymentSchedule": [{"date": "2026-02-01", "amount": "10.50"}], "dimensions": [1]}}
    tables = rows_of(PRIVATE_OFFERS, offer)
    assert tables["private_offer_payments"][0]["amount"] == Decimal("10.5")
    assert json.loads(tables["private_offers"][0]["extra"]) == {"pricing": {"dimensions": [1]}}


def test_a_list_that_became_empty_removes_what_was_there():
    record = {"id": "e", "dimensions": []}
    gone = rows_of(ENTITLEMENTS, record, lists={"entitlement_dimensions": {"e": 1}})
    assert [(one["position"], one["_removed"]) for one in gone["entitlement_dimensions"]] == [(0, True)]
    assert "entitlement_dimensions" not in rows_of(ENTITLEMENTS, record, lists={})
    assert "entitlement_dimensions" not in rows_of(ENTITLEMENTS, record)


def test_a_parent_read_twice_in_one_package_removes_what_its_second_list_lacks():
    lists = {}
    rows_of(ENTITLEMENTS, {"id": "e", "dimensions": [{"key": "a"}, {"key": "b"}]}, lists=lists)
    again = rows_of(ENTITLEMENTS, {"id": "e", "dimensions": [{"key": "a"}]}, lists=lists)
    assert [(one["position"], one["_removed"]) for one in again["entitlement_dimensions"]] == [(0, None), (1, True)]
    later = rows_of(ENTITLEMENTS, {"id": "e", "dimensions": [{"key": "a"}]}, lists=lists)
    assert [(one["position"], one["_removed"]) for one in later["entitlement_dimensions"]] == [(0, None)]


def test_keys():
    assert Table(CUSTOMERS).keys([{"id": "a"}, {"id": 7}, {"id": None}, {}, {"id": ""}]) == ["a", "7", None, None, None]
    first, same, other, none = Table(REVENUE).keys(
        [
            {"date": "2026-01-01", "vendor": "aws"},
            {"date": "2026-01-01T00:00:00Z", "vendor": "aws"},
            {"vendor": "aws"},
            {},
        ]
    )
    assert first == same != other
    assert none is None
    odd = Table(REVENUE).keys([{"date": "0000-01-01"}, {"date": "0000-01-02"}, {"date": {"day": 1}}])
    assert len({*odd, None}) == 4


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.table)
@given(data=st.data())
def test_nothing_that_was_sent_is_lost(endpoint, data):
    paths = [place.path for column in endpoint.columns for place in column.places]
    paths += [path for child in endpoint.children for path in child.places]
    tops = sorted({path.split(".")[0] for path in paths})
    record = data.draw(st.dictionaries(st.one_of(st.sampled_from(tops), st.text(min_size=1, max_size=4)), json_values))
    record["id"] = "x"
    table = Table(endpoint)
    tables = {name: arrow.to_pylist() for name, arrow in table.arrow([page_of(table, [record])])}
    (row,) = tables.pop(endpoint.table)
    extra = json.loads(row["extra"] or "{}")
    children = [one for rows in tables.values() for one in rows]
    for key, value in record.items():
        if value is None or key in extra or not (value or value in (0, False, "")):
            continue
        held = [one for name, one in row.items() if name not in ("extra", "_row_hash")]
        # Taken by a column, whole or in part, or spread over child rows: what was taken is there to be seen.
        assert any(one is not None for one in held) or children or isinstance(value, dict), (key, value, row)
        if isinstance(value, (str, int, bool)):
            assert any(str(one).lower().startswith(str(value).lower()[:4]) or one is not None for one in held)


@pytest.mark.slow
@given(st.dictionaries(st.text(max_size=5), json_values), st.dictionaries(st.text(max_size=5), json_values))
def test_the_hash_differs_when_and_only_when_the_record_does(one, other):
    table = Table(CUSTOMERS)
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (table.identify([one]).hashes == table.identify([other]).hashes) is same
    assert table.identify([one]).hashes == table.identify([dict(reversed(list(one.items())))]).hashes


def test_a_new_column_changes_the_hash_so_that_unchanged_rows_get_it():
    from dataclasses import replace

    fewer = replace(CUSTOMERS, columns=CUSTOMERS.columns[:-1])
    assert Table(CUSTOMERS).identify([{"id": "a"}]).hashes != Table(fewer).identify([{"id": "a"}]).hashes


def test_the_hashes_of_earlier_versions_are_kept():
    """I3: destinations hold them. Another hash loads every row again, and starts a new version of it in the history."""
    assert {one.table: Table(one).identify([{"id": "a"}]).hashes[0] for one in ENDPOINTS} == {
        "customers": "2f3ec09ba8609167",
        "entitlements": "24563dda2209c66d",
        "private_offers": "36e9a899b7cfb8be",
        "analytics_revenue": "0fcd1af1c5adea6d",
    }


def test_values_that_leave_their_column_null_are_counted_by_name_i8():
    """I8: they are in `extra`; what was only rounded, and what is null, does not count."""
    table = Table(ENTITLEMENTS)
    records = [
        {"id": "a", "startDate": "01/02/2026", "value": "0.0000000001", "planId": {"name": "x"}, "expiresAt": None},
        {"id": "b", "startDate": "2026-02-01T10:00:00Z", "dimensions": [{"price": "free"}, {"price": 1}]},
    ]
    table.arrow([page_of(table, records)])
    table.arrow([page_of(table, records[:1])])
    assert dict(table.unread) == {"start_date": 2, "plan_id": 2, "entitlement_dimensions.price": 1}
