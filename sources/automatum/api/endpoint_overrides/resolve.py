"""Applies the overrides of the configuration to the table of endpoints.

Half of the API is assumed (see `automatum.endpoints`). If an assumption is wrong, correct it in the configuration:

    [sources.automatum.endpoints.entitlements]
    path = "contracts"
    records = "data.items"
    parameters = { page = "p", limit = "per_page" }

    [[sources.automatum.reports]]
    name = "usage"
    path = "analytics/usage"
    key = ["date", "dimension"]
    columns = { units = "decimal" }
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...config.settings import AutomatumSettings
from ...core.errors import ConfigurationError
from ...endpoints import ENDPOINTS, ORGANIZATION, REVENUE, Column, Endpoint, FieldPath
from .keys import override
from .values import next_step, text

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def resolve_endpoints(settings: AutomatumSettings, by_organization: bool | None = None) -> tuple[Endpoint, ...]:
    """The endpoints with the overrides of the settings, in their order.

    Args:
        settings: Resolved settings.
        by_organization: Whether the tables hold several organizations; None: as the settings say.

    Raises:
        ConfigurationError: An override names an unknown table or key, or has a value of a wrong type.
    """
    table = {endpoint.table: endpoint for endpoint in ENDPOINTS}
    named: set[str] = set()
    for position, report in enumerate(settings.reports or ()):
        where = f"sources.automatum.reports[{position}]"
        endpoint = _report(where, report)
        if endpoint.table in named:
            raise ConfigurationError(f"{where}.name", f"there is a report {report['name']!r} already.")
        named.add(endpoint.table)
        table[endpoint.table] = endpoint
    overrides = settings.endpoints or {}
    where = "sources.automatum.endpoints"
    if not isinstance(overrides, Mapping):
        raise ConfigurationError(where, "not a table of tables.")
    for name, changes in overrides.items():
        if name not in table:
            raise ConfigurationError(f"{where}.{name}", "no such table.", next_step(name, "Tables", table))
        table[name] = override(f"{where}.{name}", table[name], changes)
    if bool(settings.organization) if by_organization is None else by_organization:
        return tuple(_by_organization(endpoint) for endpoint in table.values())
    return tuple(table.values())


def _by_organization(endpoint: Endpoint) -> Endpoint:
    """The endpoint for a table that several organizations share."""
    columns = endpoint.columns
    if all(column.name != ORGANIZATION for column in columns):
        columns = (Column(ORGANIZATION, "text", (FieldPath("organizationId"),)), *columns)
    return replace(endpoint, columns=columns, by_organization=True)


def _report(where: str, spec: Any) -> Endpoint:
    if not isinstance(spec, Mapping) or "name" not in spec:
        raise ConfigurationError(where, "a report needs a name.", 'Write it as { name = "usage", ... }.')
    name = text(f"{where}.name", spec["name"])
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{where}.name", f"{name!r} is not a table name.", "Use a-z, 0-9 and _.")
    changes = {key: value for key, value in spec.items() if key != "name"}
    if name == "revenue":
        return override(where, REVENUE, changes)
    # Keep only the key columns of the default report, because the measures of another report are not known.
    columns = tuple(column for column in REVENUE.columns if column.name in REVENUE.key)
    plain = replace(REVENUE, table=f"analytics_{name}", path=f"analytics/{name}", columns=columns)
    return override(where, plain, changes)
