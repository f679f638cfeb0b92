"""What `check --explain` has found of each table, and the settings that it proposes."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import tomlkit

from ..api.endpoint_overrides import resolve_endpoints
from ..config.settings import AutomatumSettings
from ..core.errors import EXIT_ACCESS, EXIT_COMPLETE, AutomatumError, worst_exit_code
from ..core.text import escape_toml
from ..endpoints import Endpoint

_SECTION = ("sources", "automatum")


class Draft:
    """An endpoint, and the settings that are proposed for it. Each proposal is applied as the configuration would be.

    Args:
        settings: Resolved settings.
        endpoint: The endpoint with the overrides of the settings.
    """

    def __init__(self, settings: AutomatumSettings, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.proposal: dict[str, Any] = {}
        self._settings = settings

    def propose(self, **keys: Any) -> None:
        """Propose settings of the endpoint, unless they change nothing. Tables such as `columns` are merged."""
        changed = self.tried(**keys)
        if changed == self.endpoint:
            return
        self.endpoint = changed
        self.proposal = _merged(self.proposal, keys)

    def tried(self, **keys: Any) -> Endpoint:
        """The endpoint with further settings, which are not proposed.

        Raises:
            ConfigurationError: The settings exclude each other.
        """
        settings = copy.copy(self._settings)
        settings.endpoints = {**(settings.endpoints or {}), self.endpoint.table: self.complete(keys)}
        found = resolve_endpoints(settings, self.endpoint.by_organization)
        return next(one for one in found if one.table == self.endpoint.table)

    def complete(self, keys: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The whole table of settings: what is configured, what is proposed, and further keys."""
        present = (self._settings.endpoints or {}).get(self.endpoint.table) or {}
        return _merged(_merged(present, self.proposal), keys or {})


@dataclass
class TableExplanation:
    """What was found of one table.

    Attributes:
        table: Table name.
        requests: Requests that it took.
        facts: What was found: short name to text, number, list or table. Names and counts, and no values of records but
            those of `status` and `vendor`.
        settings: The table of settings that is proposed, with what is configured already; empty if nothing is proposed.
        proposed: Those of its keys that are new.
        report_window_days: Days of the longest range that a report answers, if it is shorter than a sync asks for.
        doubts: What one request cannot settle, and what to look at.
        error: What went wrong.
    """

    table: str
    requests: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    proposed: list[str] = field(default_factory=list)
    report_window_days: int | None = None
    doubts: list[str] = field(default_factory=list)
    error: AutomatumError | None = None

    def as_json(self) -> dict[str, Any]:
        """The explanation as a JSON object."""
        return {
            "requests": self.requests,
            "found": self.facts,
            "proposed": self.settings,
            "proposed_keys": self.proposed,
            "doubts": self.doubts,
            "problem": self.error.message if self.error else "",
            "next_step": self.error.next_step if self.error else "",
        }


@dataclass
class Explanation:
    """What was found of all tables.

    Attributes:
        tables: By table.
        settings: Settings that are proposed for the whole API.
        skipped: Table to the scope that the token does not grant.
        requests: API requests.
        token_requests: Requests for a token.
    """

    tables: list[TableExplanation] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    requests: int = 0
    token_requests: int = 0

    @property
    def exit_code(self) -> int:
        """0 if every table that the token grants could be read, whatever is proposed."""
        errors = [one.error for one in self.tables if one.error]
        if errors:
            return worst_exit_code(error.exit_code for error in errors)
        return EXIT_COMPLETE if self.tables else EXIT_ACCESS

    @property
    def proposes(self) -> bool:
        """Whether any setting is proposed."""
        return bool(self.settings) or any(one.proposed for one in self.tables)

    def as_json(self) -> dict[str, Any]:
        """The explanation as one JSON object."""
        return {
            "ok": self.exit_code == EXIT_COMPLETE,
            "requests": self.requests,
            "token_requests": self.token_requests,
            "tables": {one.table: one.as_json() for one in self.tables},
            "skipped": self.skipped,
            "proposed": self.settings,
            "toml": self.as_toml(),
            "errors": [one.error.as_json() for one in self.tables if one.error],
        }

    def as_toml(self) -> str:
        """The proposal as TOML for `.dlt/config.toml`; a comment if nothing is proposed."""
        document = tomlkit.document()
        if not self.proposes:
            document.add(tomlkit.comment("automatum check --explain proposes nothing."))
            return tomlkit.dumps(document)
        document.add(tomlkit.comment("Proposed by automatum check --explain, from the answers that it saw. Look at it"))
        document.add(
            tomlkit.comment("before you paste it into .dlt/config.toml. It replaces the tables of these names.")
        )
        inner: Any = document
        for name in _SECTION:
            inner = inner.setdefault(name, tomlkit.table(is_super_table=True))
        for name, value in self.settings.items():
            inner[name] = value
        endpoints = tomlkit.table(is_super_table=True)
        for one in self.tables:
            if one.proposed:
                endpoints[one.table] = _table(one)
        if len(endpoints):
            inner["endpoints"] = endpoints
        # Names of fields come from outside, and are shown in a terminal.
        return escape_toml(tomlkit.dumps(document))


def _table(explanation: TableExplanation) -> Any:
    made = tomlkit.table()
    for doubt in explanation.doubts:
        made.add(tomlkit.comment(doubt))
    for name, value in explanation.settings.items():
        made[name] = _inline(value) if isinstance(value, Mapping) else value
    return made


def _inline(value: Mapping[str, Any]) -> Any:
    made = tomlkit.inline_table()
    for name, inner in value.items():
        made[name] = _inline(inner) if isinstance(inner, Mapping) else inner
    return made


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(first)
    for name, value in second.items():
        present = made.get(name)
        both = isinstance(present, Mapping) and isinstance(value, Mapping)
        made[name] = _merged(present, value) if both else value  # type: ignore[arg-type]
    return made
