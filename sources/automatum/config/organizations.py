"""Several organizations in one configuration: who they are, and where their credentials are.

    [[sources.automatum.organizations]]
    name = "acme"

    [[sources.automatum.organizations]]
    name = "globex"
    organization_id = "org_1a2b3c4d"
    credentials = "vendors.globex"
    base_url = "https://api.example.com"

    [sources.automatum.acme]          # in secrets.toml: where the credentials are unless `credentials` says otherwise
    client_id = "app_..."
    client_secret = "secret_..."

Whatever else stands in an organization's section (`[sources.automatum.acme]`) holds for it alone; what does not stand
there is taken from `[sources.automatum]`. Credentials are not: one organization's data must not come under another's
name because a secret was forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, List, Optional  # noqa: UP035  dlt resolves these hints at run time, on Python 3.10 too

import dlt
from dlt.common.configuration import configspec, resolve_configuration
from dlt.common.configuration.const import TYPE_EXAMPLES
from dlt.common.configuration.specs import BaseConfiguration

from ..core.errors import ConfigurationError

KEY = "sources.automatum.organizations"
SECTIONS = ("sources", "automatum")
PLACEHOLDER = "{organization}"
"""Stands for the name in the URLs of settings, so that what must be kept apart is."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_WORDS = ("name", "credentials", "base_url", "organization_id")


@dataclass(frozen=True)
class Organization:
    """One entry of the list.

    Attributes:
        name: What it is called on the command line, and in the names of pipelines and files.
        credentials: Section of the configuration that holds its `client_id` and `client_secret`.
        base_url: Root of the host; None for that of all.
        organization_id: What the column `organization_id` of all its tables holds: its name, unless told otherwise.
        named_id: Whether it was told; then records that name another organization are refused.
    """

    name: str
    credentials: str
    base_url: str | None
    organization_id: str
    named_id: bool


@configspec
class _OrganizationList(BaseConfiguration):
    organizations: Optional[List[Any]] = None  # noqa: UP006, UP045


def configured_organizations() -> tuple[Organization, ...]:
    """The organizations of the configuration, in their order; none if there is but the one that needs no name.

    Raises:
        ConfigurationError: An entry makes no sense, or two have the same name.
    """
    found = resolve_configuration(_OrganizationList(), sections=SECTIONS).organizations
    entries = [_entry(f"{KEY}[{position}]", one) for position, one in enumerate(found or ())]
    for word, values in (
        ("name", [one.name for one in entries]),
        ("credentials", [one.credentials for one in entries]),
        ("organization_id", [one.organization_id for one in entries]),
    ):
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ConfigurationError(KEY, f"two entries have the {word} {', '.join(twice)}.", "Keep them apart.")
    return tuple(entries)


def organization_names() -> tuple[str, ...]:
    """Names of the configured organizations, in their order; empty if none are; sends no request."""
    return tuple(one.name for one in configured_organizations())


def find_organization(name: str) -> Organization:
    """The organization of this name.

    Raises:
        ConfigurationError: There is none.
    """
    entries = configured_organizations()
    for one in entries:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in entries) or "none"
    raise ConfigurationError("--organization", f"no organization {name!r}.", f"Configured under {KEY}: {known}.")


def credentials_of(one: Organization) -> tuple[str, str]:
    """Its client id and secret, from its own section and nowhere else.

    Raises:
        ConfigurationError: One of them is not set.
    """
    found = []
    for key in ("client_id", "client_secret"):
        path = f"{one.credentials}.{key}"
        value: Any = dlt.secrets.get(path)
        value = value or dlt.config.get(path)
        # What a template has in place of a value is none: it would fall back to the credentials of all.
        if not isinstance(value, str) or not value.strip() or value == TYPE_EXAMPLES["text"]:
            raise ConfigurationError(
                path,
                f"not set; it is a credential of the organization {one.name}.",
                f"Set {path.replace('.', '__').upper()}, or write it to .dlt/secrets.toml under [{one.credentials}].",
            )
        found.append(value)
    return found[0], found[1]


def insert_organization(key: str, url: str, organization: str | None) -> str:
    """A URL of something that organizations must not share, with the organization's name in its place.

    Args:
        key: The setting, for the error.
        url: Its value.
        organization: Name; None where there is but one.

    Raises:
        ConfigurationError: The URL has no place for the name.
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
            raise ConfigurationError(f"{where}.{word}", "no such setting.", f"Settings are {', '.join(_WORDS)}.")
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
