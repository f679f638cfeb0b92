"""Rows that break naive readers (`SandboxConfig.traps`): odd names, amounts and timestamps, nulls, unknown values.

Customers, entitlements, offers and revenue are independent of each other here. Start reading at `trap_rows`.
"""

from .customers import Customers
from .entitlements import Entitlements
from .listings import make_listings
from .private_offers import PrivateOffers
from .revenue import Revenue

__all__ = ["Customers", "Entitlements", "PrivateOffers", "Revenue", "make_listings"]
