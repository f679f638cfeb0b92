"""HashiCorp Vault or OpenBao, through hvac: secrets of a KV version 2 engine.

The token comes from VAULT_TOKEN or `~/.vault-token` (which `vault login` and Vault Agent write). With VAULT_ROLE_ID and
VAULT_SECRET_ID the connector logs in by AppRole. It also reads VAULT_NAMESPACE, VAULT_CACERT, VAULT_CAPATH,
VAULT_CLIENT_CERT and VAULT_CLIENT_KEY.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from ...core.errors import AutomatumError, ConfigurationError, VaultDenied, VaultUnreachable
from ...core.extras import install_command
from ...core.redaction import redact, register_secret
from .uri import KEY, VaultUri, vault_server_url

TIMEOUT = 10
"""Seconds to wait for a connection, and for each part of a response."""
_LOGIN = "Log in with `vault login`, or set VAULT_TOKEN, or VAULT_ROLE_ID and VAULT_SECRET_ID."


class HashicorpVault:
    """One Vault server.

    Args:
        address: Address of the secret.

    Raises:
        ConfigurationError: hvac is not installed, or neither the address nor VAULT_ADDR names a server.
    """

    def __init__(self, address: VaultUri) -> None:
        try:
            import hvac
        except ModuleNotFoundError:
            raise ConfigurationError(KEY, "HashiCorp Vault needs hvac.", install_command("hvac")) from None
        self._hvac = hvac
        self._address = address
        named = os.environ.get("VAULT_ADDR", "").strip()
        if not address.location and not named:
            raise ConfigurationError(KEY, "the address names no server, and VAULT_ADDR is not set.", "Set one of them.")
        self.url = address.location or vault_server_url(named.rstrip("/"), "VAULT_ADDR")
        self._client: Any = None

    def secret(self, organization: str | None) -> VaultSecret:
        """See `Vault.secret`."""
        return VaultSecret(self, self._address.for_organization(organization))

    def client(self) -> Any:
        """The client, logged in.

        Raises:
            VaultDenied: No token was found.
        """
        if self._client is None:
            self._client = self._log_in()
        return self._client

    def _log_in(self) -> Any:
        environment = os.environ.get
        client = self._hvac.Client(
            url=self.url,
            token="",
            timeout=TIMEOUT,
            # A standby server may redirect, and hvac would send the token to the new location.
            allow_redirects=False,
            namespace=environment("VAULT_NAMESPACE"),
            session=_retrying_session(),
        )
        role, secret_id = environment("VAULT_ROLE_ID"), environment("VAULT_SECRET_ID")
        token = None
        if not environment("VAULT_TOKEN") and role and secret_id:
            register_secret(secret_id)
            answer = self.ask(str(self._address), lambda: client.auth.approle.login(role_id=role, secret_id=secret_id))
            token = ((answer or {}).get("auth") or {}).get("client_token")
        token = token or self._hvac.utils.get_token_from_env()
        if not token:
            raise VaultDenied(f"{self._address}: no Vault token was found.", _LOGIN)
        register_secret(token)
        client.token = token
        return client

    def ask(self, where: str, call: Callable[[], Any]) -> dict[str, Any] | None:
        """Send a request and return the response; None if the secret does not exist.

        Raises:
            VaultDenied: Vault refuses the token, or its policy does not cover this path.
            ConfigurationError: The mount or the path is wrong.
            VaultUnreachable: Vault gives no usable response.
        """
        kinds = self._hvac.exceptions
        failed: Exception | None = None
        answer: Any = None
        try:
            answer = call()
        except (kinds.VaultError, requests.RequestException) as error:
            failed = error
        # Raise outside of the handler, so that hvac's exception, which holds the response, is not the context.
        if isinstance(failed, kinds.InvalidPath) and failed.errors == []:
            return None  # Vault's answer for a missing secret; other 404 answers have a message.
        if failed is None and isinstance(answer, dict):
            return answer
        if failed is None:
            # hvac returns the response itself if it is a redirect, or not JSON.
            location = answer.headers.get("Location") if isinstance(answer, requests.Response) else None
            elsewhere = urlsplit(location or "").hostname
            said = f"a redirect to {elsewhere}, which is not followed" if elsewhere else "an answer that is not JSON"
            raise VaultUnreachable(
                f"{where}: {said}.", "Use the address of the server that answers without a redirect."
            )
        raise self._refusal(where, failed)

    def _refusal(self, where: str, error: Exception) -> AutomatumError:
        """Translate an exception of hvac or requests."""
        kinds = self._hvac.exceptions
        errors = (error.errors if isinstance(error, kinds.VaultError) else None) or []
        said = redact("; ".join(map(str, errors))) or type(error).__name__
        if isinstance(error, (kinds.Forbidden, kinds.Unauthorized)):
            return VaultDenied(
                f"{where}: Vault answered: {said}.",
                f"The token may have expired, or its policy may not cover this path. {_LOGIN}",
            )
        if isinstance(error, (kinds.InvalidRequest, kinds.InvalidPath, kinds.UnsupportedOperation)):
            return ConfigurationError(
                KEY, f"{where}: Vault answered: {said}.", "Name the mount of a KV version 2 engine and a path."
            )
        return VaultUnreachable(
            f"{where}: no usable answer from Vault: {said}.",
            "Check whether Vault is sealed or down, then the network and a proxy.",
        )


class VaultSecret:
    """One secret of a KV version 2 engine.

    Args:
        vault: The server that holds the secret.
        address: Address of the secret.
    """

    def __init__(self, vault: HashicorpVault, address: VaultUri) -> None:
        self._vault, self._address = vault, address

    @property
    def description(self) -> str:
        """See `CredentialStore.description`."""
        return str(self._address) if self._address.location else f"{self._address} at {self._vault.url}"

    def read(self) -> dict[str, Any] | None:
        """See `CredentialStore.read`."""
        return self._read()[0]

    def check_writable(self) -> None:
        """Write the present content as a new version, which needs the same permissions as `write`."""
        document, version = self._read()
        self._write(document or {}, version)

    def write(self, changes: Mapping[str, str]) -> None:
        """See `CredentialStore.write`. Fails if the secret has changed meanwhile. Vault keeps older versions."""
        document, version = self._read()
        self._write({**(document or {}), **changes}, version)

    def _read(self) -> tuple[dict[str, Any] | None, int]:
        """The document and its version, for check-and-set."""
        kv, at = self._kv()
        read = partial(kv.read_secret_version, raise_on_deleted_version=False, **at)
        answer = self._vault.ask(self.description, read)
        if answer is None:
            return None, 0
        inner = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(inner, dict) or not isinstance(inner.get("metadata"), dict):
            raise ConfigurationError(KEY, f"{self.description} is not in a KV version 2 engine.", "Name another mount.")
        document = inner.get("data")
        return document if isinstance(document, dict) else None, int(inner["metadata"].get("version") or 0)

    def _write(self, document: dict[str, Any], version: int) -> None:
        kv, at = self._kv()
        answer = self._vault.ask(
            self.description, lambda: kv.create_or_update_secret(secret=document, cas=version, **at)
        )
        if answer is None:
            raise ConfigurationError(
                KEY, f"{self.description}: there is no such mount.", "Name the mount of a KV engine."
            )

    def _kv(self) -> tuple[Any, dict[str, str]]:
        at = {"path": self._address.name, "mount_point": self._address.mount}
        return self._vault.client().secrets.kv.v2, at


def _retrying_session() -> requests.Session:
    """A session that retries a GET twice if the connection fails or the server is overloaded, but never a write."""
    environment = os.environ.get
    session = requests.Session()
    # The settings of the session override the arguments of hvac.
    session.verify = environment("VAULT_CACERT") or environment("VAULT_CAPATH") or True
    certificate, key = environment("VAULT_CLIENT_CERT"), environment("VAULT_CLIENT_KEY")
    session.cert = (certificate, key) if certificate and key else None
    retry = Retry(
        total=2, redirect=0, backoff_factor=0.2, status_forcelist=(429, 500, 502, 503), allowed_methods=("GET",),
        raise_on_status=False, respect_retry_after_header=False,
    )  # fmt: skip
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session
