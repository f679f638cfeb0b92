"""Several organizations in one configuration.

    [[sources.automatum.organizations]]
    name = "acme"

    [[sources.automatum.organizations]]
    name = "globex"
    organization_id = "org_1a2b3c4d"

    [sources.automatum.acme]          # in secrets.toml
    client_id = "app_..."
    client_secret = "secret_..."

The section of an organization (`[sources.automatum.acme]`) has its credentials, and may override any other setting. A
setting that is not there is taken from `[sources.automatum]`, except for the credentials: a forgotten secret must not
load the data of one organization under the name of another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from dlt.common.configuration.exceptions import ConfigValueCannotBeCoercedException

from ..core.errors import ConfigurationError
from ..core.suggest import suggestion
from .airflow import AirflowProvider
from .dlt_internals import ConfigProvider, EnvironProvider, SettingsTomlProvider, deserialize_value
from .lookup import APPLICATIONS, CREDENTIALS, SECTIONS, Place, clean, look_up
from .toml_files import settings_providers

KEY = "sources.automatum.organizations"
PLACEHOLDER = "{organization}"
"""Placeholder in the URL of a setting for the name of the organization."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_KEYS = ("name", "organization_id")
_MOVED = ("base_url", "credentials")
"""Keys of an entry in earlier versions, whose place is the section of the organization now."""


def configured_organizations() -> dict[str, str | None]:
    """The names of the organizations, in their order, each with the vendor's id if it is given; empty if there is one.

    Raises:
        ConfigurationError: An entry is not valid, or two entries share a name or an id.
    """
    found: dict[str, str | None] = {}
    for position, entry in enumerate(look_up("organizations", list) or ()):
        name, organization_id = _entry(f"{KEY}[{position}]", entry)
        if name in found or (organization_id or name) in [id_ or name for name, id_ in found.items()]:
            raise ConfigurationError(KEY, f"two entries have the name or id {name}.", "Give each its own.")
        found[name] = organization_id
    return found


def organization_names() -> tuple[str, ...]:
    """Names of the configured organizations, in their order; empty if there are none. Sends no request."""
    return tuple(configured_organizations())


def section_of(organization: str | None) -> tuple[str, ...]:
    """The section that has the credentials of an organization; None for the only one.

    Raises:
        ConfigurationError: No organization has this name.
    """
    if organization is None:
        return SECTIONS
    names = organization_names()
    if organization not in names:
        known = f"Configured under {KEY}: {', '.join(names) or 'none'}."
        step = f"{suggestion(organization, names)} {known}".lstrip()
        raise ConfigurationError("--organization", f"no organization {organization!r}.", step)
    return (*SECTIONS, organization)


def refuse_shared_application(organization: str, client_id: str) -> None:
    """Refuse an OAuth application that another organization has, too, alone or in a pool.

    Its token reads the data of one organization, which would be loaded, and billed, under two names (I5). Vaults, and
    Airflow's connections of others, are not asked: one organization must not need access to the secrets of another.

    Raises:
        ConfigurationError: Another organization at the same host has it.
    """
    for other in organization_names():
        if other == organization or _host_of(other) != _host_of(organization):
            continue
        for provider in settings_providers():
            for key in (CREDENTIALS[0], APPLICATIONS):
                found, name = _client_ids(provider, key, other)
                if client_id in found:
                    raise ConfigurationError(
                        ".".join((*section_of(organization), CREDENTIALS[0])),
                        f"{client_id} is the OAuth application of the organization {other}, too "
                        f"({Place(provider, (*section_of(other), key), name).where}).",
                        "Create an OAuth application in each organization, or remove one of the two entries.",
                    )


def _client_ids(provider: ConfigProvider, key: str, organization: str) -> tuple[set[str], str]:
    """The client ids that a provider has of an organization under a key, and the name of the key there.

    A list that is not valid has none: it is refused where it is used. No secret leaves this function (I6).
    """
    if not isinstance(provider, (EnvironProvider, SettingsTomlProvider, AirflowProvider)):
        return set(), key
    value, name = provider.get_value(key, str if key == CREDENTIALS[0] else list, "", *SECTIONS, organization)
    if key == CREDENTIALS[0]:
        return {clean(str(value or ""))}, name
    with suppress(ConfigValueCannotBeCoercedException):
        value = deserialize_value(key, value, list) if isinstance(value, str) else value
    entries = value if isinstance(value, list) else ()
    return {clean(str(one.get(CREDENTIALS[0]))) for one in entries if isinstance(one, Mapping)}, name


def _host_of(organization: str) -> str:
    url = look_up("base_url", str, (*SECTIONS, organization), SECTIONS) or ""
    return str(url).rstrip("/").lower()


def insert_organization(key: str, url: str, organization: str | None) -> str:
    """Insert the name of the organization into a URL whose target organizations must not share.

    Args:
        key: Name of the setting, for the error.
        url: Value of the setting.
        organization: Name of the organization; None if only one is configured. Then the URL is returned unchanged.

    Raises:
        ConfigurationError: The URL lacks the placeholder `{organization}`.
    """
    if organization is None:
        return url
    if PLACEHOLDER not in url:
        raise ConfigurationError(
            key,
            "the URL is the same for all organizations, and each needs its own.",
            f"Write {PLACEHOLDER} into the URL where the name of the organization belongs.",
        )
    return url.replace(PLACEHOLDER, organization)


def _entry(where: str, entry: Any) -> tuple[str, str | None]:
    if not isinstance(entry, Mapping) or "name" not in entry:
        raise ConfigurationError(where, "an organization needs a name.", 'Write it as { name = "acme" }.')
    for key, text in entry.items():
        if key in _MOVED:
            step = f"Write it in the section [sources.automatum.{entry['name']}]"
            step += ", as client_id and client_secret." if key == "credentials" else "."
            raise ConfigurationError(f"{where}.{key}", "was removed.", step)
        if key not in _KEYS:
            step = f"{suggestion(key, _KEYS)} Settings are {', '.join(_KEYS)}.".lstrip()
            raise ConfigurationError(f"{where}.{key}", "no such setting.", step)
        if not isinstance(text, str) or not text.strip():
            raise ConfigurationError(f"{where}.{key}", "not a text.")
    name = entry["name"]
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{where}.name", f"{name!r} is not a name.", "Use a-z, 0-9 and _, at most 40, a letter first."
        )
    return name, entry.get("organization_id")
