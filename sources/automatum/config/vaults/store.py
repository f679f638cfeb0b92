"""A secret of a vault: its address, a store of credentials, and a provider of dlt's configuration.

The provider comes after the environment and `secrets.toml`. What a vault refuses is translated here for all of them.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Literal

from ...core.errors import ConfigurationError, ServerUnreachable, VaultDenied
from ...core.extras import install_command
from ...core.redaction import Secret, redact, sealed
from ...core.suggest import spelt_otherwise
from ..base_url import server_url
from ..dlt_internals import ConfigProvider, add_provider, registered_providers
from ..lookup import APPLICATIONS, CREDENTIALS, SECTIONS
from ..organizations import organization_names

KEY = "sources.automatum.secrets_from"
NAME = "Automatum vault"
KNOWN = (*CREDENTIALS, APPLICATIONS, "quota_url", "ledger_url", "personal_key")
"""Keys of a secret that are read; those after the first two once the credentials were asked for."""
_NAME = r"(?!\.)[\w+=.@-]+"
_ADDRESS = re.compile(
    rf"aws-secretsmanager://([a-z0-9-]*)/({_NAME}(?:/{_NAME})*)|"
    rf"vault(\+http)?://([^/@?#\s]*)/({_NAME})/({_NAME}(?:/{_NAME})*)"
)
_PACKAGES = {"aws": "botocore", "hashicorp": "hvac"}
_EXAMPLES = "Write aws-secretsmanager://REGION/NAME or vault://HOST/MOUNT/PATH, as in docs/secrets.md."
_DENIED = re.compile(r"Denied|Forbidden|Unauthorized|Token|Credential|Signature|UnrecognizedClient|cryptionFailure")
"""Codes of AWS, and names of exceptions of botocore and hvac, that need other credentials or permissions."""
_WRONG = re.compile(r"Invalid|Validation|Malformed|NoRegion|Profile|ConfigParse|Unsupported")
"""Those that need another address or profile. All others are no usable response."""
_registering = threading.Lock()


@dataclass(frozen=True, slots=True)
class VaultSecret:
    """A secret of a vault. Each call logs in to the vault.

    Attributes:
        kind: The module with `read` and `write`: AWS Secrets Manager, or HashiCorp Vault (KV version 2).
        location: AWS region, or URL of the Vault server. Empty: the environment names it.
        mount: Mount of the KV engine; empty for AWS.
        name: Name of the secret, or its path below the mount.
    """

    kind: Literal["aws", "hashicorp"]
    location: str
    mount: str
    name: str

    def __str__(self) -> str:
        if self.kind == "aws":
            return f"aws-secretsmanager://{self.location}/{self.name}"
        scheme, _, host = self.location.rpartition("://")
        return f"vault{'+http' if scheme == 'http' else ''}://{host}/{self.mount}/{self.name}"

    def for_organization(self, organization: str | None) -> VaultSecret:
        """The secret of an organization, one level below; this one for None."""
        return self if organization is None else replace(self, name=f"{self.name}/{organization}")

    def read(self) -> dict[str, Any] | None:
        """Read the keys and values, those of secrets as `Secret`; None if the secret does not exist.

        Raises:
            ServerUnreachable: The vault gives no usable response.
            VaultDenied: The vault refuses to let us read.
            ConfigurationError: The secret does not have the expected form.
        """
        found: dict[str, Any] | None = self._vault().read(self)[0]
        return found

    def check_writable(self) -> None:
        """Check that `write` will work: write what is there once more.

        Raises:
            AutomatumError: The secret is not writable.
        """
        self.write({})

    def write(self, changes: Mapping[str, str | Secret]) -> None:
        """Set these keys and keep the others. Fails if the secret in Vault has changed meanwhile; old versions stay.

        Raises:
            AutomatumError: The keys were not written.
        """
        vault = self._vault()
        document, version = vault.read(self)
        vault.write(self, {**(document or {}), **changes}, version)

    def ask(self, call: Callable[[], Any], kinds: Any, describe: Callable[[Any], tuple[str, str] | None]) -> Any:
        """Call the vault; returns the response, sealed, or None if the secret does not exist.

        Args:
            call: Sends the request.
            kinds: The exceptions of the vault's package.
            describe: The name of an exception and what the vault said; None if it says that there is no such secret.

        Raises:
            AutomatumError: The vault refuses, or gives no response.
        """
        try:
            return sealed(call())
        except kinds as error:
            failed = describe(error)
        # Raise outside of the handler: the exception of the package holds the response, and would become the context.
        if failed is None:
            return None
        message = f"{self}: {': '.join(filter(None, (failed[0], redact(failed[1]).rstrip('.'))))}."
        if _DENIED.search(failed[0]):
            step = "Log in to the vault (`vault login`, AWS_PROFILE, a role), and let its policy grant this secret."
            raise VaultDenied(message, step)
        if _WRONG.search(failed[0]):
            raise ConfigurationError(KEY, message, _EXAMPLES)
        raise ServerUnreachable(message, "Check whether the vault is sealed or down, then the network and a proxy.")

    def _vault(self) -> Any:
        """The module with `read(secret)`, which returns a document and its version, and `write`."""
        try:
            return import_module(f".{self.kind}", __package__)
        except ModuleNotFoundError:
            package = _PACKAGES[self.kind]
            raise ConfigurationError(KEY, f"{self} needs {package}.", install_command(package)) from None


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
    found = _ADDRESS.fullmatch(text.strip())
    if found is None:
        raise ConfigurationError(key, "not the address of a secret.", _EXAMPLES)
    region, name, plain, host, mount, path = found.groups()
    if name:
        return VaultSecret("aws", region, "", name)
    url = f"http{'' if plain else 's'}://{host}"
    return VaultSecret("hashicorp", server_url(url, key, _EXAMPLES) if host else "", mount, path)


class VaultProvider(ConfigProvider):
    """Returns the credentials from the secret that `secrets_from` names. Thread-safe.

    It reads a secret when dlt needs a credential that no earlier provider has, and keeps it until `reload` is called.
    """

    name = NAME
    supports_secrets = supports_sections = True

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._documents: dict[VaultSecret, dict[str, Any]] = {}

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
            AutomatumError: See `VaultSecret.read`; or the secret does not exist.
        """
        name = ".".join((*filter(None, (pipeline_name, *sections)), key))
        address = self.address() if key in KNOWN and not pipeline_name and sections[:2] == SECTIONS else None
        organization = sections[2] if len(sections) == 3 and sections[2] in organization_names() else None
        if address is None or sections != (*SECTIONS, *filter(None, (organization,))):
            return None, name
        # Organizations share what is in the secret above theirs, if there is one, but for the credentials.
        shared = organization is None and bool(organization_names())
        value = self._read(address.for_organization(organization), key in CREDENTIALS, shared).get(key)
        return value.reveal() if isinstance(value, Secret) else value, name

    def reload(self) -> None:
        """Drop what was read, so that the next lookup reads the secret again."""
        with self._lock:
            self._documents.clear()

    def _read(self, secret: VaultSecret, ask: bool, shared: bool) -> dict[str, Any]:
        with self._lock:
            if secret not in self._documents and (ask or (shared and self._documents)):
                try:
                    found = secret.read() if ask else secret.read() or {}
                except VaultDenied:
                    if ask:
                        raise
                    found = {}  # A policy may grant the secrets of organizations alone.
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
