"""Where a secret of a vault is, as its address in `secrets_from` or `--store-in` says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from ...core.errors import ConfigurationError
from ...core.network import is_loopback

KEY = "sources.automatum.secrets_from"
AWS, VAULT, PLAIN_VAULT = "aws-secretsmanager", "vault", "vault+http"


@dataclass(frozen=True, slots=True)
class VaultAddress:
    """The address of a secret in a vault.

    Attributes:
        kind: `aws` for AWS Secrets Manager, `vault` for HashiCorp Vault (KV version 2).
        location: AWS region, or URL of the Vault server. Empty: the environment names it.
        mount: Mount of the KV engine; empty for AWS.
        name: Name of the secret, or its path below the mount.
    """

    kind: Literal["aws", "vault"]
    location: str
    mount: str
    name: str

    def __str__(self) -> str:
        if self.kind == "aws":
            return f"{AWS}://{self.location}/{self.name}"
        scheme, _, host = self.location.rpartition("://")
        return f"{PLAIN_VAULT if scheme == 'http' else VAULT}://{host}/{self.mount}/{self.name}"


def vault_server_url(url: str, key: str) -> str:
    """Check the URL of a Vault server and return it without a path.

    Raises:
        ConfigurationError: It is not a URL, or it would send the token unencrypted.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.path.strip("/") or parts.query:
        raise ConfigurationError(key, "not the URL of a Vault server.", "Write it as https://vault.example.com:8200.")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            key, f"http:// to {host} would send the Vault token in the clear.", "Use https (loopback excepted)."
        )
    return f"{parts.scheme}://{parts.netloc}"
