"""The vault as a provider of dlt's configuration. It comes after the environment and `secrets.toml`."""

from __future__ import annotations

import threading
from typing import Any

from ...core.errors import ConfigurationError
from ...core.redaction import register_secret
from ...core.suggest import spelt_otherwise
from ..dlt_internals import ConfigProvider, add_provider, get_key_name, registered_providers
from ..lookup import CREDENTIALS, SECTIONS
from ..organizations import configured_organizations
from ..toml_files import settings_providers
from .base import Vault, open_vault
from .uri import KEY, VaultUri, parse_vault_uri

NAME = "Automatum vault"
OPTIONAL_KEYS = ("quota_url", "ledger_url")
"""Settings that may hold a password. They are read from a secret that was fetched for the credentials."""
_registering = threading.Lock()


class VaultProvider(ConfigProvider):
    """Returns the credentials from the secret that `secrets_from` names. Thread-safe.

    It reads a secret when dlt needs a credential that no earlier provider has, and keeps it until `reload` is called.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._vaults: dict[VaultUri, Vault] = {}
        self._documents: dict[VaultUri, dict[str, Any]] = {}

    @property
    def name(self) -> str:
        """Shown in dlt's traces."""
        return NAME

    @property
    def supports_secrets(self) -> bool:
        """Whether it may hold secrets."""
        return True

    @property
    def supports_sections(self) -> bool:
        """Whether it has sections: each organization has its own."""
        return True

    @property
    def is_empty(self) -> bool:
        """Whether no vault is configured; then dlt skips this provider."""
        return self.address() is None

    @property
    def locations(self) -> list[str]:
        """The address of the vault, for dlt's messages."""
        address = self.address()
        return [] if address is None else [str(address)]

    def address(self) -> VaultUri | None:
        """The address in `secrets_from`, as the other providers have it; None if it is not set.

        dlt asks for it before each lookup, hundreds of times a sync. So the files are not checked here.

        Raises:
            ConfigurationError: `secrets_from` is not an address.
        """
        for provider in registered_providers():
            if provider is self or provider.is_empty:
                continue
            value, _ = provider.get_value("secrets_from", str, None, *SECTIONS)
            if value:
                return parse_vault_uri(str(value), KEY)
        return None

    def get_value(self, key: str, hint: type[Any], pipeline_name: str | None, *sections: str) -> tuple[Any | None, str]:
        """See `ConfigProvider.get_value`.

        Raises:
            VaultUnreachable: The vault gives no usable response.
            VaultDenied: The vault refuses access.
            ConfigurationError: The secret does not exist, or does not have the expected form.
        """
        full_key = get_key_name(key, ".", *filter(None, (pipeline_name, *sections)))
        if pipeline_name or key not in CREDENTIALS + OPTIONAL_KEYS:
            return None, full_key
        known, organization = _organization_of(sections)
        address = self.address() if known else None
        if address is None:
            return None, full_key
        value = self._document(address.for_organization(organization), organization, key in CREDENTIALS).get(key)
        text = value.strip() if isinstance(value, str) else None
        return text or None, full_key

    def get_value_location(self, key: str, pipeline_name: str | None, *sections: str) -> str:
        """The address of the secret that holds a value."""
        address = self.address()
        return "" if address is None else str(address.for_organization(_organization_of(sections)[1]))

    def reload(self) -> None:
        """Drop the cache, so that the next lookup logs in to the vault and reads the secret again."""
        with self._lock:
            self._vaults.clear()
            self._documents.clear()

    def _document(self, address: VaultUri, organization: str | None, ask: bool) -> dict[str, Any]:
        with self._lock:
            if address not in self._documents:
                if not ask:
                    return {}
                self._documents[address] = self._ask(address, organization)
            return self._documents[address]

    def _ask(self, address: VaultUri, organization: str | None) -> dict[str, Any]:
        root = self.address() or address
        if root not in self._vaults:
            self._vaults[root] = open_vault(root)
        found = self._vaults[root].secret(organization).read()
        if found is None:
            raise ConfigurationError(
                KEY,
                f"there is no secret {address}.",
                "Store client_id and client_secret there, or correct the address (docs/secrets.md).",
            )
        _check_names(address, found)
        for key, value in found.items():
            if key != "client_id" and isinstance(value, str):
                register_secret(value.strip())
        return found


def _check_names(address: VaultUri, found: dict[str, Any]) -> None:
    """Refuse a misspelt key, such as `clientSecret`. Other keys are other programs'."""
    known = CREDENTIALS + OPTIONAL_KEYS
    for name in found:
        meant = spelt_otherwise(name, known)
        if meant and meant not in found:
            raise ConfigurationError(KEY, f"{address} has the key {name!r}.", f"Did you mean {meant}? Rename it there.")


def register_vault_provider() -> VaultProvider:
    """The provider in dlt's run context, added as the last one if it is not there yet. Sends no request."""
    with _registering:
        for provider in settings_providers():
            if isinstance(provider, VaultProvider):
                return provider
        added = VaultProvider()
        add_provider(added)
        return added


def _organization_of(sections: tuple[str, ...]) -> tuple[bool, str | None]:
    """Whether these sections hold our credentials, and of which organization (None for the only one)."""
    if sections == SECTIONS:
        return True, None
    names = (
        {tuple(one.credentials.split(".")): one.name for one in configured_organizations()} if len(sections) > 1 else {}
    )
    return sections in names, names.get(sections)
