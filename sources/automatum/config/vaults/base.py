"""A place that keeps one connection's credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from .uri import VaultUri


class CredentialStore(Protocol):
    """One secret, or one section of a file: keys and values, of which `client_secret` is what matters."""

    @property
    def description(self) -> str:
        """The place in words, for a message; holds no secret."""

    def read(self) -> dict[str, Any] | None:
        """What is there now, asked for anew; None if there is nothing.

        Raises:
            VaultUnreachable: No usable answer.
            VaultDenied: It does not let us read.
            ConfigurationError: It is not what it should be.
        """

    def check_writable(self) -> None:
        """Prove that `write` will work, by writing what changes nothing.

        Raises:
            AutomatumError: It will not; the reason is named.
        """

    def write(self, changes: Mapping[str, str]) -> None:
        """Set these keys; the others stay as they are.

        Raises:
            AutomatumError: They are not stored.
        """


class Vault(Protocol):
    """A server that keeps secrets."""

    def secret(self, organization: str | None) -> CredentialStore:
        """The secret of an organization; the one of the address for None. Nothing is asked yet."""


def open_vault(address: VaultUri) -> Vault:
    """The vault of an address; no request is sent.

    Raises:
        ConfigurationError: The extra that it needs is not installed.
    """
    if address.kind == "aws":
        from .aws import AwsSecretsManager

        return AwsSecretsManager(address)
    from .hashicorp import HashicorpVault

    return HashicorpVault(address)
