"""Datasets for the models: sandboxes that are synced, changed, and synced again, with what makes answers hard.

Refunds, restated revenue, several currencies and marketplaces, renewals with and without a gap, contracts that change,
are cancelled, deleted or have no end, offers in all states, payments in another currency, and usage in all states.
"""

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

from automatum.api.session import connect
from automatum.config.settings import resolve_settings
from automatum.core.budget import Budget
from automatum.metering.export import export_ledger
from automatum.operations.models import Models
from automatum.sync.engine import sync
from automatum.sync.options import SyncOptions
from automatum.warehouse.target import open_pipeline
from automatum_sandbox import Sandbox, SandboxConfig, serve
from automatum_sandbox.config import AppConfig, OrganizationConfig
from tests.support.clocks import FakeClock
from tests.support.entries import Shelf, make_entry, make_item, make_line

EPOCH = datetime(2026, 6, 10, 9, tzinfo=timezone.utc).timestamp()
DAY = 86_400.0
WIDE = [[100_000, 60]]
REPORTING = "USD"
VOLUME = {"customers": 30, "entitlements": 60, "private_offers": 30, "days": 400}
EMPTY = dict.fromkeys(VOLUME, 0)
FEES = [
    {"vendor": "aws", "percent": Decimal("3"), "valid_to": date(2026, 3, 31)},
    {"vendor": "aws", "percent": Decimal("2.5"), "valid_from": date(2026, 4, 1)},
    {"vendor": "azure", "currency": "EUR", "percent": Decimal("3")},
]
RATES = [
    {"valid_from": date(2025, 1, 1), "currency": "EUR", "rate": Decimal("1.081234567")},
    {"valid_from": date(2026, 2, 11), "currency": "EUR", "rate": Decimal("1.15")},
    {"valid_from": date(2026, 1, 1), "currency": "GBP", "rate": Decimal("1.3")},
]


class Stage:
    """A sandbox, a clock for both sides, and a destination.

    Args:
        place: One of `tests.support.destinations.places`.
        folder: Where its files go.
        names: Names of the organizations; empty for a single one.
        history: Keep versions.
        volume: Rows of the sandbox.
    """

    def __init__(self, place, folder, names=(), history=False, volume=VOLUME):
        self.place, self.names, self.history = place, names or (None,), history
        self.clock = FakeClock(EPOCH)
        count = len(self.names)
        config = SandboxConfig(
            limits=None,
            **volume,
            organizations=tuple(OrganizationConfig(seed=40 + at) for at in range(count)),
            apps=tuple(AppConfig(organization=at) for at in range(count)),
        )
        self.sandbox = Sandbox(config, time=self.clock.time)
        self._serving = serve(self.sandbox)
        self._served = self._serving.__enter__()
        place.open(folder)
        self.pipeline = open_pipeline(place.destination(), "automatum", str(folder / "pipelines"))
        self._folder = folder

    def close(self):
        self._serving.__exit__(None, None, None)
        self.place.close()

    @property
    def today(self):
        return datetime.fromtimestamp(self.clock.time(), timezone.utc).date()

    def settings(self, at):
        app = self.sandbox.apps[at]
        names = {"organization": self.names[at], "organization_id": app.organization_id} if self.names[at] else {}
        return resolve_settings(
            {
                "base_url": self._served.base_url,
                "client_id": app.client_id,
                "client_secret": app.secret,
                "application_limits": WIDE,
                "history": self.history,
                **names,
            }
        )

    def sync(self):
        """Sync all organizations; each must be complete."""
        for at in range(len(self.names)):
            self.clock.advance(60)
            session = connect(self.settings(at), clock=self.clock, budget=Budget(self.clock))
            summary = sync(session, self.pipeline, SyncOptions(allow_deletes=True))
            assert summary.exit_code == 0, summary.to_json()

    def export(self, *found):
        """Export a ledger with these entries, for the first organization."""
        apart = open_pipeline(self.place.destination(), "automatum", str(self._folder / "ledger"), "ledger")
        export_ledger(Shelf(*found), apart, self.settings(0).owner)

    def models(self, into=None, **settings):
        return Models(self.pipeline, into, {"today": self.today, "reporting_currency": REPORTING, **settings})

    def execute(self, *statements):
        with self.pipeline.sql_client() as client:
            for statement in statements:
                client.execute_sql(statement)

    def fill(self):
        """Fill the tables of the user."""
        for table, rows in (("expected_fees", FEES), ("exchange_rates", RATES)):
            for row in rows:
                row = {**row, "reporting_currency": REPORTING} if table == "exchange_rates" else row
                values = ", ".join(f"'{value}'" for value in row.values())
                self.execute(f"INSERT INTO automatum.{table} ({', '.join(row)}) VALUES ({values})")


def change(stage):
    """Change what the sandboxes have; some days pass, and a sync, between the two halves."""
    rows = stage.sandbox.rows
    owners = [stage.sandbox.apps[at].organization_id for at in range(len(stage.names))]
    for owner in owners:
        _change_contracts(stage, rows, owner)
        _change_offers(stage, rows, owner)
        for vendor, days in (("aws", range(5, 20)), ("azure", (21,))):
            for back in days:
                day, refund = (stage.today - timedelta(days=back)).isoformat(), {"revenue": -120.55 - back}
                fields = {**refund, "netRevenue": -116.93 - back, "marketplaceFee": -3.62}
                rows.restate(day, vendor, fields, organization=owner)
    stage.clock.advance(3 * DAY)
    stage.sync()
    for owner in owners:
        customer = rows.ids("customers", owner)[4]
        rows.delete("customers", customer, organization=owner)
        active = _of_status(rows, owner, "active")
        rows.change("entitlements", active[0]["id"], {"value": 7777.77}, organization=owner)
        rows.delete("entitlements", active[1]["id"], organization=owner)
        rows.delete("private_offers", rows.ids("private_offers", owner)[3], organization=owner)
    stage.clock.advance(40 * DAY)
    stage.sync()


def _of_status(rows, owner, status):
    return [one for one in rows.all("entitlements", owner) if one["status"] == status]


def _change_contracts(stage, rows, owner):
    """Renewals with a gap and without, a cancellation, contracts of other currencies, and some that count on no day."""

    def day(number):
        return (stage.today + timedelta(days=number)).isoformat()

    base = {**rows.all("entitlements", owner)[0], "status": "active", "listingId": "list_gap", "privateOfferId": None}
    terms = {
        "gap_1": {"startDate": day(-500), "endDate": day(-136), "status": "expired", "value": 1000.01},
        "gap_2": {"startDate": day(-120), "endDate": day(50), "value": 1300},
        "gap_3": {"startDate": day(60), "endDate": day(424), "value": 900.5, "status": "pending"},
        "gone": {"startDate": day(-700), "endDate": day(-336), "status": "expired", "listingId": "list_other"},
        "late": {
            "startDate": day(-290),
            "endDate": day(75),
            "listingId": "list_other",
            "currency": "JPY",
            "value": 98765,
        },
        "no_end": {"endDate": None, "expiresAt": None, "listingId": "list_open", "value": 10},
        "trial": {"status": "trial", "startDate": day(-5), "endDate": day(9), "listingId": "list_trial"},
        "no_currency": {"currency": None, "startDate": day(-30), "endDate": day(334), "listingId": "list_none"},
        "left_1": {
            "customerId": rows.ids("customers", owner)[7],
            "startDate": day(-40),
            "endDate": day(-1),
            "currency": "JPY",
        },
        "moment": {
            "endDate": None,
            "expiresAt": f"{day(20)}T00:00:00Z",
            "startDate": day(-40),
            "listingId": "list_moment",
        },
    }
    for name, fields in terms.items():
        rows.put("entitlements", {**base, "id": f"ent_{name}", **fields}, organization=owner)
    # A customer whose only contracts end.
    customer = {**rows.all("customers", owner)[0], "id": "cust_leaver", "companyName": "Leaver Ltd."}
    rows.put("customers", customer, organization=owner)
    for name, currency in (("usd", "USD"), ("eur", "EUR")):
        ends = {"id": f"ent_leaver_{name}", "customerId": "cust_leaver", "currency": currency, "status": "expired"}
        dates = {"startDate": day(-400), "endDate": day(-36), "value": 5000.1}
        rows.put("entitlements", {**base, **ends, **dates}, organization=owner)
    active = [one for one in _of_status(rows, owner, "active") if not one["id"].startswith(("ent_gap", "ent_late"))]
    rows.change("entitlements", active[2]["id"], {"status": "cancelled"}, organization=owner)
    rows.change("entitlements", active[3]["id"], {"value": 123456.789}, organization=owner)


def _change_offers(stage, rows, owner):
    offers = rows.all("private_offers", owner)
    accepted = [one for one in offers if one["status"] == "accepted"]
    pricing = {**accepted[0]["pricing"]}
    pricing["paymentSchedule"] = [
        {"date": (stage.today + timedelta(days=30 * at)).isoformat(), "amount": 100.1 + at, "currency": currency}
        for at, currency in enumerate(("JPY", None, "EUR"))
    ]
    rows.change("private_offers", accepted[0]["id"], {"pricing": pricing}, organization=owner)
    rows.change("private_offers", accepted[1]["id"], {"cancelledAt": "2026-06-01T00:00:00Z"}, organization=owner)
    sent = {"status": "sent", "sentAt": "2026-06-09T23:59:59Z", "expiresAt": "2026-07-01T00:00:00Z"}
    rows.change("private_offers", accepted[2]["id"], sent, organization=owner)
    rows.change("private_offers", accepted[3]["id"], {"status": "pending", "createdAt": None}, organization=owner)


def entries():
    """A ledger with lines of all states in two months, two customers and two currencies, and open items."""
    start = datetime(2026, 6, 20, tzinfo=timezone.utc)

    def line(day, units, price="0.015", **more):
        return make_line(24 * ((start - datetime(2026, 11, 20, tzinfo=timezone.utc)).days + day), units, price, **more)

    late = make_entry(line(0, "7.25"), "unbilled", why="expired", carried="3.25")
    return [
        make_entry(line(1, "5")),
        make_entry(line(2, "6.000001", "0.000123456789"), "confirmed"),
        late,
        make_entry(line(3, "3.25", carried_from=late.id, carry_number=1)),
        make_entry(line(4, "9"), "unbilled", why="rejected"),
        make_entry(line(5, "11"), "unknown"),
        make_entry(line(6, "13"), "conflict", "10", why="differs"),
        make_entry(line(8, "10"), "conflict", "20", why="differs"),
        make_entry(line(7, "2"), "settled", "0", why="never"),
        make_entry(line(14, "4", customer="cust_2", currency="EUR")),
        make_entry(line(15, "8", customer="cust_2", currency="EUR"), "confirmed"),
        make_item("refusal"),
        make_item("run", closed=True),
    ]
