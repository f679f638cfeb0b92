"""The ledger: what was billed, what may have been, and what is to be (I5).

May import: `metering.model`, `config` and below.
Start with `ledger`, which opens it; `reader` reads it, `runs` writes what a push does, `planned` what a person decides.
"""
