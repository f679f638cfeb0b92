"""The ledger: what was billed, what may have been, and what is to be (I5).

May import: `metering.model`, `config` and below.
Start with `ledger`.
"""
