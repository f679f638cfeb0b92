"""Usage from a warehouse to the marketplaces, billed once.

`usage` reads rows, `validation` makes `UsageRow`s of them or says why not, `aggregation` sums them to `Line`s,
`entitled` checks these against the synced tables, `payloads` writes the bodies. What the marketplaces demand is data,
in `rules`.
"""
