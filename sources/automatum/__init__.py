"""A dlt source and metering push for Automatum, the platform through which software vendors sell on cloud marketplaces.

    import dlt
    from automatum import automatum_source

    pipeline = dlt.pipeline("automatum", destination="duckdb", dataset_name="marketplace")
    pipeline.run(automatum_source())

From a notebook or a scheduler, with locks and a summary: `automatum.run_sync()`, `automatum.run_push("usage_by_hour")`.

Usage goes the other way by `automatum push`, `metering_usage` and `metering_destination`.

Credentials come from dlt's configuration (`[sources.automatum]` in `.dlt/secrets.toml`) or from the environment
(`AUTOMATUM_CLIENT_ID`, `AUTOMATUM_CLIENT_SECRET`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api.session import connect
    from .config.settings import resolve_settings
    from .core.errors import ConfigurationError
    from .metering.dlt import metering_destination, metering_usage
    from .metering.options import PushOptions
    from .metering.run import run_push
    from .operations.plan import plan
    from .source import automatum_source
    from .sync.run import run_sync
    from .warehouse.target import Target

__version__ = "0.1.0"

_MODULES = {
    "ConfigurationError": ".core.errors",
    "PushOptions": ".metering.options",
    "Target": ".warehouse.target",
    "automatum_source": ".source",
    "connect": ".api.session",
    "metering_destination": ".metering.dlt",
    "metering_usage": ".metering.dlt",
    "plan": ".operations.plan",
    "resolve_settings": ".config.settings",
    "run_push": ".metering.run",
    "run_sync": ".sync.run",
}
__all__ = [
    "ConfigurationError",
    "PushOptions",
    "Target",
    "automatum_source",
    "connect",
    "metering_destination",
    "metering_usage",
    "plan",
    "resolve_settings",
    "run_push",
    "run_sync",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use, because dlt alone takes half a second to import."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name], __name__), name)
