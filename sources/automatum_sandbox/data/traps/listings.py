"""Listings with names in several scripts."""

from __future__ import annotations

from ..ids import Ids
from ..listings import Dimension, Listing
from ..randomness import seeded_random
from .sample_data import PLANS, PRODUCTS, UNITS


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
