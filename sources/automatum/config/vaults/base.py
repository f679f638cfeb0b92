"""The interfaces of a vault and of one secret in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from .uri import VaultUri


class CredentialStore(Protocol):
    """One secret of a vault, or one section of a file: keys and values, `client_secret` among them."""

    @property
    def description(self) -> str:
        """Name of the store for a message. It holds no secret."""

    def read(self) -> dict[str, Any] | None:
        """Read the keys and values again; None if the secret does not exist.

        Raises:
            VaultUnreachable: The vault gives no usable response.
            VaultDenied: The vault refuses to let us read.
            ConfigurationError: The secret does not have the expected form.
        """

    def check_writable(self) -> None:
        """Check that `write` will work, by a write that changes nothing.

        Raises:
            AutomatumError: The store is not writable.
        """

    def write(self, changes: Mapping[str, str]) -> None:
        """Set these keys and keep the others.

        Raises:
            AutomatumError: The keys were not written.
        """


class Vault(Protocol):
    """A server that keeps secrets."""

    def secret(self, organization: str | None) -> CredentialStore:
        """The secret of an organization, or the secret at the address for None. Sends no request."""


def open_vault(address: VaultUri) -> Vault:
    """Open the vault of an address. Sends no request.

    Raises:
        ConfigurationError: The required extra is not installed.
    """
    if address.kind == "aws":
        from .aws import AwsSecretsManager

        return AwsSecretsManager(address)
    from .hashicorp import HashicorpVault

    return HashicorpVault(address)
