"""One sync: sweeps and reports that prove what they read, change detection, deletions, history, resuming.

May import: `metering`, `warehouse`, `api` and below.
Start with `run`, then `engine`, then `table_sync`.
"""
