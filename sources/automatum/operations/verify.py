"""Check the consistency of the tables in the destination; sends no request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dlt.common.pipeline import SupportsPipeline

from ..core.errors import ConfigurationError
from ..endpoints import ORGANIZATION, Endpoint
from ..schema.columns import DELETED_AT, EXTRA, IS_DELETED, POSITION, ROW_HASH, VERSION, history_table
from ..schema.log_tables import REJECTED_TABLE, SWEEPS_TABLE
from ..sync.facts import MOST_KEYS, SweepFacts
from ..sync.key_check import check_keys
from ..sync.results import Verdict
from ..warehouse.sql import count_rows, json_object, organization_filter, read_latest, read_rows

_COLUMNS = {
    ORGANIZATION: ORGANIZATION,
    "valid_from": "valid_from",
    "version": VERSION,
    "deleted": IS_DELETED,
    "row_hash": ROW_HASH,
    "deleted_at": DELETED_AT,
    "position": POSITION,
}
"""Names in braces of all rules, each with its column name."""


class Rule(NamedTuple):
    """A rule that the rows of a table keep.

    Attributes:
        table: Table.
        text: The rule, in words.
        query: A query for the rows or keys that break it, with the names of tables and columns in braces.
        tables: The names in braces that are tables.
        columns: The names in braces that are of this endpoint, each with its column name; `_COLUMNS` has the others.
    """

    table: str
    text: str
    query: str
    tables: tuple[str, ...]
    columns: dict[str, str]


@dataclass(frozen=True)
class Finding:
    """The result for one rule.

    Attributes:
        table: Table.
        rule: The rule, in words.
        broken: Number of rows or keys that break it.
    """

    table: str
    rule: str
    broken: int


def check_rules(pipeline: SupportsPipeline, endpoints: Sequence[Endpoint], deletes: str = "soft") -> list[Finding]:
    """Check that each key has one row, each child row a parent, and each list as many live rows as the API listed.

    The latest version in the history must equal the row.

    Args:
        pipeline: The pipeline whose destination is queried.
        endpoints: The endpoints whose tables to check.
        deletes: The setting: what happens to rows that the API no longer lists.

    Raises:
        ConfigurationError: The dataset has none of the tables, or a table was loaded by another key.
        DestinationError: The destination cannot be reached or read.
    """
    check_keys(pipeline, endpoints)
    found = []
    for endpoint in endpoints:
        for rule in (_key_rule(endpoint), *_child_rules(endpoint), *_history_rules(endpoint)):
            broken = count_rows(pipeline, rule.query, rule.tables, {**rule.columns, **_COLUMNS})
            if broken is not None:
                found.append(Finding(rule.table, rule.text, broken))
        if (off := _count_off(pipeline, endpoint, deletes)) is not None:
            found.append(Finding(endpoint.table, "as many live rows as the last sweep listed", off))
    if not found:
        raise ConfigurationError(
            "--dataset",
            f"{pipeline.dataset_name} has none of the tables {', '.join(one.table for one in endpoints)}.",
            "Sync first, or name another dataset.",
        )
    return found


def _count_off(pipeline: SupportsPipeline, endpoint: Endpoint, deletes: str) -> int | None:
    """By how many rows the live rows of a list differ from the keys of its last sweep, over all organizations.

    None where the last sweep does not tell: it was not complete, or limited to a part, or records were rejected.
    """
    if endpoint.kind != "list" or deletes == "ignore":
        return None
    owners = _owners(pipeline) if endpoint.by_organization else [None]
    found = [_count_off_one(pipeline, endpoint, owner) for owner in owners]
    known = [off for off in found if off is not None]
    return sum(known) if known else None


def _owners(pipeline: SupportsPipeline) -> list[str | None]:
    return sorted({owner for (owner,) in read_rows(pipeline, SWEEPS_TABLE, (ORGANIZATION,))})


def _count_off_one(pipeline: SupportsPipeline, endpoint: Endpoint, owner: str | None) -> int | None:
    own = organization_filter(owner)
    by = {"table_name": endpoint.table, **own}
    last = read_latest(pipeline, SWEEPS_TABLE, ("verdict", "distinct_keys", EXTRA), by, "finished_at", 1)
    rejected = read_latest(pipeline, REJECTED_TABLE, ("resolved_at",), by, "rejected_at", MOST_KEYS)
    if not last or any(resolved_at is None for (resolved_at,) in rejected):
        return None
    verdict, listed, extra = last[0]
    facts = SweepFacts.from_json(json_object(extra))
    if verdict != Verdict.COMPLETE or not facts.full or facts.partial or len(facts.candidates) >= MOST_KEYS:
        return None
    once = "SELECT DISTINCT {names} FROM {rows}"
    keys = read_rows(pipeline, endpoint.table, (endpoint.row_key,), {**own, DELETED_AT: None}, once)
    live = sum(1 for _ in keys)
    # Rows that are not listed wait for the next sweep, or are live at their own URLs.
    most = listed + len({*facts.candidates, *facts.off_list})
    return max(int(listed) - live, live - int(most), 0)


def _key_rule(endpoint: Endpoint) -> Rule:
    table, by = endpoint.table, _grouped(endpoint)
    query = f"SELECT {by}{{key}} FROM {{{table}}} GROUP BY {by}{{key}} HAVING COUNT(*) > 1"
    return Rule(table, "one row a key", query, (table,), {"key": endpoint.row_key})


def _child_rules(endpoint: Endpoint) -> Iterator[Rule]:
    table, by = endpoint.table, _grouped(endpoint)
    for child in endpoint.children:
        columns = {"key": endpoint.row_key, "parent": child.parent_key}
        orphans = (
            f"SELECT c.{{parent}} FROM {{{child.table}}} c LEFT JOIN {{{table}}} t ON t.{{key}} = c.{{parent}} "
            f"{_same_organization(endpoint, 't', 'c')}WHERE t.{{key}} IS NULL"
        )
        gaps = (
            f"SELECT {by}{{parent}} FROM {{{child.table}}} WHERE {{deleted_at}} IS NULL "
            f"GROUP BY {by}{{parent}} HAVING MAX({{position}}) + 1 <> COUNT(*)"
        )
        yield Rule(child.table, "its parent is there", orphans, (table, child.table), columns)
        yield Rule(child.table, "no gap in a list", gaps, (child.table,), columns)


def _grouped(endpoint: Endpoint) -> str:
    """What comes before a key: in a table of several organizations each of them may have the same key."""
    return "{organization_id}, " if endpoint.by_organization else ""


def _same_organization(endpoint: Endpoint, one: str, other: str) -> str:
    """A condition that two rows are of the same organization, if there are several."""
    return f"AND {one}.{{organization_id}} = {other}.{{organization_id}} " if endpoint.by_organization else ""


def _history_rules(endpoint: Endpoint) -> Iterator[Rule]:
    table, history, columns = endpoint.table, history_table(endpoint), {"key": endpoint.row_key}
    by = ", h.{organization_id}" if endpoint.by_organization else ""
    latest = (
        f"(SELECT * FROM (SELECT h.{{key}}{by}, h.{{version}}, h.{{deleted}}, LEAD(h.{{valid_from}}) OVER "
        f"(PARTITION BY h.{{key}}{by} ORDER BY h.{{valid_from}}) AS ends FROM {{{history}}} h) v WHERE v.ends IS NULL)"
    )
    equal = (
        f"SELECT t.{{key}} FROM {{{table}}} t LEFT JOIN {latest} o ON o.{{key}} = t.{{key}} "
        f"{_same_organization(endpoint, 'o', 't')}"
        "WHERE (o.{key} IS NULL AND t.{deleted_at} IS NULL) OR (t.{deleted_at} IS NULL AND "
        "o.{version} <> t.{row_hash}) OR (t.{deleted_at} IS NOT NULL AND NOT o.{deleted}) UNION ALL "
        f"SELECT h.{{key}} FROM {latest} h LEFT JOIN {{{table}}} t ON t.{{key}} = h.{{key}} "
        f"{_same_organization(endpoint, 't', 'h')}WHERE NOT h.{{deleted}} AND t.{{key}} IS NULL"
    )
    yield Rule(history, "the latest version is what the table holds", equal, (table, history), columns)
