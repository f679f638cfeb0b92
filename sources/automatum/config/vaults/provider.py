"""The vault as a provider of dlt's configuration. It comes after the environment and `secrets.toml`."""

from __future__ import annotations

import threading
from typing import Any

from ...core.errors import ConfigurationError
from ...core.redaction import Secret
from ...core.suggest import spelt_otherwise
from ..dlt_internals import ConfigProvider, add_provider, registered_providers
from ..lookup import CREDENTIALS, SECTIONS
from ..organizations import organization_names
from .address import KEY
from .store import VaultSecret, parse_vault_address

NAME = "Automatum vault"
KNOWN = (*CREDENTIALS, "quota_url", "ledger_url")
"""Keys of a secret that are read. The URLs may hold a password; they are read once the credentials were asked for."""
_registering = threading.Lock()


class VaultProvider(ConfigProvider):
    """Returns the credentials from the secret that `secrets_from` names. Thread-safe.

    It reads a secret when dlt needs a credential that no earlier provider has, and keeps it until `reload` is called.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._documents: dict[VaultSecret, dict[str, Any]] = {}

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

    def address(self) -> VaultSecret | None:
        """The address in `secrets_from`, as the other providers have it; None if it is not set.

        dlt asks for it before each lookup, hundreds of times a sync. So the files are not checked here.

        Raises:
            ConfigurationError: `secrets_from` is not an address.
        """
        for provider in registered_providers():
            if provider is not self and not provider.is_empty:
                value, _ = provider.get_value("secrets_from", str, None, *SECTIONS)
                if value:
                    return parse_vault_address(str(value))
        return None

    def get_value(self, key: str, hint: type[Any], pipeline_name: str | None, *sections: str) -> tuple[Any | None, str]:
        """See `ConfigProvider.get_value`.

        Raises:
            VaultUnreachable: The vault gives no usable response.
            VaultDenied: The vault refuses access.
            ConfigurationError: The secret does not exist, or does not have the expected form.
        """
        name = ".".join((*filter(None, (pipeline_name, *sections)), key))
        address = self.address() if key in KNOWN and not pipeline_name and sections[:2] == SECTIONS else None
        organization = sections[2] if len(sections) == 3 and sections[2] in organization_names() else None
        if address is None or sections != (*SECTIONS, *filter(None, (organization,))):
            return None, name
        value = self._read(address.for_organization(organization), key in CREDENTIALS).get(key)
        return value.reveal() if isinstance(value, Secret) else value, name

    def reload(self) -> None:
        """Drop what was read, so that the next lookup reads the secret again."""
        with self._lock:
            self._documents.clear()

    def _read(self, secret: VaultSecret, ask: bool) -> dict[str, Any]:
        with self._lock:
            if secret not in self._documents and ask:
                found = secret.read()
                if found is None:
                    raise ConfigurationError(
                        KEY,
                        f"there is no secret {secret}.",
                        "Store client_id and client_secret there, or correct the address (docs/secrets.md).",
                    )
                for name in found:  # A misspelt key, such as `clientSecret`. Other keys are other programs'.
                    if (meant := spelt_otherwise(name, KNOWN)) and meant not in found:
                        step = f"Did you mean {meant}? Rename it there."
                        raise ConfigurationError(KEY, f"{secret} has the key {name!r}.", step)
                self._documents[secret] = found
            return self._documents.get(secret, {})


def register_vault_provider() -> VaultProvider:
    """The provider of the vault, added to dlt's on the first call."""
    with _registering:
        for provider in registered_providers():
            if isinstance(provider, VaultProvider):
                return provider
        added = VaultProvider()
        add_provider(added)
        return added
