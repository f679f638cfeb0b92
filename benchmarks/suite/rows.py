"""The records that the benchmark's server lists, as JSON text, and their fields.

Fields and values are those of the sandbox. A record follows from its number alone, so that the server does not have to
keep the records, and every program that is measured reads the same ones.
"""

from __future__ import annotations

from collections.abc import Callable

PAGE = 100
ORGANIZATION = "org_a1b2c3d4"
CHANGED, DELETED = 100, 1000
"""In the second version of a table, one record of so many has changed, and one of so many is missing."""
_STEP = 2_654_435_761
"""Odd, so that ids look random and differ for all numbers below 2**32."""
_INVERSE = pow(_STEP, -1, 1 << 32)
_STATUSES = ("active", "active", "active", "inactive")
_TERMS = ("active", "active", "expired", "cancelled")

Fields = dict[str, str]
"""Name of a field to its type: `text`, `timestamp`, `date`, `decimal` or `bool`."""

FIELDS: dict[str, Fields] = {
    "customers": {
        "id": "text",
        "organizationId": "text",
        "vendor": "text",
        "awsAccountId": "text",
        "azureTenantId": "text",
        "email": "text",
        "companyName": "text",
        "status": "text",
        "createdAt": "timestamp",
        "updatedAt": "timestamp",
    },
    "entitlements": {
        "id": "text",
        "organizationId": "text",
        "customerId": "text",
        "vendor": "text",
        "listingId": "text",
        "productName": "text",
        "planId": "text",
        "status": "text",
        "startDate": "date",
        "endDate": "date",
        "autoRenew": "bool",
        "privateOfferId": "text",
        "value": "decimal",
        "currency": "text",
        "createdAt": "timestamp",
        "updatedAt": "timestamp",
    },
}
DIMENSION_FIELDS: Fields = {"key": "text", "name": "text", "quantity": "decimal", "price": "decimal", "unit": "text"}
"""Fields of each entry of `dimensions`, a list inside an entitlement."""


def is_changed(number: int) -> bool:
    """Whether the second version of a record differs from the first."""
    return number % CHANGED == 7


def is_deleted(number: int) -> bool:
    """Whether the second version of a table is without this record."""
    return number % DELETED == 13


def id_of(prefix: str, number: int) -> str:
    """The id of a record."""
    return f"{prefix}_{number * _STEP % (1 << 32):08x}"


def number_of(id_: str) -> int:
    """The number of the record with this id."""
    return int(id_.rpartition("_")[2], 16) * _INVERSE % (1 << 32)


def dimension_count(number: int, dimensions: int) -> int:
    """Number of entries in the list of an entitlement: `dimensions`, or one to three if that is 0."""
    return dimensions or 1 + number % 3


def dimension_price(number: int, position: int) -> str:
    """The price of one unit of a dimension of an entitlement."""
    return f"{number % 90 + 1}.{position:02}"


def _times(number: int, version: int) -> str:
    moment = f"{1 + number % 12:02}-{1 + number // 12 % 28:02}T{number % 24:02}:{number % 60:02}:{number // 60 % 60:02}"
    updated = "2026-11-20T08:00:00" if version > 1 and is_changed(number) else f"2026-{moment}"
    return f'"createdAt":"2025-{moment}Z","updatedAt":"{updated}Z"'


def customer(number: int, version: int, dimensions: int = 0) -> str:
    """A customer."""
    azure = number % 8 > 4
    account = (
        f'"azureTenantId":"{number:08x}-0000-4000-8000-000000000000"' if azure else f'"awsAccountId":"{number:012}"'
    )
    status = "suspended" if version > 1 and is_changed(number) else _STATUSES[number % 4]
    return (
        f'{{"id":"{id_of("cust", number)}","organizationId":"{ORGANIZATION}","vendor":"{"azure" if azure else "aws"}",'
        f'{account},"email":"billing{number}@example.com","companyName":"Company {number % 5000} Ltd",'
        f'"status":"{status}",{_times(number, version)}}}'
    )


def entitlement(number: int, version: int, dimensions: int = 0) -> str:
    """An entitlement with its dimensions."""
    seats = 5 + number % 40 + (1000 if version > 1 and is_changed(number) else 0)
    listed = ",".join(
        f'{{"key":"dimension_{at}","name":"Dimension {at}","price":"{dimension_price(number, at)}","unit":"seat"'
        + (f',"quantity":{seats}}}' if at == 0 else "}")
        for at in range(dimension_count(number, dimensions))
    )
    offer = f'"offer_{number:08x}"' if number % 5 == 0 else "null"
    return (
        f'{{"id":"{id_of("ent", number)}","organizationId":"{ORGANIZATION}","customerId":"{id_of("cust", number)}",'
        f'"vendor":"{"azure" if number % 8 > 4 else "aws"}","listingId":"lst_{number % 7:08x}",'
        f'"productName":"Product {number % 7}","planId":"plan_{number % 3}","status":"{_TERMS[number % 4]}",'
        f'"startDate":"2025-12-{1 + number % 28:02}","endDate":"2099-12-{1 + number % 28:02}",'
        f'"privateOfferId":{offer},"value":{number % 9000}.{number % 90 + 10},"currency":"USD",'
        f'"dimensions":[{listed}],"autoRenew":{"true" if number % 2 else "false"},{_times(number, version)}}}'
    )


def private_offer(number: int, version: int, dimensions: int = 0) -> str:
    """A private offer with one payment."""
    return (
        f'{{"id":"{id_of("offer", number)}","organizationId":"{ORGANIZATION}","customerId":"{id_of("cust", number)}",'
        f'"vendor":"aws","name":"Offer {number}","status":"accepted","expiresAt":"2026-12-31T00:00:00Z",'
        f'"pricing":{{"totalContractValue":{number}.50,"currency":"USD",'
        f'"paymentSchedule":[{{"date":"2026-12-01","amount":{number}.50,"currency":"USD"}}]}},'
        f"{_times(number, version)}}}"
    )


def revenue(day: str) -> str:
    """The revenue of one day."""
    return (
        f'{{"date":"{day}","vendor":"aws","listingId":"lst_00000001","customerId":"{id_of("cust", 1)}",'
        '"revenue":120.50,"netRevenue":116.88,"marketplaceFee":3.62,"currency":"USD","count":3}'
    )


RECORDS: dict[str, Callable[[int, int, int], str]] = {
    "customers": customer,
    "entitlements": entitlement,
    "private-offers": private_offer,
}
"""Path of a list to the function that writes one of its records."""


def listed(path: str, count: int, version: int, dimensions: int = 0) -> list[str]:
    """The records of a list, in the order of the pages."""
    render = RECORDS[path]
    return [render(number, version, dimensions) for number in range(count) if version == 1 or not is_deleted(number)]
