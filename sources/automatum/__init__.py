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

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .entry import run_push, run_sync
    from .metering_dlt import metering_destination, metering_usage
    from .source import automatum_source

__all__ = ["automatum_source", "metering_destination", "metering_usage", "run_push", "run_sync"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import what is asked for: dlt takes half a second, and not all who look in here need it."""
    if name == "automatum_source":
        from .source import automatum_source

        return automatum_source
    if name in ("run_push", "run_sync"):
        from . import entry

        return getattr(entry, name)
    if name in ("metering_destination", "metering_usage"):
        from . import metering_dlt

        return getattr(metering_dlt, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
