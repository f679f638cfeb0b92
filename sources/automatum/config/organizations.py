"""Several organizations in one configuration, and where the credentials of each are.

    [[sources.automatum.organizations]]
    name = "acme"

    [[sources.automatum.organizations]]
    name = "globex"
    organization_id = "org_1a2b3c4d"
    credentials = "vendors.globex"
    base_url = "https://api.example.com"

    [sources.automatum.acme]          # in secrets.toml; `credentials` names another section
    client_id = "app_..."
    client_secret = "secret_..."

The section of an organization (`[sources.automatum.acme]`) may override any other setting. A setting that is not there
is taken from `[sources.automatum]`, except for the credentials: a forgotten secret must not load the data of one
organization under the name of another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dlt.common.typing import TSecretStrValue

from ..core.errors import ConfigurationError
from ..core.suggest import suggestion
from .dlt_internals import UNFILLED, ConfigProvider, EnvironProvider, SettingsTomlProvider
from .lookup import CREDENTIALS, SECTIONS, describe_places, look_up
from .toml_files import settings_providers

KEY = "sources.automatum.organizations"
PLACEHOLDER = "{organization}"
"""Placeholder in the URL of a setting for the name of the organization."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_WORDS = ("name", "credentials", "base_url", "organization_id")


@dataclass(frozen=True)
class Organization:
    """One entry of the list.

    Attributes:
        name: Name on the command line, and in the names of pipelines and files.
        credentials: Section of the configuration that holds `client_id` and `client_secret`.
        base_url: Root of the API host; None for the one in `[sources.automatum]`.
        organization_id: Value of the column `organization_id` in all tables; by default the name.
        named_id: Whether the entry sets `organization_id`. Then records of another organization are refused.
    """

    name: str
    credentials: str
    base_url: str | None
    organization_id: str
    named_id: bool


def configured_organizations() -> tuple[Organization, ...]:
    """The configured organizations, in their order; empty if there is only one, which needs no name.

    Raises:
        ConfigurationError: An entry is not valid, or two entries share a name, credentials or an id.
    """
    found = look_up("organizations", list)
    entries = [_entry(f"{KEY}[{position}]", one) for position, one in enumerate(found or ())]
    for word, values in (
        ("name", [one.name for one in entries]),
        ("credentials", [one.credentials for one in entries]),
        ("organization_id", [one.organization_id for one in entries]),
    ):
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ConfigurationError(KEY, f"two entries have the {word} {', '.join(twice)}.", "Give each its own.")
    return tuple(entries)


def organization_names() -> tuple[str, ...]:
    """Names of the configured organizations, in their order; empty if there are none. Sends no request."""
    return tuple(one.name for one in configured_organizations())


def organization_sections() -> tuple[str, ...]:
    """Names of the sections below `sources.automatum` that belong to organizations: settings and credentials."""
    entries = configured_organizations()
    start = f"{'.'.join(SECTIONS)}."
    own = (one.credentials.removeprefix(start) for one in entries if one.credentials.startswith(start))
    return tuple(dict.fromkeys((*(one.name for one in entries), *own)))


def find_organization(name: str) -> Organization:
    """The organization with this name.

    Raises:
        ConfigurationError: No organization has this name.
    """
    entries = configured_organizations()
    for one in entries:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in entries) or "none"
    names = [one.name for one in entries]
    raise ConfigurationError(
        "--organization",
        f"no organization {name!r}.",
        f"{suggestion(name, names)} Configured under {KEY}: {known}.".lstrip(),
    )


def credentials_of(organization: Organization) -> tuple[str, str]:
    """The client id and secret of an organization, from its own section only.

    Raises:
        ConfigurationError: One of them is not set, or another organization has the same application.
    """
    found = []
    for key in CREDENTIALS:
        path = f"{organization.credentials}.{key}"
        section = tuple(organization.credentials.split("."))
        value = look_up(key, str if key == "client_id" else TSecretStrValue, section)
        # The placeholder of a template counts as not set.
        if not isinstance(value, str) or not value.strip() or value == UNFILLED:
            raise ConfigurationError(
                path,
                f"is not set; it is a credential of the organization {organization.name}. Looked in "
                f"{describe_places(key, section)}.",
                f"Set {path.replace('.', '__').upper()}, or write it to .dlt/secrets.toml under "
                f"[{organization.credentials}].",
            )
        found.append(value.strip())
    _refuse_shared_application(organization, found[0])
    return found[0], found[1]


def _refuse_shared_application(organization: Organization, client_id: str) -> None:
    """Refuse an OAuth application that another organization has, too.

    Its token reads the data of one organization, which would be loaded, and billed, under two names (I5). Vaults are
    not asked: one organization must not need access to the secrets of another.
    """
    for other in configured_organizations():
        if other.name == organization.name or _host_of(other) != _host_of(organization):
            continue
        for provider in settings_providers():
            if not isinstance(provider, (EnvironProvider, SettingsTomlProvider)):
                continue
            # mypy: these classes declare the argument as text, and take None.
            found: ConfigProvider = provider
            value, _ = found.get_value("client_id", str, None, *other.credentials.split("."))
            if not value:
                continue
            if str(value).strip() == client_id:
                raise ConfigurationError(
                    f"{organization.credentials}.client_id",
                    f"{client_id} is the OAuth application of the organization {other.name}, too.",
                    "Create an OAuth application in each organization, or remove one of the two entries.",
                )
            break


def _host_of(organization: Organization) -> str:
    url = organization.base_url or look_up("base_url", str, (*SECTIONS, organization.name), SECTIONS) or ""
    return str(url).strip().rstrip("/").lower()


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


def _entry(where: str, value: Any) -> Organization:
    if not isinstance(value, Mapping) or "name" not in value:
        raise ConfigurationError(where, "an organization needs a name.", 'Write it as { name = "acme" }.')
    for word, text in value.items():
        if word not in _WORDS:
            raise ConfigurationError(
                f"{where}.{word}",
                "no such setting.",
                f"{suggestion(word, _WORDS)} Settings are {', '.join(_WORDS)}.".lstrip(),
            )
        if not isinstance(text, str) or not text.strip():
            raise ConfigurationError(f"{where}.{word}", "not a text.")
    name = value["name"]
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{where}.name", f"{name!r} is not a name.", "Use a-z, 0-9 and _, at most 40, a letter first."
        )
    return Organization(
        name,
        value.get("credentials", f"{'.'.join(SECTIONS)}.{name}"),
        value.get("base_url"),
        value.get("organization_id", name),
        "organization_id" in value,
    )
