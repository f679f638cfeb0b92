"""What dlt's hints ask of a resource of `automatum_source`: honored, or refused by name before a request (I10)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import dlt
from dlt.extract import DltResource

from ..core.errors import ConfigurationError
from ..endpoints import Endpoint
from ..warehouse.dlt_internals import current_load_id, hides_failed_jobs, in_pool_of_threads
from .results import Chunk

_STRATEGIES = (None, "delete-insert")
"""Merge strategies that also replace the lists of a row; None for the destination's own."""
TABLE_HINT = "x-automatum-table"
"""A hint of each resource: the table that it fills, whatever name the user gives it."""
_FOR_ALL_TABLES = ("file_format", "schema_contract")


@dataclass(frozen=True)
class Hints:
    """What a resource is asked for.

    Attributes:
        dropped: Tables that dlt drops when it loads the package.
        absent: Tables that have no rows then: dropped, truncated or replaced. While pages are read, these still have
            them, so they count as absent, and every row of them is loaded.
        replaces: The table and its child tables are replaced.
        chunk: Bounds of the reading.
        for_all_tables: Hints of the resource that hold for all its tables.
    """

    dropped: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()
    replaces: bool = False
    chunk: Chunk = field(default_factory=Chunk)
    for_all_tables: dict[str, Any] = field(default_factory=dict)

    def for_table(self, endpoint: Endpoint, table: str) -> dict[str, Any]:
        """The hints for one of the other tables of the resource."""
        replaced = self.replaces and any(child.table == table for child in endpoint.children)
        return {**self.for_all_tables, "write_disposition": "replace" if replaced else "merge"}

    def check_whole(self, endpoint: Endpoint) -> None:
        """Refuse a reading of a part where the rows that it leaves out would be dropped.

        Args:
            endpoint: What is read.

        Raises:
            ConfigurationError: The load drops, truncates or replaces the table.
        """
        part = self.chunk.limit
        if endpoint.by_organization:
            part = "those of one organization, and not of the others"
        if part and endpoint.table in self.absent:
            raise _refused(
                endpoint,
                "write_disposition" if self.replaces else "refresh",
                f"the table would only have a part of the rows afterwards: {part}",
                f"Leave out what limits the reading, or {'replace' if self.replaces else 'refresh'} nothing.",
            )


def read_hints(resource: DltResource, endpoint: Endpoint, now: float) -> Hints:
    """The hints of a resource that is extracted or iterated.

    Args:
        resource: The resource.
        endpoint: What it reads.
        now: Reading of the monotonic clock.

    Raises:
        ConfigurationError: A hint cannot be honored. The message names it, and what to do instead.
    """
    refusal = next(_refusals(resource, endpoint), None)
    if refusal:
        raise _refused(endpoint, *refusal)
    table: Any = resource.compute_table_schema()
    replaces = table["write_disposition"] == "replace"
    replaced = (endpoint.table, *(child.table for child in endpoint.children)) if replaces else ()
    state: Any = dlt.current.load_package_state()["state"] if current_load_id() else {}
    dropped, truncated = (
        frozenset(table["name"] for table in state.get(key) or ()) for key in ("dropped_tables", "truncated_tables")
    )
    return Hints(
        dropped,
        dropped | truncated | frozenset(replaced),
        replaces,
        _chunk(resource.limit, now),
        {name: table[name] for name in _FOR_ALL_TABLES if table.get(name)},
    )


def _refusals(resource: DltResource, endpoint: Endpoint) -> Iterator[tuple[str, str, str]]:
    """Hints that cannot be honored: each with why, and what to do instead."""
    elsewhere = "Load to another dataset instead."
    if in_pool_of_threads():
        why = "dlt would run it in a thread in which it cannot ask the destination"
        yield "parallelize", why, "Leave it out: the rate limit of the API holds for all resources together."
    if current_load_id() and hides_failed_jobs():
        why = "dlt would record rows that the destination refuses as loaded"
        yield "raise_on_failed_jobs", why, "Take load.raise_on_failed_jobs out of dlt's settings."
    if resource.name != endpoint.table:
        yield "with_name", f"it is named {resource.name!r}", elsewhere
    incremental = resource.incremental
    if incremental is not None and getattr(incremental, "incremental", incremental) is not None:
        why = "dlt would filter its child tables and its log by the same column"
        step = "Leave it out: a sync loads only the rows that are new or changed. Filter the table in SQL."
        yield "incremental", why, step
    if resource.has_dynamic_table_name or resource.table_name != endpoint.table:
        yield "table_name", "it has another table", elsewhere
    table: Any = resource.compute_table_schema()
    columns, key = table["columns"], endpoint.key_with(endpoint.row_key)
    why = f"rows are found again by {', '.join(key)}"
    step = f"Set sources.automatum.endpoints.{endpoint.table}.key instead."
    if {name for name, column in columns.items() if column.get("primary_key")} != set(key):
        yield "primary_key", why, step
    if any(column.get("merge_key") for column in columns.values()):
        yield "merge_key", why, step
    if table.get("table_format"):
        yield "table_format", "tables have the format of the destination", "Leave it out."
    disposition, strategy = table.get("write_disposition"), table.get("x-merge-strategy")
    odd_strategy = disposition == "merge" and strategy not in _STRATEGIES
    if odd_strategy or disposition not in ("merge", "replace"):
        given = f"the strategy {strategy!r}" if odd_strategy else repr(disposition)
        step = "Leave it out, or set sources.automatum.history = true for every version of every row."
        yield "write_disposition", f"{given} would not keep one row a key, with its lists", step


def check_hints(endpoints: Iterable[Endpoint], now: float) -> None:
    """Refuse hints of any resource of the source that is extracted, before the first of them sends a request.

    Args:
        endpoints: What the resources read.
        now: Reading of the monotonic clock.

    Raises:
        ConfigurationError: See `read_hints`.
    """
    if not current_load_id():
        return
    by_table = {endpoint.table: endpoint for endpoint in endpoints}
    for resource in dlt.current.source().resources.selected.values():
        if resource.has_dynamic_table_name:
            continue  # It is another source's, or is refused when it has its turn.
        table: Any = resource.compute_table_schema()
        if endpoint := by_table.get(table.get(TABLE_HINT)):
            read_hints(resource, endpoint, now).check_whole(endpoint)


def _chunk(limit: Any, now: float) -> Chunk:
    """Bounds that keep to `add_limit`, which counts pages, or rows that are loaded."""
    if limit is None:
        return Chunk()
    most = None if limit.max_items in (None, -1) else limit.max_items
    words = [str(most)] if most is not None else []
    words += ["count_rows=True"] if limit.count_rows else []
    words += [f"max_time={limit.max_time:g}"] if limit.max_time else []
    return Chunk(
        max_rows=most if limit.count_rows else None,
        ends_at=now + limit.max_time if limit.max_time else None,
        limit=f"add_limit({', '.join(words)})",
        max_pages=None if limit.count_rows else most,
    )


def _refused(endpoint: Endpoint, hint: str, why: str, next_step: str) -> ConfigurationError:
    return ConfigurationError(hint, f"cannot be set for the resource {endpoint.table}: {why}.", next_step)
