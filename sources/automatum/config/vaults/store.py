"""A secret of a vault, or a section of a file, as a store of credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ...core.redaction import Secret
from .address import VaultAddress


class CredentialStore(Protocol):
    """One secret of a vault, or one section of a file: keys and values, `client_secret` among them."""

    @property
    def description(self) -> str:
        """Name of the store for a message. It holds no secret."""

    def read(self) -> dict[str, Any] | None:
        """Read the keys and values again, those of secrets as `Secret`; None if the secret does not exist.

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

    def write(self, changes: Mapping[str, str | Secret]) -> None:
        """Set these keys and keep the others.

        Raises:
            AutomatumError: The keys were not written.
        """


class VaultSecret:
    """A secret of a vault as a store of credentials. Each call logs in to the vault.

    Args:
        address: Where it is.
    """

    def __init__(self, address: VaultAddress) -> None:
        self._address = address

    @property
    def description(self) -> str:
        """See `CredentialStore.description`."""
        return str(self._address)

    def read(self) -> dict[str, Any] | None:
        """See `CredentialStore.read`."""
        found: dict[str, Any] | None = self._server().read(self._address)[0]
        return found

    def check_writable(self) -> None:
        """See `CredentialStore.check_writable`."""
        document, version = self._server().read(self._address)
        self._server().write(self._address, document or {}, version, trial=True)

    def write(self, changes: Mapping[str, str | Secret]) -> None:
        """See `CredentialStore.write`. Fails if the secret in Vault has changed meanwhile; older versions stay."""
        document, version = self._server().read(self._address)
        self._server().write(self._address, {**(document or {}), **changes}, version, trial=False)

    def _server(self) -> Any:
        """The module with `read(address)`, which returns a document and its version, and `write`."""
        if self._address.kind == "aws":
            from . import aws

            return aws
        from . import hashicorp

        return hashicorp
