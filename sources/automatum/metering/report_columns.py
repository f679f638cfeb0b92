"""Names that the marketplaces give the columns of their reports."""

from __future__ import annotations

from collections.abc import Mapping

NAMES: Mapping[str, tuple[str, ...]] = {
    # Ours first; then AWS's daily usage feed and reports, and Azure's usage download of Partner Center.
    "vendor": ("vendor", "marketplace"),
    "customer_id": (
        "customer_id", "customer aws account id", "customer aws account number", "subscriber aws account id",
        "end user account id", "buyer account id", "payer account id", "customer identifier",
        "marketplace subscription id", "customer id",
    ),
    "listing_id": ("listing_id", "product id", "product code", "offer id"),
    "dimension": ("dimension", "dimension key", "custom dimension", "meter dimension", "usage dimension", "meter id"),
    "entitlement_id": ("entitlement_id", "agreement id", "license id"),
    "units": ("units", "usage quantity", "usage units", "quantity", "metered usage", "normalized usage", "raw usage"),
    "amount": ("amount", "charged", "estimated usage revenue", "estimated revenue", "gross revenue",
               "estimated extended charge"),
    "day": ("day", "usage date", "reporting date", "date"),
}  # fmt: skip
"""Our column to the names that reports give it, in the order of preference; case and punctuation do not matter."""
