"""I1, I9: a table is not synced by another key than the one that its rows were loaded by; the destination knows it."""

import pytest

from tests.support.desk import SMALL, api_requests

pytestmark = pytest.mark.slow

CHANGED = {"customers": {"key": ["vendor", "id"]}}


@pytest.fixture
def loaded(small, desk):
    """The customers are in the destination; the log of the sandbox is empty."""
    assert desk.sync("customers").code == 0
    return small


def refused(made, *words):
    assert made.code == 78, made
    for word in ("sources.automatum.endpoints.customers.key", *words):
        assert word in made.says, made


def test_a_changed_key_is_refused_before_a_request(loaded, desk):
    before, requests = desk.dump(), api_requests(loaded)
    desk.set(endpoints=CHANGED)
    for command in (("sync", "customers"), ("sync",), ("sync", "customers", "--dry-run"), ("status", "--verify")):
        refused(desk.run(*command), "is vendor, id", "loaded by the key id", "another dataset")
    assert api_requests(loaded) == requests
    assert desk.dump() == before
    desk.set(endpoints=None)
    assert desk.sync("customers").json["tables"]["customers"]["unchanged"] == SMALL["customers"]


def test_another_dataset_and_another_table_are_free(loaded, desk):
    """Another dataset is the way out that the message names."""
    desk.set(endpoints=CHANGED)
    assert desk.sync("customers", "--dataset", "by_vendor").code == 0
    assert desk.sync("entitlements").code == 0


def test_a_key_that_failed_can_be_set_back(small, desk):
    """No record has the field, so no row is loaded by it."""
    desk.set(endpoints={"customers": {"key": "uuid"}})
    assert desk.sync("customers").code != 0
    desk.set(endpoints=None)
    made = desk.sync("customers")
    assert made.code != 78, made


def test_an_unfinished_first_sweep_remembers_its_key(start, desk):
    """I9: its pages do, on any machine."""
    desk.use(start(**{**SMALL, "customers": 450}))
    assert desk.sync("customers", "--max-requests", "3").code == 75
    desk.set(endpoints=CHANGED)
    refused(desk.sync("customers"), "loaded by the key id")
