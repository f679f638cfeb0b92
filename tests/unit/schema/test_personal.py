"""The settings `personal` and `personal_key`: what is left of a record."""

import hashlib
import hmac
import json
import random
from datetime import datetime, timezone

import pytest

from automatum.core.errors import ConfigurationError
from automatum.core.redaction import Secret
from automatum.endpoints import CUSTOMERS, ENDPOINTS, ENTITLEMENTS, PRIVATE_OFFERS
from automatum.schema.arrow_tables import Table
from automatum.schema.personal import customer_column, forgetting, read_policies
from automatum.schema.records import Rows

KEY = Secret("0123456789abcdef")


def policy(rules, table="customers"):
    return read_policies(ENDPOINTS, rules, KEY)[table]


def hashed(text):
    return hmac.new(KEY.reveal().encode(), text.encode(), hashlib.sha256).hexdigest()


def test_equal_values_have_equal_hashes_at_every_place():
    records = [
        {"id": "a", "email": "x@example.com"},
        {"id": "b", "details": {"contact": {"email": "x@example.com", "role": "buyer"}}},
        {"id": "c", "email": 12},
        {"id": "d", "email": None},
        {"id": "e"},
    ]
    before = json.dumps(records)
    found = policy({"customers.email": "hash"}).apply(records)
    assert json.dumps(records) == before
    assert found[0]["email"] == found[1]["details"]["contact"]["email"] == hashed("x@example.com")
    assert found[1]["details"]["contact"]["role"] == "buyer"
    assert found[2]["email"] == hashed("12")
    assert found[3:] == records[3:]


def test_a_dropped_value_is_gone_with_every_form_of_its_parents():
    records = [
        {"id": "a", "email": "canary"},
        {"id": "b", "email": {"work": "canary"}, "details": "canary"},
        {"id": "c", "details": {"contact": ["canary"], "company": {"name": "left"}}},
        {"id": "d", "email": ["canary"], "details": [{"contact": {"email": "canary"}}]},
    ]
    found = policy({"customers.email": "drop"}).apply(records)
    assert "canary" not in json.dumps(found)
    assert found[2]["details"] == {"company": {"name": "left"}}


def test_columns_of_child_tables():
    rules = {"entitlement_dimensions": {"name": "drop", "extra": "drop"}}
    records = [
        {"id": "e", "dimensions": [{"key": "k", "name": "canary", "more": "canary", "quantity": "canary"}, "canary"]},
        {"id": "f", "dimensions": {"name": "canary"}},
    ]
    found = policy(rules, "entitlements").apply(records)
    assert found == [{"id": "e", "dimensions": [{"key": "k"}, {}]}, {"id": "f"}]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.table)
def test_nothing_is_left_for_extra_and_every_column_stays(endpoint):
    """Property: with `extra` dropped, any record fills its columns as before, and `extra` with nothing.

    Keys fit their columns here, and so do values that several columns read: what misfits one of them is another's.
    """
    seed = random.randrange(10**9)
    print("seed", seed)
    chance = random.Random(seed)
    values = ("text", 7, "2026-01-02", "12.5", True, None, {"a": "canary"}, ["canary"], "aws")
    records = []
    for at in range(300):
        record = {"id": f"r{at}", "vendor": chance.choice(("aws", "azure")), "secretField": "canary"}
        for column in endpoint.columns:
            for place in column.places:
                steps, inside = place.path.split("."), record
                for step in steps[:-1]:
                    inside = inside.setdefault(step, {})
                    if not isinstance(inside, dict):
                        break
                else:
                    if chance.random() < 0.6 and steps[-1] not in ("id", "vendor"):
                        same = [one for one in endpoint.columns if place.path in {at.path for at in one.places}]
                        fits = column.name in endpoint.key or len(same) > 1
                        own = "2026-01-02" if column.type == "date" else chance.choice(("text", "other"))
                        inside[steps[-1]] = own if fits else chance.choice(values)
        records.append(record)
    rules = {f"{endpoint.table}.extra": "drop"}
    dropped = policy(rules, endpoint.table).apply(records)

    def rows(of):
        keys = [f"k{at}" for at in range(len(of))]
        page = Rows(keys, keys, of, datetime(2026, 1, 1, tzinfo=timezone.utc))
        return Table(endpoint).arrow([page])[0][1]

    before, after = rows(records), rows(dropped)
    assert set(after["extra"].to_pylist()) == {None}
    assert before["extra"].null_count == 0
    for name in after.schema.names:
        assert name == "extra" or after[name].to_pylist() == before[name].to_pylist(), name


def test_a_forgotten_customer_leaves_no_personal_value():
    record = {"id": "c", "name": "canary", "email": "canary", "details": {"a": "canary"}, "status": "active"}
    assert forgetting(CUSTOMERS).apply([record]) == [{"id": "c", "status": "active"}]
    offer = {"id": "o", "customerId": "c", "createdBy": "canary", "paymentSchedule": [{"amount": 3, "x": "canary"}]}
    found = forgetting(PRIVATE_OFFERS).apply([offer])
    assert found == [{"id": "o", "customerId": "c", "paymentSchedule": [{"amount": 3}]}]
    assert customer_column(ENTITLEMENTS).name == "customer_id"


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"customers.emial": "hash"}, "customers.email"),
        ({"costumers.email": "hash"}, "customers.email"),
        ({"customers.email": "hsah"}, "hash"),
        ({"customers.id": "drop"}, "identifies"),
        ({"entitlements.customer_id": "hash"}, "identifies"),
        ({"customers.organization_id": "drop"}, "identifies"),
        ({"customers.vendor": "drop"}, "identifies"),
        ({"customers.extra": "hash"}, "drop"),
        ({"customers.created_at": "hash"}, "timestamp"),
        ({"customers.aws_account_id": "drop"}, "customers.cloud_identifier"),
        ({"customers.aws_account_id": "drop", "customers.cloud_identifier": "hash"}, "same field"),
        ("customers.email", "table"),
    ],
)
def test_refused(rules, words):
    with pytest.raises(ConfigurationError) as error:
        read_policies(ENDPOINTS, rules, KEY)
    assert words in str(error.value)


@pytest.mark.parametrize("key", [None, Secret(""), Secret("short")])
def test_a_hash_needs_a_key(key):
    with pytest.raises(ConfigurationError, match="personal_key"):
        read_policies(ENDPOINTS, {"customers.email": "hash"}, key)
    assert read_policies(ENDPOINTS, {"customers.email": "drop"}, key)


def test_no_policy_is_nothing():
    assert read_policies(ENDPOINTS, None, None) == {} == read_policies(ENDPOINTS, {"customers.email": "keep"}, None)
