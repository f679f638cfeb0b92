"""Keeps the process of a sync small and to itself: it runs by cron, with credentials, on machines that it shares.

What the measures save is shown by `benchmarks/memory.py`. Each is a default that the environment overrides.
"""

from __future__ import annotations

import ctypes
import os

DUCKDB_MEMORY = "64MB"
"""What DuckDB may keep in memory; without a bound it keeps the whole file. Beyond it, it works on disk."""
_M_ARENA_MAX = -8


def limit_memory() -> None:
    """Set what has to be set before dlt and Arrow are imported."""
    # Arrow's own allocators keep what was freed, for speed that a sync has no use for.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if "MALLOC_ARENA_MAX" not in os.environ:
        try:
            # glibc gives each thread an arena of its own and keeps it; dlt loads in threads.
            ctypes.CDLL("libc.so.6").mallopt(_M_ARENA_MAX, 1)
        except (OSError, AttributeError):
            return  # another C library, with other habits


def disable_telemetry() -> None:
    """No telemetry, dlt's included, unless it is asked for."""
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")


def use_one_loader() -> None:
    """Load one file at a time: DuckDB writes one at a time whatever it is given."""
    os.environ.setdefault("LOAD__WORKERS", "1")
