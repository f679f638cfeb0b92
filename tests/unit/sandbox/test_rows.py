"""Generated rows, their order, and changes to them."""

import tracemalloc
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest

from automatum_sandbox import Sandbox, SandboxConfig
from automatum_sandbox.data.timestamps import parse_timestamp

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize("traps", [False, True])
@pytest.mark.parametrize("order", ["created_asc", "created_desc", "updated_asc", "updated_desc", "random"])
def test_orders(order: Any, traps: bool) -> None:
    config = SandboxConfig(order=order, now=NOW, customers=60, traps=traps)
    sandbox = Sandbox(config)
    new = sandbox.rows.insert("customers")[0]
    changed = sandbox.rows.ids("customers")[30]
    sandbox.rows.change("customers", changed, {"status": "inactive"})
    ids = sandbox.rows.ids("customers")
    created = sorted(ids, key=lambda id_: (_moment(sandbox.rows.get("customers", id_), "createdAt"), id_))
    updated = sorted(ids, key=lambda id_: (_moment(sandbox.rows.get("customers", id_), "updatedAt"), id_))
    assert len(set(ids)) == len(ids) == 61
    if order == "random":
        assert ids not in (created, created[::-1], updated, updated[::-1])
        assert (ids[30], ids[-1]) == (changed, new)
        assert Sandbox(config).rows.ids("customers") == ids[:-1]
        return
    down, wanted = order.endswith("desc"), created if order.startswith("created") else updated
    stamp = "createdAt" if order.startswith("created") else "updatedAt"
    moments = [_moment(sandbox.rows.get("customers", id_), stamp) for id_ in ids]
    assert moments == sorted(moments, reverse=down)
    assert down or ids == wanted


@pytest.mark.parametrize("traps", [False, True])
def test_the_same_seed_gives_the_same_rows(traps: bool) -> None:
    configs = (SandboxConfig(seed=seed, now=NOW, traps=traps) for seed in (3, 3, 4))
    first, second, other = (Sandbox(config).rows.all("entitlements") for config in configs)
    assert first == second
    assert first != other


def test_traps_are_edge_cases() -> None:
    sandbox = Sandbox(SandboxConfig(now=NOW, traps=True))
    customers, entitlements = sandbox.rows.all("customers"), sandbox.rows.all("entitlements")
    offers = sandbox.rows.all("private_offers")
    accounts = [row["awsAccountId"] for row in customers if row.get("awsAccountId")]
    assert any(account.startswith("0") for account in accounts)
    assert all(len(account) == 12 for account in accounts)
    nested = [row for row in customers if "details" in row]
    assert len(nested) == 13 and all("companyName" not in row and row["cloudIdentifier"] for row in nested)
    for rows in (customers, entitlements, offers):
        assert {"gcp", "aws", "azure"} <= {row["vendor"] for row in rows}
        assert "archived_by_vendor" in {row["status"] for row in rows}
        assert any(not row["createdAt"].endswith("Z") for row in rows)
        assert any("." in row["updatedAt"] for row in rows)
        assert all(_moment(row, "createdAt") <= _moment(row, "updatedAt") <= NOW.timestamp() for row in rows)
    values = [row["value"] for row in entitlements]
    assert {0.1, 1234567.89, "0.000000001", 1234567890123456789, None} <= set(values)
    assert {len(row["dimensions"]) for row in entitlements} == {0, 1, 2, 3, 4}
    limit = NOW.date() + timedelta(days=90)
    ends = [date.fromisoformat(row["endDate"]) for row in entitlements if row["endDate"] and row["status"] == "active"]
    assert any(NOW.date() <= end <= limit for end in ends)
    assert {row["status"] for row in offers} >= {
        "draft",
        "created",
        "sent",
        "viewed",
        "accepted",
        "expired",
        "cancelled",
    }
    assert any(row["pricing"]["paymentSchedule"] for row in offers)
    customer_ids = {row["id"] for row in customers}
    assert all(row["customerId"] in customer_ids for row in entitlements)


def _moment(row: object, name: str) -> float:
    assert isinstance(row, dict)
    return parse_timestamp(row[name])


def test_a_timestamp_can_be_stale_or_invalid() -> None:
    sandbox = Sandbox(SandboxConfig(now=NOW))
    id_ = sandbox.rows.ids("customers")[0]
    before = sandbox.rows.get("customers", id_) or {}
    assert (
        sandbox.rows.change("customers", id_, {"status": "inactive"}, touch=False)["updatedAt"] == before["updatedAt"]
    )
    sandbox.rows.put("customers", {"id": "odd", "updatedAt": "yesterday", "createdAt": None})
    assert sandbox.rows.ids("customers")[0] == "odd"  # an invalid timestamp sorts first
    sandbox.rows.put("customers", {"id": "odd", "createdAt": "2026-01-15T12:00:00Z"})
    assert sandbox.rows.ids("customers").count("odd") == 1


@pytest.mark.slow
def test_many_rows_are_cheap() -> None:
    tracemalloc.start()
    sandbox = Sandbox(SandboxConfig(customers=30_000, entitlements=0, private_offers=0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(set(sandbox.rows.ids("customers"))) == 30_000
    assert peak / 30_000 < 250  # bytes a row; a dictionary takes over 1,000
