"""Usage from a warehouse to the marketplaces, billed once.

May import: `warehouse`, `api` and below.
Start with `push`; `ledger.entries` holds the states of a usage line.
"""
