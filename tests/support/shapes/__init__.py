"""Servers of other shapes: APIs that differ from what the connector assumes, in one thing each.

Start with `api`, the vendor's API as it is documented, which each shape changes in a few lines: `lists`, `more_lists`,
`reports`, `tokens`, `metering`. `server` serves them over a real socket, `memory` is a destination for quick syncs,
`cell` syncs one shape and judges the result, and `page` keeps the table in `docs/internals/fidelity.md`.
"""
