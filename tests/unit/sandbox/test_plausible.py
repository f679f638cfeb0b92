"""The rows of a sandbox without traps: a software vendor's customers, contracts, offers and revenue that fit together.

Hypothesis prints the seed of a sandbox that does not. `SEEDS=250` tries more of them than a quick run.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from automatum_sandbox import Sandbox, SandboxConfig
from automatum_sandbox.data.timestamps import parse_timestamp

NOW = datetime(2026, 3, 31, 12, 0, tzinfo=timezone.utc)
TODAY = NOW.date()
SEEDS = int(os.environ.get("SEEDS", "3"))
Record = dict[str, Any]

seeds = st.integers(0, 10**6)
volumes = st.sampled_from(
    [
        {"customers": 40, "entitlements": 60, "private_offers": 30},
        {"customers": 0, "entitlements": 8, "private_offers": 8},
        {"customers": 4, "entitlements": 60, "private_offers": 90},
        {"customers": 90, "entitlements": 7, "private_offers": 0},
        {"customers": 20, "entitlements": 0, "private_offers": 12},
        {"customers": 1, "entitlements": 1, "private_offers": 1},
    ]
)


class World:
    """The rows of a sandbox, by table."""

    def __init__(self, seed: int, **options: Any) -> None:
        sandbox = Sandbox(SandboxConfig(seed=seed, now=NOW, **options), time=NOW.timestamp)
        self.customers = {row["id"]: row for row in sandbox.rows.all("customers")}
        self.entitlements = {row["id"]: row for row in sandbox.rows.all("entitlements")}
        self.offers = {row["id"]: row for row in sandbox.rows.all("private_offers")}
        (organization,) = sandbox.organizations.values()
        self.revenue = organization.revenue.between(date(2000, 1, 1), date(2100, 1, 1), TODAY)
        self.by_offer: dict[str, list[Record]] = defaultdict(list)
        for row in self.entitlements.values():
            self.by_offer[row["privateOfferId"]].append(row)
        self.listings = {entry.id: entry for entry in organization.listings}


def _moments(row: Record, *names: str) -> list[float]:
    return [parse_timestamp(row[name]) for name in names if row.get(name) is not None]


def _money(value: float) -> Decimal:
    return Decimal(repr(value))


def _sums(rows: Iterable[Record], value: str, *key: str) -> dict[tuple[str, ...], Decimal]:
    found: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    for row in rows:
        found[tuple(row[name] for name in key)] += _money(row[value])
    return found


@settings(max_examples=SEEDS, deadline=None)
@given(seed=seeds, volume=volumes)
@example(seed=7, volume={})
def test_dates_and_references_agree(seed: int, volume: dict[str, int]) -> None:
    world = World(seed, **volume)
    for rows in (world.customers, world.entitlements, world.offers):
        assert all(0 < _moments(row, "createdAt")[0] <= _moments(row, "updatedAt")[0] for row in rows.values())
        assert all(_moments(row, "updatedAt")[0] <= NOW.timestamp() for row in rows.values())
        created = [_moments(row, "createdAt")[0] for row in rows.values()]
        assert len(set(created)) == len(created)
    defaults = {"customers": 250, "entitlements": 400, "private_offers": 120}
    counts = (len(world.customers), len(world.entitlements), len(world.offers))
    assert counts == tuple({**defaults, **volume}.values())
    names = [row["companyName"] for row in world.customers.values()]
    assert len(set(names)) == len(names)
    for row in world.entitlements.values():
        _check_entitlement(world, row)
    for row in world.offers.values():
        _check_offer(world, row)


def _check_entitlement(world: World, row: Record) -> None:
    start, end = date.fromisoformat(row["startDate"]), date.fromisoformat(row["endDate"])
    assert start < end
    in_term = {"active", "suspended"}
    assert (row["status"] in in_term) == (start <= TODAY <= end and row["status"] != "cancelled")
    assert row["status"] != "pending" or start > TODAY
    assert row["status"] not in ("expired", "cancelled") or end <= TODAY
    assert _moments(row, "createdAt")[0] < (start + timedelta(days=1) - date(1970, 1, 1)).total_seconds()
    assert row["value"] > 0
    assert world.listings[row["listingId"]].vendor == row["vendor"]
    assert row["dimensions"][0]["key"] == "seats"
    owner = world.customers.get(row["customerId"])
    if world.customers:
        assert owner is not None
        assert owner["vendor"] == row["vendor"]
        assert _moments(owner, "createdAt") <= _moments(row, "createdAt")
        assert row["status"] not in (*in_term, "pending") or owner["status"] == "active"


def _check_offer(world: World, row: Record) -> None:
    times = _moments(row, "createdAt", "sentAt", "viewedAt", "acceptedAt", "cancelledAt")
    assert times == sorted(times)
    assert times[-1] <= _moments(row, "updatedAt")[0]
    expires, status = _moments(row, "expiresAt")[0], row["status"]
    assert (status in ("sent", "viewed", "accepted", "expired")) <= ("sentAt" in row)
    assert ("viewedAt" in row) or status not in ("viewed", "accepted")
    assert ("acceptedAt" in row) == (status == "accepted")
    assert ("cancelledAt" in row) == (status == "cancelled")
    assert (expires < NOW.timestamp()) or status != "expired"
    assert (expires > NOW.timestamp()) or status not in ("draft", "created", "sent", "viewed")
    pricing = row["pricing"]
    paid = sum((_money(part["amount"]) for part in pricing["paymentSchedule"]), Decimal(0))
    assert paid == _money(pricing["totalContractValue"])
    assert all(row["startDate"] <= part["date"] <= row["endDate"] for part in pricing["paymentSchedule"])
    assert world.listings[row["listingId"]].vendor == row["vendor"]
    led_to = world.by_offer[row["id"]]
    assert len(led_to) == (status == "accepted")
    for one in led_to:
        assert _moments(row, "acceptedAt") <= _moments(one, "createdAt")
        assert _moments(row, "acceptedAt")[0] < expires
        shared = ("customerId", "listingId", "vendor") if world.customers else ("listingId", "vendor")
        assert [row[name] for name in shared] == [one[name] for name in shared]
        assert (one["value"], one["currency"]) == (pricing["totalContractValue"], pricing["currency"])
        assert one["startDate"] == row["startDate"]


@settings(max_examples=SEEDS, deadline=None)
@given(seed=seeds, volume=volumes)
@example(seed=7, volume={})
def test_revenue_is_of_contracts_in_their_terms(seed: int, volume: dict[str, int]) -> None:
    world = World(seed, days=1100, **volume)
    line = ("vendor", "listingId", "customerId", "currency")
    terms = defaultdict(list)
    for row in world.entitlements.values():
        terms[tuple(row[name] for name in line)].append(row)
    keys = [tuple(row[name] for name in ("date", *line)) for row in world.revenue]
    assert len(set(keys)) == len(keys)
    for row in world.revenue:
        assert any(
            one["startDate"] <= row["date"] <= one["endDate"] for one in terms[tuple(row[name] for name in line)]
        )
        assert _money(row["netRevenue"]) + _money(row["marketplaceFee"]) == _money(row["revenue"]) > 0
        assert row["date"] <= TODAY.isoformat()
    paid, values = _sums(world.revenue, "revenue", *line), _sums(world.entitlements.values(), "value", *line)
    for key, rows in terms.items():
        # Payments add up to the contract value; usage adds less than a third of it.
        assert paid[key] <= values[key] * Decimal("1.34") + 100
        if all(row["status"] == "expired" for row in rows):
            assert values[key] < paid[key]


@pytest.mark.slow
@settings(max_examples=SEEDS, deadline=None)
@given(seed=seeds)
@example(seed=7)
def test_a_vendor_with_renewals_churn_and_growth(seed: int) -> None:
    world = World(seed)
    statuses = Counter(row["status"] for row in world.entitlements.values())
    assert {"active", "expired"} <= set(statuses)
    assert 0.45 < statuses["active"] / 400 < 0.85
    assert {row["status"] for row in world.offers.values()} == {
        "draft", "created", "sent", "viewed", "accepted", "expired", "cancelled",
    }  # fmt: skip
    assert {row["status"] for row in world.customers.values()} == {"active", "inactive"}
    assert {row["currency"] for row in world.revenue} == {"USD", "EUR", "GBP"}
    share = Counter(row["vendor"] for row in world.customers.values())["aws"] / 250
    assert 0.45 < share < 0.8
    assert 0.03 < _churn(world) < 0.35
    soon = [
        row
        for row in world.entitlements.values()
        if row["status"] == "active" and date.fromisoformat(row["endDate"]) <= TODAY + timedelta(days=90)
    ]
    assert {row.get("autoRenew") for row in soon} >= {True, False}
    by_customer = _sums(world.revenue, "revenue", "customerId")
    assert max(by_customer.values()) < sum(by_customer.values()) * Decimal("0.15")
    by_month = defaultdict(Decimal)
    for row in world.revenue:
        by_month[row["date"][:7]] += _money(row["revenue"])
    months = sorted(by_month)[-12:]
    assert len(months) == 12
    amounts = [by_month[month] for month in months]
    assert min(amounts) * 6 > max(amounts)
    assert sum(amounts[6:]) > sum(amounts[:6])


def _churn(world: World) -> float:
    """Share of the ended terms that no other term of the same customer and listing follows."""
    starts = {(row["customerId"], row["listingId"], row["startDate"]) for row in world.entitlements.values()}
    ended = [row for row in world.entitlements.values() if row["status"] in ("expired", "cancelled")]
    lost = [
        row
        for row in ended
        if (
            row["customerId"],
            row["listingId"],
            (date.fromisoformat(row["endDate"]) + timedelta(days=1)).isoformat(),
        )
        not in starts
    ]
    return len(lost) / len(ended)


def test_a_sandbox_that_is_started_again_has_the_same_rows_all_day() -> None:
    morning, evening, other_day = (
        Sandbox(SandboxConfig(now=now)) for now in (NOW.replace(hour=0), NOW.replace(hour=23), NOW + timedelta(days=1))
    )
    for table in ("customers", "entitlements", "private_offers"):
        assert morning.rows.all(table) == evening.rows.all(table) != other_day.rows.all(table)


@pytest.mark.parametrize("table", ["customers", "entitlements", "private_offers"])
def test_an_inserted_row_is_of_now(table: str) -> None:
    sandbox = Sandbox(SandboxConfig(now=NOW), time=NOW.timestamp)
    (id_,) = sandbox.rows.insert(table)
    row = sandbox.rows.get(table, id_)
    assert row is not None
    assert row["createdAt"] == row["updatedAt"] == "2026-03-31T12:00:00Z"
    assert row["status"] == ("sent" if table == "private_offers" else "active")
    assert sandbox.rows.ids(table)[-1] == id_


def test_a_restated_day_changes_the_records_of_its_marketplace() -> None:
    (organization,) = Sandbox(SandboxConfig(now=NOW)).organizations.values()
    day = date(2026, 3, 2)
    organization.revenue.restate("2026-03-02", "aws", {"revenue": 1})
    rows = organization.revenue.between(day, day, TODAY)
    assert {row["vendor"] for row in rows} == {"aws", "azure"}
    assert all((row["revenue"] == 1) == (row["vendor"] == "aws") for row in rows)
