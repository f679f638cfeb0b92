"""An organization with its tables, listings and revenue."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from ..config import Limits, OrganizationConfig, SandboxConfig
from . import traps
from .customers import Customers
from .entitlements import Entitlements
from .generated_rows import GeneratedRows
from .ids import Ids
from .listings import Listing, make_listings
from .private_offers import PrivateOffers
from .randomness import seeded_random
from .revenue import Revenue, RevenueReport
from .table import Table
from .timestamps import DAY, utc_date

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
        counts = (
            _own_or_shared(own.customers, config.customers),
            _own_or_shared(own.entitlements, config.entitlements),
            _own_or_shared(own.private_offers, config.private_offers),
        )
        first = utc_date(now) - timedelta(days=_own_or_shared(own.days, config.days) - 1)
        self.listings: tuple[Listing, ...] = traps.make_listings(seed) if config.traps else make_listings(seed)
        self.revenue: RevenueReport
        if config.traps:
            rows, self.revenue = self._trap_rows(counts, now), traps.Revenue(seed, first)
        else:
            # Until midnight, so that a sandbox that is started again has the same rows all day.
            customers = Customers(seed, self.id, counts[0], now - now % DAY)
            entitlements = Entitlements(seed, counts[1], customers, self.listings)
            rows = customers, entitlements, PrivateOffers(counts[2], entitlements, self.listings)
            self.revenue = Revenue(entitlements, first)
        self.tables: dict[str, Table] = {
            name: Table(generated, config.orders.get(name, config.order), seed)
            for name, generated in zip(TABLES, rows, strict=True)
        }
        self.rng = seeded_random(f"organization{seed}")

    def _trap_rows(self, counts: tuple[int, int, int], now: float) -> tuple[GeneratedRows, ...]:
        customers = traps.Customers("cust_", self.seed, self.id, counts[0], now)
        offers = traps.PrivateOffers(self.seed, counts[2], customers, self.listings)
        entitlements = traps.Entitlements(self.seed, counts[1], customers, (offers.ids, len(offers)), self.listings)
        return customers, entitlements, offers

    def listing(self, listing_id: object) -> Listing | None:
        """The listing with this id, None if there is none."""
        return next((listing for listing in self.listings if listing.id == listing_id), None)


def find_organization(organizations: Mapping[str, Organization], id_: str | None) -> Organization:
    """The organization with this id; without an id the first.

    Raises:
        KeyError: There is no such organization.
    """
    return next(iter(organizations.values())) if id_ is None else organizations[id_]


def _own_or_shared(own: int | None, shared: int) -> int:
    return shared if own is None else own
