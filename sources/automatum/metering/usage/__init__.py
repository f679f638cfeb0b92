"""Usage as its source holds it, as lines: read, cast, checked and summed by one query.

May import: `metering.model`, `metering.rules`, `warehouse` and below.
Start with `usage`.
"""
