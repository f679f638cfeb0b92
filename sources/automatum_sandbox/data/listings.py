"""The listings of an organization. The API does not list them; entitlements, offers and metering refer to them."""

from __future__ import annotations

from dataclasses import dataclass

from .ids import Ids


@dataclass(frozen=True)
class Dimension:
    """A billable dimension.

    Attributes:
        key: Its API key, unique within a listing (vendor page `guide/listings`).
        name: Display name.
        unit: Noun of one unit.
        price: Price of one unit, decimal text.
    """

    key: str
    name: str
    unit: str
    price: str


@dataclass(frozen=True)
class Listing:
    """A product on one marketplace."""

    id: str
    vendor: str
    product: str
    plan: str
    dimensions: tuple[Dimension, ...]


_PRODUCTS = (
    ("Observability Suite", "enterprise", ("aws", "azure"), "38.00"),
    ("Cost Lens", "team", ("aws", "azure"), "24.00"),
    ("Auth Box", "team", ("azure", "aws"), "15.00"),
    ("Mail Guard", "starter", ("aws",), "9.00"),
)
"""Product, plan, marketplaces, price of a seat and month."""


def make_listings(seed: int) -> tuple[Listing, ...]:
    """Seven listings of four products, four on AWS and three on Azure. The first dimension of each is its seats."""
    ids = Ids("list_", seed)
    found = [(product, vendor) for product in _PRODUCTS for vendor in product[2]]
    return tuple(
        Listing(
            ids.at(index),
            vendor,
            product,
            plan,
            (
                Dimension("seats", "Seats", "seat", price),
                Dimension("api_calls", "API calls", "1000 requests", "0.40"),
                Dimension("storage_gb", "Storage", "GB", "0.12"),
                Dimension("compute_hours", "Compute", "hour", "0.085"),
            ),
        )
        for index, ((product, plan, _, price), vendor) in enumerate(found)
    )
