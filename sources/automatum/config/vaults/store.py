"""A secret of a vault as a store of credentials."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, urlsplit

from ...core.errors import ConfigurationError
from ...core.redaction import Secret
from .address import AWS, KEY, PLAIN_VAULT, VAULT, VaultAddress, vault_server_url

EXAMPLES = "Write aws-secretsmanager://REGION/NAME or vault://HOST/MOUNT/PATH, as in docs/secrets.md."


class VaultSecret(VaultAddress):
    """A secret of a vault. Each call logs in to the vault."""

    __slots__ = ()

    @property
    def description(self) -> str:
        """Name of the store for a message: the address, which holds no secret."""
        return str(self)

    def for_organization(self, organization: str | None) -> VaultSecret:
        """The secret of an organization, one level below; this one for None."""
        return self if organization is None else replace(self, name=f"{self.name}/{organization}")

    def read(self) -> dict[str, Any] | None:
        """Read the keys and values, those of secrets as `Secret`; None if the secret does not exist.

        Raises:
            VaultUnreachable: The vault gives no usable response.
            VaultDenied: The vault refuses to let us read.
            ConfigurationError: The secret does not have the expected form.
        """
        found: dict[str, Any] | None = self._vault().read(self)[0]
        return found

    def check_writable(self) -> None:
        """Check that `write` will work, by a write that changes nothing.

        Raises:
            AutomatumError: The secret is not writable.
        """
        document, version = self._vault().read(self)
        self._vault().write(self, document or {}, version, trial=True)

    def write(self, changes: Mapping[str, str | Secret]) -> None:
        """Set these keys and keep the others. Fails if the secret in Vault has changed meanwhile; old versions stay.

        Raises:
            AutomatumError: The keys were not written.
        """
        document, version = self._vault().read(self)
        self._vault().write(self, {**(document or {}), **changes}, version, trial=False)

    def _vault(self) -> Any:
        """The module with `read(secret)`, which returns a document and its version, and `write`."""
        if self.kind == "aws":
            from . import aws

            return aws
        from . import hashicorp

        return hashicorp


def parse_vault_address(text: str, key: str = KEY) -> VaultSecret:
    """Parse the address of a secret. Sends no request.

    Args:
        text: `aws-secretsmanager://REGION/NAME`, `vault://HOST[:PORT]/MOUNT/PATH` (https), or
            `vault+http://127.0.0.1:8200/MOUNT/PATH` (loopback only). An empty REGION or HOST leaves the choice to
            botocore's configuration or to VAULT_ADDR.
        key: Setting or argument that the error names.

    Raises:
        ConfigurationError: It is not an address of a secret.
    """
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigurationError(key, "not an address.", EXAMPLES) from None
    name = unquote(parts.path).strip("/")
    mount, _, path = name.partition("/")
    problem = ""
    if parts.scheme not in (AWS, VAULT, PLAIN_VAULT):
        problem = f"unknown kind of vault {parts.scheme!r}" if parts.scheme else "the address names no kind of vault"
    elif parts.username or parts.password or parts.query or parts.fragment:
        problem = "the address has a user, password, query or fragment"
    elif not re.fullmatch(r"[\w/+=.@-]+", name) or {"", ".", ".."} & set(name.split("/")):
        problem = "the address names no secret"
    elif parts.scheme == AWS and (port is not None or not re.fullmatch(r"[a-z0-9-]*", host)):
        problem = f"{host!r} is not an AWS region"
    elif parts.scheme != AWS and not path:
        problem = f"the address names the mount {mount!r} and no secret in it"
    if problem:
        raise ConfigurationError(key, f"{problem}.", EXAMPLES)
    if parts.scheme == AWS:
        return VaultSecret("aws", host, "", name)
    scheme = "http" if parts.scheme == PLAIN_VAULT else "https"
    return VaultSecret("vault", vault_server_url(f"{scheme}://{parts.netloc}", key) if host else "", mount, path)
