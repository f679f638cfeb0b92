"""Check the consistency of the tables in the destination; sends no request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import Template

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
"""Names in braces in the rules, each with its column name."""
_LATEST = """
(SELECT * FROM (
    SELECT {key}$by, {version}, {deleted}, LEAD({valid_from}) OVER (PARTITION BY {key}$by ORDER BY {valid_from}) AS ends
    FROM $history
) v WHERE v.ends IS NULL)
"""
_RULES = (
    ("$table", "one row a key", "SELECT {key}$by FROM $table GROUP BY {key}$by HAVING COUNT(*) > 1"),
    (
        "$child",
        "its parent is there",
        "SELECT o.{parent} FROM $child o LEFT JOIN $table t ON t.{key} = o.{parent} $same WHERE t.{key} IS NULL",
    ),
    (
        "$child",
        "no gap in a list",
        "SELECT {parent}$by FROM $child WHERE {deleted_at} IS NULL GROUP BY {parent}$by "
        "HAVING MAX({position}) + 1 <> COUNT(*)",
    ),
    (
        "$history",
        "the latest version is what the table holds",
        f"""
        SELECT t.{{key}} FROM $table t LEFT JOIN {_LATEST} o ON o.{{key}} = t.{{key}} $same
        WHERE (o.{{key}} IS NULL AND t.{{deleted_at}} IS NULL)
           OR (t.{{deleted_at}} IS NULL AND o.{{version}} <> t.{{row_hash}})
           OR (t.{{deleted_at}} IS NOT NULL AND NOT o.{{deleted}})
        UNION ALL
        SELECT o.{{key}} FROM {_LATEST} o LEFT JOIN $table t ON t.{{key}} = o.{{key}} $same
        WHERE NOT o.{{deleted}} AND t.{{key}} IS NULL
        """,
    ),
)
"""The table of each rule, the rule, and a query for the rows or keys that break it.

`$by` and `$same` are empty, or name the organization: in a table of several, each of them may have the same key.
"""


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
    found: list[Finding] = []
    for endpoint in endpoints:
        found += _check_table(pipeline, endpoint)
        if (off := _count_off(pipeline, endpoint, deletes)) is not None:
            found.append(Finding(endpoint.table, "as many live rows as the last sweep listed", off))
    if not found:
        raise ConfigurationError(
            "--dataset",
            f"{pipeline.dataset_name} has none of the tables {', '.join(one.table for one in endpoints)}.",
            "Sync first, or name another dataset.",
        )
    return found


def _check_table(pipeline: SupportsPipeline, endpoint: Endpoint) -> Iterator[Finding]:
    several = endpoint.by_organization
    by = {
        "by": ", {organization_id}" if several else "",
        "same": "AND o.{organization_id} = t.{organization_id}" if several else "",
    }
    for place, rule, query in _RULES:
        for child in endpoint.children if place == "$child" else (None,):
            tables = {"table": endpoint.table, "history": history_table(endpoint)}
            columns = {**_COLUMNS, "key": endpoint.row_key}
            if child:
                tables["child"], columns["parent"] = child.table, child.parent_key
            named = [table for name, table in tables.items() if f"${name}" in query]
            text = Template(query).substitute(by, **{name: f"{{{table}}}" for name, table in tables.items()})
            broken = count_rows(pipeline, text, named, columns)
            if broken is not None:
                yield Finding(Template(place).substitute(tables), rule, broken)


def _count_off(pipeline: SupportsPipeline, endpoint: Endpoint, deletes: str) -> int | None:
    """By how many rows the live rows of a list differ from the keys of its last sweep, over all organizations.

    None where the last sweep does not tell: it was not complete, or limited to a part, or records were rejected.
    """
    if endpoint.kind != "list" or deletes == "ignore":
        return None
    owners: set[str | None] = {None}
    if endpoint.by_organization:
        owners = {owner for (owner,) in read_rows(pipeline, SWEEPS_TABLE, (ORGANIZATION,))}
    known: list[int] = []
    for own in map(organization_filter, owners):
        by = {"table_name": endpoint.table, **own}
        last = read_latest(pipeline, SWEEPS_TABLE, ("verdict", "distinct_keys", EXTRA), by, "finished_at", 1)
        rejected = read_latest(pipeline, REJECTED_TABLE, ("resolved_at",), by, "rejected_at", MOST_KEYS)
        for verdict, listed, extra in last:
            facts = SweepFacts.from_json(json_object(extra))
            whole = verdict == Verdict.COMPLETE and facts.full and not facts.partial
            if whole and len(facts.candidates) < MOST_KEYS and all(at is not None for (at,) in rejected):
                once = "SELECT DISTINCT {names} FROM {rows}"
                keys = read_rows(pipeline, endpoint.table, (endpoint.row_key,), {**own, DELETED_AT: None}, once)
                live = sum(1 for _ in keys)
                # Rows that are not listed wait for the next sweep, or are live at their own URLs.
                most = int(listed) + len({*facts.candidates, *facts.off_list})
                known.append(max(int(listed) - live, live - most, 0))
    return sum(known) if known else None
