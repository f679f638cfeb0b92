"""HashiCorp Vault or OpenBao, through hvac: secrets of a KV version 2 engine.

The token comes from VAULT_TOKEN or `~/.vault-token` (which `vault login` and Vault Agent write). With VAULT_ROLE_ID and
VAULT_SECRET_ID the connector logs in by AppRole. hvac itself reads VAULT_CACERT, VAULT_CAPATH, VAULT_CLIENT_CERT and
VAULT_CLIENT_KEY. A request is sent once: a vault that does not answer ends the run, and the next one asks again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests

from ...core.errors import AutomatumError, ConfigurationError, VaultDenied, VaultUnreachable
from ...core.extras import install_command
from ...core.redaction import redact, register_secret, reveal, sealed
from .address import KEY, VaultAddress, vault_server_url

TIMEOUT = 10
"""Seconds to wait for a connection, and for each part of a response."""
_LOGIN = "Log in with `vault login`, or set VAULT_TOKEN, or VAULT_ROLE_ID and VAULT_SECRET_ID."


def read(secret: VaultAddress) -> tuple[dict[str, Any] | None, int]:
    """Read a secret and its version, for check-and-set; None if it does not exist.

    Raises:
        AutomatumError: See `VaultSecret.read`.
    """
    kv = _log_in(secret).secrets.kv.v2
    at = {"path": secret.name, "mount_point": secret.mount}
    answer = _ask(secret, lambda: kv.read_secret_version(raise_on_deleted_version=False, **at))
    if answer is None:
        return None, 0
    inner = answer.get("data")
    if not isinstance(inner, dict) or not isinstance(inner.get("metadata"), dict):
        raise ConfigurationError(KEY, f"{secret} is not in a KV version 2 engine.", "Name another mount.")
    document = inner.get("data")
    return document if isinstance(document, dict) else None, int(inner["metadata"].get("version") or 0)


def write(secret: VaultAddress, document: Mapping[str, Any], version: int, *, trial: bool) -> None:
    """Write a new version, if `version` is the present one. A trial writes the same content, too.

    Raises:
        AutomatumError: It was not written.
    """
    kv = _log_in(secret).secrets.kv.v2
    at = {"path": secret.name, "mount_point": secret.mount}

    def put() -> Any:
        return kv.create_or_update_secret(secret=orjson.loads(orjson.dumps(document, reveal)), cas=version, **at)

    if _ask(secret, put) is None:
        raise ConfigurationError(KEY, f"{secret}: there is no such mount.", "Name the mount of a KV engine.")


def _log_in(secret: VaultAddress) -> Any:
    """The client of hvac, logged in."""
    environment = os.environ.get
    named = environment("VAULT_ADDR", "").strip().rstrip("/")
    if not secret.location and not named:
        raise ConfigurationError(KEY, "the address names no server, and VAULT_ADDR is not set.", "Set one of them.")
    client = _hvac().Client(
        url=secret.location or vault_server_url(named, "VAULT_ADDR"),
        timeout=TIMEOUT,
        # A standby server may redirect, and hvac would send the token to the new location.
        allow_redirects=False,
        namespace=environment("VAULT_NAMESPACE"),
    )
    role = environment("VAULT_ROLE_ID")
    if not environment("VAULT_TOKEN") and role and environment("VAULT_SECRET_ID"):
        register_secret(environment("VAULT_SECRET_ID"))
        login = client.auth.approle.login
        _ask(secret, lambda: login(role_id=role, secret_id=environment("VAULT_SECRET_ID"), use_token=True))
    if not client.token:
        raise VaultDenied(f"{secret}: no Vault token was found.", _LOGIN)
    register_secret(client.token)
    return client


def _hvac() -> ModuleType:
    try:
        import hvac
    except ModuleNotFoundError:
        raise ConfigurationError(KEY, "HashiCorp Vault needs hvac.", install_command("hvac")) from None
    module: ModuleType = hvac
    return module


def _ask(secret: VaultAddress, call: Callable[[], Any]) -> dict[str, Any] | None:
    """Send a request and return the response, sealed; None if the secret does not exist."""
    kinds = _hvac().exceptions
    failed: Exception | None = None
    answer: Any = None
    try:
        answer = sealed(call())
    except (kinds.VaultError, requests.RequestException) as error:
        failed = error
    # Raise outside of the handler, so that hvac's exception, which holds the response, is not the context.
    if isinstance(failed, kinds.InvalidPath) and failed.errors == []:
        return None  # Vault's answer for a missing secret; other 404 answers have a message.
    if failed is not None:
        raise _refusal(secret, failed)
    if isinstance(answer, dict):
        return answer
    # hvac returns the response itself if it is a redirect, or not JSON.
    location = answer.headers.get("Location") if isinstance(answer, requests.Response) else None
    elsewhere = urlsplit(location or "").hostname
    said = f"a redirect to {elsewhere}, which is not followed" if elsewhere else "an answer that is not JSON"
    raise VaultUnreachable(f"{secret}: {said}.", "Use the address of the server that answers without a redirect.")


def _refusal(secret: VaultAddress, error: Exception) -> AutomatumError:
    """Translate an exception of hvac or requests."""
    kinds = _hvac().exceptions
    errors = (error.errors if isinstance(error, kinds.VaultError) else None) or []
    message = f"{secret}: Vault answered: {redact('; '.join(map(str, errors))) or type(error).__name__}."
    if isinstance(error, (kinds.Forbidden, kinds.Unauthorized)):
        return VaultDenied(message, f"The token may have expired, or its policy may not cover this path. {_LOGIN}")
    if isinstance(error, (kinds.InvalidRequest, kinds.InvalidPath, kinds.UnsupportedOperation)):
        return ConfigurationError(KEY, message, "Name the mount of a KV version 2 engine and a path.")
    return VaultUnreachable(message, "Check whether Vault is sealed or down, then the network and a proxy.")
