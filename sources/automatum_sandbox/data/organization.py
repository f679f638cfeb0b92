"""An organization with its tables, listings and revenue."""

from __future__ import annotations

from datetime import timedelta

from ..config import Limits, OrganizationConfig, SandboxConfig
from .customers import Customers
from .entitlements import Entitlements
from .ids import Ids
from .listings import Listing, make_listings
from .private_offers import PrivateOffers
from .revenue import Revenue
from .sample_data import seeded_random
from .table import Table
from .timestamps import utc_date

TABLES = ("customers", "entitlements", "private_offers")


class Organization:
    """An organization with its tables, listings and revenue.

    Args:
        position: Its position in `SandboxConfig.organizations`.
        own: Its own options.
        config: Options that `own` does not set.
        now: Seconds since 1970; rows are dated before it.
    """

    def __init__(self, position: int, own: OrganizationConfig, config: SandboxConfig, now: float) -> None:
        seed = config.seed + 1000 * position if own.seed is None else own.seed
        self.seed = seed
        self.id = Ids("org_", seed).at(position)
        self.own_limits: Limits | None = own.limits
        self.listings: tuple[Listing, ...] = make_listings(seed)
        customers = Customers("cust_", seed, self.id, _own_or_shared(own.customers, config.customers), now)
        offers = PrivateOffers(
            seed, _own_or_shared(own.private_offers, config.private_offers), customers, self.listings
        )
        entitlements = Entitlements(
            seed,
            _own_or_shared(own.entitlements, config.entitlements),
            customers,
            (offers.ids, len(offers)),
            self.listings,
        )
        self.tables: dict[str, Table] = {
            name: Table(rows, config.orders.get(name, config.order), seed)
            for name, rows in zip(TABLES, (customers, entitlements, offers), strict=True)
        }
        days = _own_or_shared(own.days, config.days)
        self.revenue = Revenue(seed, utc_date(now) - timedelta(days=days - 1))
        self.rng = seeded_random(f"organization{seed}")

    def listing(self, listing_id: object) -> Listing | None:
        """The listing with this id, None if there is none."""
        return next((listing for listing in self.listings if listing.id == listing_id), None)


def _own_or_shared(own: int | None, shared: int) -> int:
    return shared if own is None else own
