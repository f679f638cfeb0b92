"""A dlt source and metering push for Automatum, the platform through which software vendors sell on cloud marketplaces.

    from pathlib import Path

    from automatum import Target, automatum_source

    pipeline = Target(database=Path("marketplace.duckdb")).pipeline()
    pipeline.run(automatum_source())

`run_sync` and `run_push` do what `automatum sync` and `automatum push` do, with locks and a summary:

    from automatum import SyncOptions, run_sync

    summary = run_sync(SyncOptions(tables=("customers",), max_minutes=10))

`dataset` is dlt's dataset of the loaded tables. `metering_usage` pushes usage by way of dlt.

Credentials come from dlt's configuration (`[sources.automatum]` in `.dlt/secrets.toml`) or from the environment
(`AUTOMATUM_CLIENT_ID`, `AUTOMATUM_CLIENT_SECRET`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api.rate_limit import NO_WAIT
    from .api.session import connect
    from .config.airflow import airflow_settings
    from .config.organizations import organization_names
    from .config.settings import resolve_settings
    from .core.errors import AutomatumError, Busy, ConfigurationError, MoreToDo, ScopeMissing
    from .metering.dlt import metering_usage
    from .metering.options import PushOptions
    from .metering.run import run_push
    from .metering.webhook_signature import verify_webhook
    from .operations.plan import plan
    from .operations.status import not_overdue
    from .source import automatum_source
    from .sync.options import SyncOptions
    from .sync.run import run_sync
    from .warehouse.target import Target, dataset

__version__ = "0.1.0"

_MODULES = {
    "NO_WAIT": ".api.rate_limit",
    "AutomatumError": ".core.errors",
    "Busy": ".core.errors",
    "ConfigurationError": ".core.errors",
    "MoreToDo": ".core.errors",
    "PushOptions": ".metering.options",
    "ScopeMissing": ".core.errors",
    "SyncOptions": ".sync.options",
    "Target": ".warehouse.target",
    "airflow_settings": ".config.airflow",
    "automatum_source": ".source",
    "connect": ".api.session",
    "dataset": ".warehouse.target",
    "metering_usage": ".metering.dlt",
    "not_overdue": ".operations.status",
    "organization_names": ".config.organizations",
    "plan": ".operations.plan",
    "resolve_settings": ".config.settings",
    "run_push": ".metering.run",
    "run_sync": ".sync.run",
    "verify_webhook": ".metering.webhook_signature",
}
_REMOVED = {
    "metering_destination": "metering_destination was removed: it lost usage of the current hour, and of hours that "
    "came in several loads. Load the usage to a table of your warehouse, and push the table: "
    'pipeline.run(metering_usage("usage", PushOptions(confirm=True))).',
}
"""Former public names, and what to use in their place."""
__all__ = [
    "NO_WAIT",
    "AutomatumError",
    "Busy",
    "ConfigurationError",
    "MoreToDo",
    "PushOptions",
    "ScopeMissing",
    "SyncOptions",
    "Target",
    "airflow_settings",
    "automatum_source",
    "connect",
    "dataset",
    "metering_usage",
    "not_overdue",
    "organization_names",
    "plan",
    "resolve_settings",
    "run_push",
    "run_sync",
    "verify_webhook",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use, because dlt alone takes half a second to import."""
    if name in _REMOVED:
        raise ImportError(_REMOVED[name])
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name], __name__), name)
