"""A `base_url` with a path: the API behind a gateway or a proxy, by the public command line."""

import pytest

from tests.support.desk import SMALL
from tests.support.front import Gateway
from tests.support.pushing import rows_of, write_csv

GONE = 3
"""Rows that are deleted at the API, and are then asked for at their own URLs."""


@pytest.fixture
def gateway(desk):
    with Gateway("/automatum", **SMALL) as served:
        desk.use(served)
        desk.set(base_url=f"{served.base_url}/")
        yield served


@pytest.mark.slow
def test_every_command_works_behind_a_gateway(gateway, desk):
    """Token, lists, details, reports, metering and applications; nothing is asked for outside of the path."""
    sandbox = gateway.sandbox
    assert desk.run("check", "--json").code == 0
    assert desk.sync().json["verdict"] == "complete"
    sandbox.rows.delete("customers", sandbox.rows.ids("customers")[:GONE])
    again = desk.sync("customers").json
    assert again["tables"]["customers"]["deleted"] == GONE
    assert desk.run("sync", "--dry-run", "--json").code == 0
    assert desk.run("status", "--verify", "--json").code == 0
    assert desk.run("apps", "list", "--json").code == 0
    pushed = desk.run("push", "--usage", write_csv(rows_of(sandbox)), "--confirm", "--new-ledger", "--json")
    assert pushed.code == 0, pushed
    assert pushed.json["lines"]["accepted"] > 0
    assert gateway.elsewhere == []


def test_two_paths_of_one_gateway_are_two_apis_i4_i5(gateway, desk, tmp_path):
    """They share neither the count of requests nor the ledger."""
    desk.run("check", "--json")
    first = sorted((tmp_path / "home").rglob("quota-*.sqlite"))
    desk.set(base_url=gateway.base_url.replace("/automatum", "/other"))
    refused = desk.run("check", "--json")
    assert refused.code == 78
    assert f"Check sources.automatum.base_url ({gateway.base_url.replace('/automatum', '/other')})" in refused.says
    assert len(first) == 1
    assert len(list((tmp_path / "home").rglob("quota-*.sqlite"))) == 2
    assert gateway.elsewhere == ["/other/oauth/token"]
