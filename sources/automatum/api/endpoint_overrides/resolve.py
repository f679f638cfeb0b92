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

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...config.settings import AutomatumSettings
from ...core.errors import ConfigurationError
from ...endpoints import ENDPOINTS, OF_ORGANIZATION, ORGANIZATION, REVENUE, Column, Endpoint, FieldPath
from .columns import formats_of, with_formats
from .keys import override
from .naming import NAMINGS, checked_naming, with_naming
from .values import TABLE_NAME, next_step, text

_WHERE = "sources.automatum.endpoints"


def resolve_endpoints(settings: AutomatumSettings, by_organization: bool | None = None) -> tuple[Endpoint, ...]:
    """The endpoints with the overrides of the settings, in their order.

    Args:
        settings: Resolved settings.
        by_organization: Whether the tables hold several organizations; None: as the settings say.

    Raises:
        ConfigurationError: An override names an unknown table or key, or has a value of a wrong type.
    """
    overrides = settings.endpoints or {}
    if not isinstance(overrides, Mapping):
        raise ConfigurationError(_WHERE, "not a table of tables.")
    conventions = _Conventions(settings, overrides)
    found = {endpoint.table: conventions.apply(endpoint) for endpoint in ENDPOINTS}
    named: set[str] = set()
    for position, report in enumerate(settings.reports or ()):
        where = f"sources.automatum.reports[{position}]"
        endpoint = _report(where, report, conventions)
        if endpoint.table in named:
            raise ConfigurationError(f"{where}.name", f"there is a report {report['name']!r} already.")
        named.add(endpoint.table)
        found[endpoint.table] = endpoint
    for name, changes in overrides.items():
        if name not in found:
            raise ConfigurationError(f"{_WHERE}.{name}", "no such table.", next_step(name, "Tables", found))
        found[name] = override(f"{_WHERE}.{name}", found[name], changes)
    _check_names(found)
    if bool(settings.organization) if by_organization is None else by_organization:
        return tuple(_by_organization(endpoint) for endpoint in found.values())
    return tuple(found.values())


class _Conventions:
    """The settings for the whole API, `naming` and `timestamps`, which apply before the overrides of an endpoint."""

    def __init__(self, settings: AutomatumSettings, overrides: Mapping[str, Any]) -> None:
        self._naming = checked_naming("sources.automatum.naming", settings.naming or next(iter(NAMINGS)))
        given = settings.timestamps
        self._formats = formats_of("sources.automatum.timestamps", given) if given else ()
        self._overrides = overrides

    def apply(self, endpoint: Endpoint, where: str = "", changes: Mapping[str, Any] | None = None) -> Endpoint:
        """The endpoint; `changes` are those of a report's own entry, at `where`."""
        naming = self._naming
        own = self._overrides.get(endpoint.table)
        for at, table in ((where, changes), (f"{_WHERE}.{endpoint.table}", own)):
            if isinstance(table, Mapping) and "naming" in table:
                naming = checked_naming(f"{at}.naming", table["naming"])
        endpoint = with_naming(endpoint, naming)
        return with_formats(endpoint, self._formats) if self._formats else endpoint


def _check_names(endpoints: Mapping[str, Endpoint]) -> None:
    """Check that each child table has a name of its own."""
    taken = set(endpoints)
    for endpoint in endpoints.values():
        for child in endpoint.children:
            if child.table in taken:
                raise ConfigurationError(
                    f"{_WHERE}.{endpoint.table}.children.{child.table}",
                    "there is a table of this name already.",
                    "Choose another name.",
                )
            taken.add(child.table)


def _by_organization(endpoint: Endpoint) -> Endpoint:
    """The endpoint for a table that several organizations share."""
    columns = endpoint.columns
    if all(column.name != ORGANIZATION for column in columns):
        place = NAMINGS[endpoint.naming]("organizationId")
        columns = (Column(ORGANIZATION, "text", (FieldPath(place),), description=OF_ORGANIZATION), *columns)
    return replace(endpoint, columns=columns, by_organization=True)


def _report(where: str, spec: Any, conventions: _Conventions) -> Endpoint:
    if not isinstance(spec, Mapping) or "name" not in spec:
        raise ConfigurationError(where, "a report needs a name.", 'Write it as { name = "usage", ... }.')
    name = text(f"{where}.name", spec["name"])
    if not TABLE_NAME.fullmatch(name):
        raise ConfigurationError(f"{where}.name", f"{name!r} is not a table name.", "Use a-z, 0-9 and _.")
    changes = {key: value for key, value in spec.items() if key != "name"}
    if name == "revenue":
        return override(where, conventions.apply(REVENUE, where, changes), changes)
    # Keep only the key columns of the default report, because the measures of another report are not known.
    columns = tuple(column for column in REVENUE.columns if column.name in REVENUE.key)
    report = replace(REVENUE, table=f"analytics_{name}", path=f"analytics/{name}", columns=columns, description="")
    return override(where, conventions.apply(report, where, changes), changes)
