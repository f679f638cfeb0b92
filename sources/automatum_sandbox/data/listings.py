"""The listings of an organization. The API does not list them; entitlements, offers and metering refer to them."""

from __future__ import annotations

from dataclasses import dataclass

from .ids import Ids
from .sample_data import PLANS, PRODUCTS, UNITS, seeded_random


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


def make_listings(seed: int) -> tuple[Listing, ...]:
    """Seven listings, alternately on AWS and Azure, with four dimensions each."""
    ids, rng = Ids("list_", seed), seeded_random(f"listings{seed}")
    listings = []
    for index, product in enumerate(PRODUCTS):
        dimensions = tuple(
            Dimension(f"{key}_{index}", f"{product} {key}", unit, f"0.{rng.randrange(1, 1000):03d}")
            for key, unit in zip(("api_calls", "storage_gb", "seats", "compute_hours"), UNITS, strict=True)
        )
        vendor = "aws" if index % 2 == 0 else "azure"
        listings.append(Listing(ids.at(index), vendor, product, PLANS[index % len(PLANS)], dimensions))
    return tuple(listings)
