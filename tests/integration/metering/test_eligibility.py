"""I5: nothing is billed to a customer who cannot be billed; what the API did not say refuses no line."""

from datetime import date, datetime, timezone
from decimal import Decimal

import dlt
import duckdb
import pytest

from tests.support.metering_rows import read

DELETED = datetime(2026, 11, 1, tzinfo=timezone.utc)
CUSTOMERS = "id VARCHAR, vendor VARCHAR, _deleted_at TIMESTAMPTZ"
ENTITLEMENTS = (
    "id VARCHAR, customer_id VARCHAR, listing_id VARCHAR, vendor VARCHAR, status VARCHAR, start_date DATE, "
    "end_date DATE, expires_at TIMESTAMPTZ, _deleted_at TIMESTAMPTZ, currency VARCHAR"
)
DIMENSIONS = "entitlement_id VARCHAR, key VARCHAR, price DECIMAL(18, 4)"


def customer(id_="cust_1", vendor="aws", deleted=None):
    return (id_, vendor, deleted)


def entitlement(id_="ent_1", customer_id="cust_1", listing="lst_1", vendor="aws", status="active", start=None, end=None,
                expires=None, deleted=None, currency=None):  # fmt: skip
    return (id_, customer_id, listing, vendor, status, start, end, expires, deleted, currency)


@pytest.fixture
def synced(tmp_path):
    """Write tables (None: not at all), and read usage that is checked against them."""

    def make(customers=None, entitlements=None, dimensions=None):
        path = str(tmp_path / "w.duckdb")
        with duckdb.connect(path) as connection:
            connection.execute("CREATE SCHEMA IF NOT EXISTS automatum; USE automatum")
            for name, columns, rows in (
                ("customers", CUSTOMERS, customers),
                ("entitlements", ENTITLEMENTS, entitlements),
                ("entitlement_dimensions", DIMENSIONS, dimensions),
            ):
                connection.execute(f"DROP TABLE IF EXISTS {name}")
                if rows is not None:
                    connection.execute(f"CREATE TABLE {name} ({columns})")
                for row in rows or ():
                    row = (*row, None) if name == "entitlement_dimensions" and len(row) == 2 else row
                    connection.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", row)
        pipeline = dlt.pipeline("entitled", destination=dlt.destinations.duckdb(path), dataset_name="automatum")

        def usage(*rows, **options):
            return read([{**ROW, **row} for row in rows or ({},)], pipeline=pipeline, **options)

        return usage

    return make


ROW = {
    "customer_id": "cust_1",
    "listing_id": "lst_1",
    "vendor": "aws",
    "dimension": "api_calls",
    "units": "5",
    "price": "0.01",
    "usage_at": "2026-11-20T00:15:00Z",
}


def problem(found):
    """Why the only line of a usage cannot be billed; None if it can."""
    if found.lines:
        assert not found.refusals
        return None
    (refusal,) = found.refusals
    assert refusal.subject == refusal.line_id and refusal.rows == (1,)
    return refusal.reason


def currency(found):
    return found.lines[0].currency


@pytest.mark.parametrize(
    ("entitlements", "expected"),
    [
        ([entitlement(currency="EUR")], "EUR"),
        ([entitlement()], None),
        # Other listings, marketplaces, customers, and terms that are over do not count.
        ([entitlement(currency="EUR"), entitlement("ent_2", listing="lst_2", currency="USD")], "EUR"),
        ([entitlement(currency="EUR"), entitlement("ent_2", vendor="azure", currency="USD")], "EUR"),
        ([entitlement(currency="EUR"), entitlement("ent_2", status="expired", currency="USD")], "EUR"),
    ],
)
def test_the_currency_of_a_line_is_that_of_its_entitlements(synced, entitlements, expected):
    assert currency(synced([customer()], entitlements)()) == (expected or "unknown")


def test_a_line_that_may_be_billed(synced):
    usage = synced([customer()], [entitlement()], [("ent_1", "api_calls"), ("ent_1", "seats")])
    assert problem(usage()) is None
    assert problem(usage({"dimension": "nothing"})) == (
        "dimension: nothing is not among those of the entitlement: api_calls, seats"
    )


def test_tables_that_nothing_was_checked_against_are_named(synced):
    assert synced([customer()])().missing == ("entitlements",)
    assert synced(None, [entitlement()])().missing == ("customers",)
    assert synced([customer()], [entitlement()])().missing == ()
    for tables in ((), ([], [], [])):
        found = synced(*tables)()
        assert found.missing == ("customers", "entitlements") and problem(found) is None
    assert read([ROW]).missing == ("customers", "entitlements")


def test_an_unchecked_usage_is_not_checked(synced):
    found = synced([customer("cust_2")], [entitlement(currency="EUR")])(unchecked=True)
    assert (problem(found), found.missing, currency(found)) == (None, (), "unknown")


@pytest.mark.parametrize(
    ("customers", "says"),
    [
        ([customer("cust_2")], "customer_id: cust_1 is not among the synced customers"),
        ([customer(deleted=DELETED)], "customer_id: cust_1 was deleted"),
        ([customer(vendor="azure")], "vendor: cust_1 is a customer on azure, not on aws"),
        ([customer(vendor="AWS")], None),
        ([customer(vendor=None)], None),
    ],
)
def test_customers(synced, customers, says):
    why = problem(synced(customers)())
    assert (why or "").startswith(says or "") and (why is None) == (says is None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entitlements", "says"),
    [
        ([entitlement(customer_id="cust_2")], "listing_id: cust_1 has no entitlement for lst_1"),
        ([entitlement(listing="lst_2")], "listing_id: cust_1 has no entitlement for lst_1"),
        ([entitlement(deleted=DELETED)], "listing_id: cust_1 has no entitlement"),
        ([entitlement(vendor="azure")], "vendor: the entitlement for lst_1 is on azure, not on aws"),
        ([entitlement(status="expired")], "listing_id: no entitlement of cust_1 for lst_1 was active on 2026-11-20"),
        ([entitlement(status="expired", end=date(2026, 11, 19))], "listing_id: no entitlement of cust_1 for lst_1 was"),
        ([entitlement(status="expired", end=date(2026, 11, 20))], None),
        ([entitlement(status="cancelled", expires=datetime(2026, 11, 20, 9, tzinfo=timezone.utc))], None),
        ([entitlement(status="expired", expires=datetime(2026, 11, 19, 9, tzinfo=timezone.utc))], "listing_id: no ent"),
        ([entitlement(start=date(2026, 11, 21))], "listing_id: no entitlement of cust_1 for lst_1 was active"),
        ([entitlement(start=date(2026, 11, 20))], None),
        # The day is that of UTC, whatever zone the destination answers in.
        (
            [entitlement(status="expired", expires=datetime(2026, 11, 19, 23, 30, tzinfo=timezone.utc))],
            "listing_id: no e",
        ),
        ([entitlement(status="expired", expires=datetime(2026, 11, 20, 0, 30, tzinfo=timezone.utc))], None),
        ([entitlement(status="ACTIVE", end=date(2026, 11, 20))], None),
        # Active by its status, and over by its dates.
        ([entitlement(status="ACTIVE", end=date(2025, 1, 1))], "listing_id: no entitlement of cust_1 for lst_1 was a"),
        # Not active, whatever its dates.
        ([entitlement(status="suspended", end=date(2027, 1, 1))], "listing_id: no entitlement of cust_1 for lst_1 was"),
        ([entitlement(status="pending", end=date(2027, 1, 1))], "listing_id: no entitlement of cust_1 for lst_1 was"),
        # A status that is not known, and dates that are.
        ([entitlement(status="renewed", end=date(2026, 11, 20))], None),
        ([entitlement(status="expired"), entitlement("ent_2")], None),
        # What the API does not say is not checked.
        ([entitlement(listing=None)], None),
        ([entitlement(vendor=None)], None),
        ([entitlement(status=None)], None),
        ([entitlement(status=None, end=date(2026, 11, 19))], "listing_id: no entitlement of cust_1 for lst_1 was"),
        ([entitlement(customer_id=None)], None),
    ],
)
def test_entitlements(synced, entitlements, says):
    why = problem(synced([customer()], entitlements)())
    assert (why or "").startswith(says or "") and (why is None) == (says is None)


@pytest.mark.slow
def test_dimensions_of_what_is_active_count(synced):
    two = [entitlement(), entitlement("ent_2"), entitlement("ent_3", status="expired")]
    keys = [("ent_1", "seats"), ("ent_2", "storage"), ("ent_3", "api_calls")]
    assert problem(synced([customer()], two, keys)()) == (
        "dimension: api_calls is not among those of the entitlement: seats, storage"
    )
    # An entitlement whose dimensions are not known may hold any.
    assert problem(synced([customer()], two, [("ent_1", "seats"), ("ent_2", None)])()) is None
    one = [entitlement(), entitlement("ent_3", status="expired")]
    assert problem(synced([customer()], one, [])()) is None
    assert problem(synced([customer()], two, [])()).startswith("entitlement_id is missing")


def test_entitlements_without_customers(synced):
    assert problem(synced(None, [entitlement()])()) is None
    assert problem(synced(None, [entitlement()])({"customer_id": "cust_9"})).startswith("listing_id: cust_9 has no")


TWO = [entitlement(), entitlement("ent_2"), entitlement("ent_3", status="expired", end=date(2026, 11, 1))]


def test_i5_a_line_of_several_live_entitlements_must_name_one(synced):
    usage = synced([customer()], TWO, [("ent_1", "api_calls"), ("ent_2", "api_calls"), ("ent_2", "seats")])
    assert problem(usage()) == (
        "entitlement_id is missing: cust_1 has 2 active entitlements for lst_1 with api_calls (ent_1, ent_2); name the "
        "one that was used"
    )
    assert problem(usage({"entitlement_id": "ent_1"})) is None
    assert problem(usage({"entitlement_id": "ent_2"})) is None
    # Only one of them has this dimension.
    assert problem(usage({"dimension": "seats"})) is None
    assert problem(usage({"dimension": "seats", "entitlement_id": "ent_1"})).startswith("dimension: seats is not")


def test_a_named_entitlement_must_exist_and_be_active(synced):
    usage = synced([customer()], [*TWO, entitlement("ent_4", listing="lst_2")])
    for id_ in ("ent_4", "ent_9"):
        assert problem(usage({"entitlement_id": id_})).startswith(
            f"entitlement_id: cust_1 has no entitlement {id_} for lst_1; run `automatum sync`"
        )
    assert "(ent_3 ended on 2026-11-01, as of the last sync)" in problem(usage({"entitlement_id": "ent_3"}))


def test_the_currency_is_that_of_the_named_entitlement(synced):
    usage = synced([customer()], [entitlement(currency="EUR"), entitlement("ent_2", currency="USD")])
    assert usage().lines == ()
    assert currency(usage({"entitlement_id": "ent_2"})) == "USD"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "end", "billed"),
    [
        ("active", None, True),
        ("Subscribed", date(2027, 1, 1), True),
        *(
            (status, date(2027, 1, 1), False)
            for status in ("cancelled", "expired", "terminated", "Unsubscribed", "any")
        ),
        *((status, None, False) for status in ("cancelled", "NotStarted", "PendingFulfillmentStart", "any")),
        # The term is over, and usage of its days is billed, unless it never began.
        *(
            (status, date(2026, 11, 22), True)
            for status in ("cancelled", "expired", "terminated", "Unsubscribed", "any")
        ),
        *((status, date(2026, 11, 22), False) for status in ("NotStarted", "PendingFulfillmentStart", "suspended")),
        ("cancelled", date(2026, 11, 24), True),
        ("cancelled", date(2026, 11, 25), False),
        ("cancelled", date(2026, 11, 19), False),
    ],
)
def test_only_a_status_that_is_known_as_active_is_billed(synced, status, end, billed):
    """M14: ended ones with an end in the future were billed without a word."""
    why = problem(synced([customer()], [entitlement(status=status, end=end)])())
    assert (why is None) == billed
    if why and end != date(2026, 11, 19):
        assert f"(ent_1 is {status.lower()}, as of the last sync)" in why


@pytest.mark.parametrize(
    ("price", "known", "says"),
    [
        ("0.01", ["0.0100"], None),
        ("0.02", ["0.01"], "price: 0.02 is not that of the entitlement, which is 0.01"),
        ("0.02", ["0.01", "0.03"], "price: 0.02 is not that of the entitlement, which is 0.01 or 0.03"),
        ("0", ["0.01"], "price: 0 is not that of the entitlement, which is 0.01"),
        ("0", [None], None),
        ("5", [None], None),
        ("0", [0], None),
    ],
)
def test_a_price_that_the_entitlement_contradicts_is_not_sent(synced, price, known, says):
    rows = [("ent_1", "api_calls", one and Decimal(one)) for one in known]
    usage = synced([customer()], [entitlement()], rows)
    assert problem(usage({"price": price})) == says
    assert problem(usage({"price": price, "units": "0"})) is None


def test_a_customer_that_is_listed_twice_is_billed_once(synced):
    found = synced([customer(), customer()], [entitlement()])()
    assert (len(found.lines), found.refusals) == (1, ())


def test_customers_of_other_organizations_are_not_ours(synced, tmp_path):
    usage = synced([customer()], [entitlement()])
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        for table in ("customers", "entitlements"):
            connection.execute(f"ALTER TABLE automatum.{table} ADD COLUMN organization_id VARCHAR")
            connection.execute(f"UPDATE automatum.{table} SET organization_id = 'org_1'")
    assert problem(usage(organization_id="org_1")) is None
    assert problem(usage(organization_id="org_2")).startswith("customer_id: cust_1 is not among the synced customers")


def test_a_line_that_cannot_be_billed_and_has_a_refused_row_is_one_refusal(synced):
    found = synced([customer("cust_2")])({}, {"units": "x"})
    (refusal,) = found.refusals
    assert (refusal.rows, refusal.count) == ((1, 2), 2)
    assert refusal.reason.startswith("units: 'x' is not a plain number")
    assert "; customer_id: cust_1 is not among" in refusal.reason
    assert found.lines == ()
