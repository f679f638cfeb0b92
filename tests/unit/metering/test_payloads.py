"""The documented body, to the letter; money with exactly its digits; a 400 rejects only the lines at fault."""

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import automatum.metering
from automatum.api.overrides import resolve_entitlement
from automatum.config.removed_settings import REMOVED_METERING_KEYS
from automatum.config.settings import resolve_settings
from automatum.core.errors import ConfigurationError
from automatum.metering.payloads import Body, bodies, price_text
from automatum_sandbox.metering_body import read_body
from tests.support.examples import examples
from tests.support.metering_lines import make_line

LINE = make_line()


def read(body):
    return json.loads(body.payload(), parse_float=Decimal, parse_int=Decimal)


def test_the_vendors_own_sample():
    """`guide/api-integration`: API calls at 0.01, reported every hour; its shape is research/automatum-api.md §1.7."""
    line = make_line(
        units="1500",
        customer="cust_1a2b3c4d",
        listing="listing_1",
        title="API Calls",
        description="Number of API calls",
        per="request",
    )
    (body,) = bodies([replace(line, starts_at=datetime(2026, 11, 24, 10, tzinfo=timezone.utc))])
    assert read(body) == {
        "vendor": "aws",
        "listingId": "listing_1",
        "details": {
            "customer": {"id": "cust_1a2b3c4d"},
            "reportingDate": "2026-11-24",
            "charged": 1500 * Decimal("0.01"),
            "usages": [
                {
                    "apiKey": "api_calls",
                    "units": 1500,
                    "title": "API Calls",
                    "description": "Number of API calls",
                    "per": "request",
                    "price": "0.01",
                }
            ],
        },
    }
    # And letter by letter, so that nobody changes the digits of money unseen.
    assert body.payload() == (
        b'{"vendor":"aws","listingId":"listing_1","details":{"customer":{"id":"cust_1a2b3c4d"},'
        b'"reportingDate":"2026-11-24","charged":15,"usages":[{"apiKey":"api_calls","units":1500,"title":"API Calls",'
        b'"description":"Number of API calls","per":"request","price":"0.01"}]}}'
    )


def test_numbers_have_their_own_digits():
    body = Body((make_line(units="0.3", price="0.10"), make_line(units="15.00", price="1", dimension="seats")))
    text = body.payload().decode()
    assert '"charged":15.03,' in text
    assert '"units":0.3,' in text
    assert '"units":15,' in text
    assert '"price":"0.10"' in text
    assert '"charged":0.1,' in Body((make_line(units="10.0", price="0.010"),)).payload().decode()
    assert '"units":1000,' in Body((make_line(units="1E+3"),)).payload().decode()
    assert '"units":0.000001,' in Body((make_line(units="1E-6"),)).payload().decode()


def test_texts_that_are_not_there():
    usage = read(Body((LINE,)))["details"]["usages"][0]
    assert usage == {"apiKey": "api_calls", "units": 5, "title": "api_calls", "price": "0.01"}


def test_text_is_escaped():
    line = make_line(title='"\\\n\u2028 客户', customer='c"1')
    body = read(Body((line,)))
    assert body["details"]["usages"][0]["title"] == line.title
    assert body["details"]["customer"]["id"] == 'c"1'


@pytest.mark.parametrize(
    ("price", "text"),
    [("0.01", "0.01"), ("0.10", "0.10"), ("0.010000000", "0.01"), ("5", "5"), ("5.000", "5.00"), ("0.0015", "0.0015"),
     ("0", "0"), ("1E+2", "100"), ("1E-9", "0.000000001")],
)  # fmt: skip
def test_a_price_is_text(price, text):
    assert price_text(Decimal(price)) == text
    assert re.fullmatch(r"\d+(\.\d+)?", text)


AMOUNT = st.decimals(0, 10**9, places=6)


@pytest.mark.slow
@settings(derandomize=True, max_examples=examples(200), deadline=None)
@given(st.lists(st.tuples(AMOUNT, AMOUNT), min_size=1, max_size=25))
def test_the_other_side_reads_what_was_meant(amounts):
    lines = tuple(make_line(units=units, price=price, dimension=f"d{n:02}") for n, (units, price) in enumerate(amounts))
    details = read_body(Body(lines).payload())["details"]
    total = 0
    for entry, (units, price) in zip(details["usages"], amounts, strict=True):
        assert Decimal(entry["units"]) == units
        assert Decimal(entry["price"]) == price
        total += int(units.scaleb(6)) * int(price.scaleb(6))
    whole, _, rest = format(Decimal(details["charged"]), "f").partition(".")
    assert int(whole + rest.ljust(12, "0")) == total


PAYLOAD_PATH = ("rules", "model", "payloads", "answers", "plan", "send", "settle")


@pytest.mark.parametrize("module", PAYLOAD_PATH)
def test_no_float_touches_money(module):
    """I5. A float of the user's becomes a decimal by `float.__repr__`; nothing ever becomes a float."""
    text = (Path(automatum.metering.__file__).parent / f"{module}.py").read_text()
    assert not re.search(r"\bfloat\(|\bround\(|\b\d+\.\d+\b(?=\s*[*/+)-])", text)


def test_a_body_is_one_customer_listing_and_hour():
    other = [
        replace(LINE, vendor="azure"),
        replace(LINE, listing_id="lst_2"),
        replace(LINE, customer_id="cust_2"),
        replace(LINE, starts_at=LINE.starts_at + timedelta(hours=1)),
        replace(LINE, grain="day"),
    ]
    made = bodies([LINE, *other, replace(LINE, dimension="a")])
    assert len(made) == len(other) + 1
    assert {len(body.lines) for body in made} == {1, 2}
    assert sorted(line.id for body in made for line in body.lines) == sorted(
        line.id for line in [LINE, *other, replace(LINE, dimension="a")]
    )


def test_a_body_has_25_usages_at_most_in_the_order_of_their_keys():
    lines = [make_line(dimension=f"d{n:02}") for n in reversed(range(51))]
    made = bodies(lines)
    assert [len(body.lines) for body in made] == [25, 25, 1]
    assert [line.dimension for body in made for line in body.lines] == [f"d{n:02}" for n in range(51)]
    assert made == bodies(reversed(lines))
    assert [body.id for body in made] == [body.id for body in bodies(reversed(lines))]
    assert len({body.id for body in made}) == 3


def test_the_earliest_deadline_goes_first():
    azure_old, aws_new = make_line(hour=0, vendor="azure"), make_line(hour=5)
    order = [body.lines[0] for body in bodies([azure_old, aws_new])]
    assert order == [aws_new, azure_old]
    assert [body.lines[0].starts_at.hour for body in bodies([make_line(hour=3), make_line(hour=1)])] == [1, 3]


def test_what_is_too_late_makes_nothing_else_late():
    lost, urgent = make_line(hour=0), make_line(hour=10)
    now = urgent.starts_at + timedelta(hours=2)
    assert [body.lines[0] for body in bodies([lost, urgent], now)] == [urgent, lost]
    assert [body.lines[0] for body in bodies([lost, urgent])] == [lost, urgent]


BODY = Body(tuple(make_line(dimension=f"d{n}") for n in range(5)))


@pytest.mark.parametrize(
    "field",
    [
        "details.usages[3].apiKey",
        "details.usages[3]",
        "details.usages.3.units",
        "usages.3.units",
        "usages[3].price",
        "usages/3/price",
        "/details/usages/3/price",
        "body.details.usages[3].units",
        "details/usages[3]/units",
    ],
)
def test_a_field_points_at_its_line(field):
    assert BODY.usages_at_fault([(field, "Wrong")]) == {3: f"{field}: Wrong"}


def test_several_fields():
    errors = [("details.usages[4].units", "a"), ("details.usages[0].price", "b"), ("details.usages[4].apiKey", "c")]
    assert BODY.usages_at_fault(errors) == {
        0: "details.usages[0].price: b",
        4: "details.usages[4].units: a; details.usages[4].apiKey: c",
    }


@pytest.mark.parametrize(
    "errors",
    [
        [],
        [("", "Bad")],
        [("listingId", "Listing not found")],
        [("details.customer.id", "Customer not found")],
        [("details.usages", "Must hold 1 to 25 entries")],
        [("details.charged", "Must equal the sum")],
        [("details.usages[5].units", "there is no such line")],
        [("details.usages[1].units", "x"), ("listingId", "Listing not found")],
        [("details.myusages[1].units", "x")],
        [("details.usages[-1].units", "x")],
        [("details.usages[1x].units", "x")],
        [(f"details.usages[{'9' * 5000}].units", "x")],
    ],
)
def test_what_points_at_no_usage_means_the_body(errors):
    assert BODY.usages_at_fault(errors) is None


def test_a_wrong_sum_follows_from_a_wrong_usage():
    errors = [("details.usages[1].units", "x"), ("details.charged", "Must equal the sum")]
    assert BODY.usages_at_fault(errors) == {1: "details.usages[1].units: x"}


# Another place of the entitlement


def resolved(**settings):
    return resolve_entitlement(resolve_settings({"client_id": "app_1", "client_secret": "secret_123456", **settings}))


def test_the_place_of_an_entitlement_is_a_setting():
    body = replace(BODY, lines=(replace(BODY.lines[0], entitlement_id="ent_1"),))
    assert read(body)["details"]["entitlementId"] == "ent_1"
    assert resolved() == resolved(metering={}) == body.entitlement_at
    other = replace(body, entitlement_at=resolved(metering={"entitlement_id": "details.agreement.id"}))
    assert read(other)["details"]["agreement"] == {"id": "ent_1"}
    assert "entitlementId" not in read(other)["details"]
    # I5: the ledger knows lines and bodies by ids, and their content by units and price.
    assert (other.id, other.charged, other.lines) == (body.id, body.charged, body.lines)


@pytest.mark.parametrize(
    ("metering", "key"),
    [
        ("usage", "metering"),
        ({"pth": "x"}, "metering.pth"),
        *(({"entitlement_id": place}, "metering.entitlement_id") for place in (False, 5, "", "$", "a..b")),
        *(({"entitlement_id": place}, "metering.entitlement_id") for place in ("vendor", "vendor.id", "details")),
        *(({"entitlement_id": place}, "metering.entitlement_id") for place in ("details.customer", "details.usages.x")),
        *(({key: "x"}, f"metering.{key}") for key in REMOVED_METERING_KEYS),
    ],
)
def test_a_wrong_place_is_named(metering, key):
    with pytest.raises(ConfigurationError) as caught:
        resolved(metering=metering)
    assert caught.value.key == f"sources.automatum.{key}"
