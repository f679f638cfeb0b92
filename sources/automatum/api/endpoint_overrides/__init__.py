"""The overrides of the configuration, applied to the table of endpoints.

May import: `api.paging`, `config`, `schema`, `endpoints`, `core`.
Start with `resolve`; a further key of an endpoint is an entry of `keys.KEYS`.
"""

from .metering import resolve_metering
from .resolve import resolve_endpoints

__all__ = ["resolve_endpoints", "resolve_metering"]
