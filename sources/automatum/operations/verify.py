"""Check the consistency of the tables in the destination; sends no request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dlt.common.pipeline import SupportsPipeline

from ..core.errors import EXIT_COMPLETE, EXIT_INCOMPLETE, ConfigurationError
from ..endpoints import ORGANIZATION, Endpoint
from ..schema.columns import DELETED_AT, IS_DELETED, POSITION, ROW_HASH, VERSION, history_table
from ..sync.key_check import check_keys
from ..warehouse.sql import count_rows

Rule = tuple[str, str, str, tuple[str, ...]]
"""Table, rule, a query for the rows that break it, and the tables that the query names."""


@dataclass
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


@dataclass
class Verification:
    """What a verification found."""

    findings: list[Finding] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """65 if any rule is broken."""
        return EXIT_INCOMPLETE if any(one.broken for one in self.findings) else EXIT_COMPLETE

    def as_json(self) -> dict[str, Any]:
        """The findings as one JSON object."""
        return {
            "ok": self.exit_code == EXIT_COMPLETE,
            "findings": [{"table": one.table, "rule": one.rule, "broken": one.broken} for one in self.findings],
        }


def verify(pipeline: SupportsPipeline, endpoints: Sequence[Endpoint]) -> Verification:
    """Check that each key has one row, and each child row a parent.

    In the history, each key must have one open version, which equals the row, and versions without gaps and overlaps.

    Args:
        pipeline: The pipeline whose destination is queried.
        endpoints: The endpoints whose tables to check.

    Raises:
        ConfigurationError: The dataset has none of the tables, or a table was loaded by another key.
        DestinationError: The destination cannot be reached or read.
    """
    check_keys(pipeline, endpoints)
    found = Verification()
    for endpoint in endpoints:
        table, key = endpoint.table, endpoint.row_key
        # In a table of several organizations each of them may have the same key.
        own = "{organization_id}, " if endpoint.by_organization else ""
        rules: list[Rule] = [
            (
                table,
                "one row a key",
                f"SELECT {own}{{key}} FROM {{{table}}} GROUP BY {own}{{key}} HAVING COUNT(*) > 1",
                (table,),
            )
        ]
        for child in endpoint.children:
            rules.append(
                (
                    child.table,
                    "its parent is there",
                    f"SELECT c.{{parent}} FROM {{{child.table}}} c LEFT JOIN {{{table}}} t ON t.{{key}} = c.{{parent}} "
                    f"{_same_organization(endpoint, 't', 'c')}"
                    "WHERE t.{key} IS NULL",
                    (table, child.table),
                )
            )
            rules.append(
                (
                    child.table,
                    "no gap in a list",
                    f"SELECT {own}{{parent}} FROM {{{child.table}}} WHERE {{deleted_at}} IS NULL "
                    f"GROUP BY {own}{{parent}} HAVING MAX({{position}}) + 1 <> COUNT(*)",
                    (child.table,),
                )
            )
        rules += _history_rules(endpoint)
        names = {"key": key, "parent": endpoint.children[0].parent_key if endpoint.children else key}
        for about, rule, text, tables in rules:
            broken = count_rows(pipeline, text, tables, {**names, **_NAMES})
            if broken is not None:
                found.findings.append(Finding(about, rule, broken))
    if not found.findings:
        raise ConfigurationError(
            "--dataset",
            f"{pipeline.dataset_name} has none of the tables {', '.join(one.table for one in endpoints)}.",
            "Sync first, or name another dataset.",
        )
    return found


_NAMES = {
    ORGANIZATION: ORGANIZATION,
    "valid_from": "valid_from",
    "valid_to": "valid_to",
    "version": VERSION,
    "deleted": IS_DELETED,
    "row_hash": ROW_HASH,
    "deleted_at": DELETED_AT,
    "position": POSITION,
}


def _same_organization(endpoint: Endpoint, one: str, other: str) -> str:
    """A condition that two rows are of the same organization, if there are several."""
    return f"AND {one}.{{organization_id}} = {other}.{{organization_id}} " if endpoint.by_organization else ""


def _history_rules(endpoint: Endpoint) -> list[Rule]:
    table, history = endpoint.table, history_table(endpoint)
    by = ", h.{organization_id}" if endpoint.by_organization else ""
    owner = ", {organization_id}" if endpoint.by_organization else ""
    open_versions = f"FROM {{{history}}} h WHERE h.{{valid_to}} IS NULL"
    next_one = (
        f"SELECT h.{{key}}, h.{{valid_to}} AS ends, LEAD(h.{{valid_from}}) OVER "
        f"(PARTITION BY h.{{key}}{by} ORDER BY h.{{valid_from}}) AS begins FROM {{{history}}} h"
    )
    return [
        (
            history,
            "one open version a key",
            f"SELECT k.{{key}} FROM (SELECT DISTINCT {{key}}{owner} FROM {{{history}}}) k LEFT JOIN "
            f"(SELECT h.{{key}}{by}, COUNT(*) AS versions {open_versions} GROUP BY h.{{key}}{by}) o "
            f"ON o.{{key}} = k.{{key}} {_same_organization(endpoint, 'o', 'k')}"
            "WHERE o.versions IS NULL OR o.versions <> 1",
            (history,),
        ),
        (
            history,
            "a version ends where the next begins",
            f"SELECT v.{{key}} FROM ({next_one}) v WHERE (v.begins IS NOT NULL AND (v.ends IS NULL OR v.ends <> "
            "v.begins)) OR (v.begins IS NULL AND v.ends IS NOT NULL)",
            (history,),
        ),
        (
            history,
            "the open version is what the table holds",
            f"SELECT t.{{key}} FROM {{{table}}} t LEFT JOIN (SELECT h.{{key}}{by}, h.{{version}}, h.{{deleted}} "
            f"{open_versions}) o ON o.{{key}} = t.{{key}} {_same_organization(endpoint, 'o', 't')}"
            "WHERE (o.{key} IS NULL AND t.{deleted_at} IS NULL) OR (t.{deleted_at} IS NULL AND "
            "o.{version} <> t.{row_hash}) OR (t.{deleted_at} IS NOT NULL AND NOT o.{deleted}) UNION ALL "
            f"SELECT h.{{key}} FROM {{{history}}} h LEFT JOIN {{{table}}} t ON t.{{key}} = h.{{key}} "
            f"{_same_organization(endpoint, 't', 'h')}"
            "WHERE h.{valid_to} IS NULL AND NOT h.{deleted} AND t.{key} IS NULL",
            (table, history),
        ),
    ]
