"""Defaults that commands show in their help: constants, so that the help imports nothing that works with them."""

from __future__ import annotations

from pathlib import Path

DEFAULT_DATABASE = Path("marketplace.duckdb")
DEFAULT_DATASET = "automatum"
DUCKDB = "duckdb"
"""Destination that needs no configuration."""
LOCK_WAIT = 60.0
"""Seconds that a run waits for a lock by default: longer than a query of a notebook, shorter than a cron interval."""
