"""Usage as its source holds it: readers, validation, exact sums.

May import: `metering.model`, `metering.rules`, `warehouse` and below.
Start with `usage`.
"""
