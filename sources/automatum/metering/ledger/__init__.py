"""The ledger: what was billed, what may have been, and what waits for a person (I5).

May import: `metering.model`, `warehouse` and below.
Start with `ledger`, which opens it; `run` writes what a push does, `entries` holds the states of a line.
"""
