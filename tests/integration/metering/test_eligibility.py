"""I5: nothing is billed to a customer who cannot be billed; what the API did not say refuses no line."""

from datetime import date, datetime, timedelta, timezone

import dlt
import duckdb
import pytest
from automatum.metering.eligibility import UNCHECKED, _day, read_eligibility

from tests.support.metering_lines import make_line

DELETED = datetime(2026, 11, 1, tzinfo=timezone.utc)
CUSTOMERS = "id VARCHAR, vendor VARCHAR, _deleted_at TIMESTAMPTZ"
ENTITLEMENTS = (
    "id VARCHAR, customer_id VARCHAR, listing_id VARCHAR, vendor VARCHAR, status VARCHAR, start_date DATE, "
    "end_date DATE, expires_at TIMESTAMPTZ, _deleted_at TIMESTAMPTZ, currency VARCHAR"
)
DIMENSIONS = "entitlement_id VARCHAR, key VARCHAR"


def customer(id_="cust_1", vendor="aws", deleted=None):
    return (id_, vendor, deleted)


def entitlement(id_="ent_1", customer_id="cust_1", listing="lst_1", vendor="aws", status="active", start=None, end=None,
                expires=None, deleted=None, currency=None):  # fmt: skip
    return (id_, customer_id, listing, vendor, status, start, end, expires, deleted, currency)


@pytest.fixture
def read(tmp_path):
    """Write tables (None: not at all), and read them as a push would."""

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
                    connection.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", row)
        pipeline = dlt.pipeline("entitled", destination=dlt.destinations.duckdb(path), dataset_name="automatum")
        return read_eligibility(pipeline)

    return make


LINE = make_line()  # of 2026-11-20


def test_a_line_that_may_be_billed(read):
    found = read([customer()], [entitlement()], [("ent_1", "api_calls"), ("ent_1", "seats")])
    assert found.problem(LINE) is None
    assert found.problem(make_line(dimension="nothing")) == (
        "dimension: nothing is not among those of the entitlement: api_calls, seats"
    )


@pytest.mark.parametrize(
    ("entitlements", "currency"),
    [
        ([entitlement(currency="EUR")], "EUR"),
        ([entitlement()], None),
        ([entitlement(currency="EUR"), entitlement("ent_2", currency="EUR")], "EUR"),
        # Different currencies, or one and none: it is not known under which the line is billed.
        ([entitlement(currency="EUR"), entitlement("ent_2", currency="USD")], None),
        ([entitlement(currency="EUR"), entitlement("ent_2")], None),
        # Other listings, marketplaces, customers, and terms that are over do not count.
        ([entitlement(currency="EUR"), entitlement("ent_2", listing="lst_2", currency="USD")], "EUR"),
        ([entitlement(currency="EUR"), entitlement("ent_2", vendor="azure", currency="USD")], "EUR"),
        ([entitlement(currency="EUR"), entitlement("ent_2", status="expired", currency="USD")], "EUR"),
        ([entitlement("ent_2", customer_id="cust_2", currency="USD")], None),
    ],
)
def test_the_currency_of_a_line_is_that_of_its_entitlements(read, entitlements, currency):
    assert read([customer()], entitlements).currency(LINE) == currency


def test_tables_that_nothing_was_checked_against_are_named(read):
    assert read([customer()]).missing == ["entitlements"]
    assert read(None, [entitlement()]).missing == ["customers"]
    assert read([customer()], [entitlement()]).missing == []
    assert UNCHECKED.missing == ["customers", "entitlements"] and UNCHECKED.problem(LINE) is None


def test_nothing_synced_nothing_checked(read):
    assert read() == UNCHECKED
    assert read([], [], []) == UNCHECKED


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
def test_customers(read, customers, says):
    why = read(customers).problem(LINE)
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
def test_entitlements(read, entitlements, says):
    found = read([customer()], entitlements)
    why = found.problem(LINE)
    assert (why or "").startswith(says or "") and (why is None) == (says is None)


@pytest.mark.slow
def test_dimensions_of_what_is_active_count(read):
    two = [entitlement(), entitlement("ent_2"), entitlement("ent_3", status="expired")]
    keys = [("ent_1", "seats"), ("ent_2", "storage"), ("ent_3", "api_calls")]
    assert read([customer()], two, keys).problem(LINE) == (
        "dimension: api_calls is not among those of the entitlement: seats, storage"
    )
    # An entitlement whose dimensions are not known may hold any.
    assert read([customer()], two, [("ent_1", "seats"), ("ent_2", None)]).problem(LINE) is None
    one = [entitlement(), entitlement("ent_3", status="expired")]
    assert read([customer()], one, []).problem(LINE) is None
    assert read([customer()], two, []).problem(LINE).startswith("entitlement_id is missing")


def test_entitlements_without_customers(read):
    assert read(None, [entitlement()]).problem(LINE) is None
    assert read(None, [entitlement()]).problem(make_line(customer="cust_9")).startswith("listing_id: cust_9 has no")


def test_days_are_of_utc_whatever_zone_the_destination_answers_in():
    tokyo = timezone(timedelta(hours=9))
    assert _day(datetime(2026, 11, 20, 8, 30, tzinfo=tokyo)) == date(2026, 11, 19)
    assert _day(date(2026, 11, 20)) == date(2026, 11, 20)


TWO = [entitlement(), entitlement("ent_2"), entitlement("ent_3", status="expired", end=date(2026, 11, 1))]


def test_i5_a_line_of_several_live_entitlements_must_name_one(read):
    found = read([customer()], TWO, [("ent_1", "api_calls"), ("ent_2", "api_calls"), ("ent_2", "seats")])
    assert found.problem(LINE) == (
        "entitlement_id is missing: cust_1 has 2 active entitlements for lst_1 with api_calls (ent_1, ent_2); name the "
        "one that was used"
    )
    assert found.problem(make_line(entitlement_id="ent_1")) is None
    assert found.problem(make_line(entitlement_id="ent_2")) is None
    # Only one of them has this dimension.
    assert found.problem(make_line(dimension="seats")) is None
    assert found.problem(make_line(dimension="seats", entitlement_id="ent_1")).startswith("dimension: seats is not")


def test_a_named_entitlement_must_exist_and_be_active(read):
    found = read([customer()], [*TWO, entitlement("ent_4", listing="lst_2")])
    for id_ in ("ent_4", "ent_9"):
        assert found.problem(make_line(entitlement_id=id_)).startswith(
            f"entitlement_id: cust_1 has no entitlement {id_} for lst_1; run `automatum sync`"
        )
    assert "(ent_3 ended on 2026-11-01, as of the last sync)" in found.problem(make_line(entitlement_id="ent_3"))


def test_the_currency_is_that_of_the_named_entitlement(read):
    found = read([customer()], [entitlement(currency="EUR"), entitlement("ent_2", currency="USD")])
    assert found.currency(LINE) is None
    assert found.currency(make_line(entitlement_id="ent_2")) == "USD"
