"""Usage from a warehouse to the marketplaces, billed once.

May import: `warehouse`, `api` and below.
Start with `run`; `ledger.states` holds the states of a usage line.
"""
