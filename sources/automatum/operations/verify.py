"""Whether what the syncs left behind is sound, asked of the destination alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dlt.common.pipeline import SupportsPipeline

from ..core.errors import EXIT_COMPLETE, EXIT_INCOMPLETE
from ..endpoints import ORGANIZATION, Endpoint
from ..schema.arrow_tables import DELETED_AT, ROW_HASH
from ..sync.history import IS_DELETED, VERSION, history_table
from ..warehouse.sql import count_rows

Rule = tuple[str, str, str, tuple[str, ...]]
"""Table, what must hold, a query for what breaks it, and the tables that the query names."""


@dataclass
class Finding:
    """One thing that was checked.

    Attributes:
        table: Table.
        rule: What must hold.
        broken: Number of rows or keys for which it does not.
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
    """Check what must hold in the destination.

    One row a key; children only of rows that are there; and of the history: one open version a key, no gaps, no
    overlaps, and the open version is what the table holds.

    Args:
        pipeline: The pipeline whose destination is asked.
        endpoints: Whose tables.

    Raises:
        DestinationError: The destination cannot be reached or read.
    """
    found = Verification()
    for endpoint in endpoints:
        table, key = endpoint.table, endpoint.row_key
        # In a table of several organizations the same key may be there once for each.
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
                    f"{_same(endpoint, 't', 'c')}"
                    "WHERE t.{key} IS NULL",
                    (table, child.table),
                )
            )
        rules += _history_rules(endpoint)
        names = {"key": key, "parent": endpoint.children[0].parent_key if endpoint.children else key}
        for about, rule, text, tables in rules:
            broken = count_rows(pipeline, text, tables, {**names, **_NAMES})
            if broken is not None:
                found.findings.append(Finding(about, rule, broken))
    return found


_NAMES = {
    ORGANIZATION: ORGANIZATION,
    "valid_from": "valid_from",
    "valid_to": "valid_to",
    "version": VERSION,
    "deleted": IS_DELETED,
    "row_hash": ROW_HASH,
    "deleted_at": DELETED_AT,
}


def _same(endpoint: Endpoint, one: str, other: str) -> str:
    """That two rows are of the same organization, where there are several."""
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
            f"ON o.{{key}} = k.{{key}} {_same(endpoint, 'o', 'k')}"
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
            f"{open_versions}) o ON o.{{key}} = t.{{key}} {_same(endpoint, 'o', 't')}"
            "WHERE (o.{key} IS NULL AND t.{deleted_at} IS NULL) OR (t.{deleted_at} IS NULL AND "
            "o.{version} <> t.{row_hash}) OR (t.{deleted_at} IS NOT NULL AND NOT o.{deleted})",
            (table, history),
        ),
    ]
