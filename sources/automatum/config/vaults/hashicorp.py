"""HashiCorp Vault or OpenBao, through hvac: secrets of a KV version 2 engine.

The token comes from VAULT_TOKEN or `~/.vault-token` (which `vault login` and Vault Agent write). With VAULT_ROLE_ID and
VAULT_SECRET_ID the connector logs in by AppRole. hvac itself reads VAULT_CACERT, VAULT_CAPATH, VAULT_CLIENT_CERT and
VAULT_CLIENT_KEY. A request is sent once: a vault that does not answer ends the run, and the next one asks again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import hvac
import orjson
import requests
from hvac.exceptions import InvalidPath, VaultError

from ...core.errors import ConfigurationError, ServerUnreachable, VaultDenied
from ...core.redaction import register_secret, reveal
from ..base_url import server_url
from .store import KEY, VaultSecret

TIMEOUT = 10
"""Seconds to wait for a connection, and for each part of a response."""


def read(secret: VaultSecret) -> tuple[dict[str, Any] | None, int]:
    """Read a secret and its version, for check-and-set; None if it does not exist."""
    kv = _log_in(secret).secrets.kv.v2.read_secret_version
    answer = _ask(secret, lambda: kv(secret.name, mount_point=secret.mount, raise_on_deleted_version=False))
    if answer is None:
        return None, 0
    found = answer.get("data")
    if not isinstance(found, dict) or not isinstance(found.get("metadata"), dict):
        raise ConfigurationError(KEY, f"{secret} is not in a KV version 2 engine.", "Name another mount.")
    return found.get("data"), int(found["metadata"].get("version") or 0)


def write(secret: VaultSecret, document: Mapping[str, Any], version: int) -> None:
    """Write a new version, if `version` is the present one."""
    kv = _log_in(secret).secrets.kv.v2.create_or_update_secret

    def put() -> Any:
        return kv(secret.name, orjson.loads(orjson.dumps(document, reveal)), cas=version, mount_point=secret.mount)

    if _ask(secret, put) is None:
        raise ConfigurationError(KEY, f"{secret}: there is no such mount.", "Name the mount of a KV engine.")


def _log_in(secret: VaultSecret) -> Any:
    """The client of hvac, logged in."""
    environment = os.environ.get
    url = secret.location or environment("VAULT_ADDR", "").strip().rstrip("/")
    server_url(url, "VAULT_ADDR", "Set it as https://vault.example.com:8200, or name the server in the address.")
    client = hvac.Client(
        url=url,
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
        step = "Log in with `vault login`, or set VAULT_TOKEN, or VAULT_ROLE_ID and VAULT_SECRET_ID."
        raise VaultDenied(f"{secret}: no Vault token was found.", step)
    register_secret(client.token)
    return client


def _ask(secret: VaultSecret, call: Callable[[], Any]) -> dict[str, Any] | None:
    answer = secret.ask(call, (VaultError, requests.RequestException), _describe)
    if answer is None or isinstance(answer, dict):
        return answer
    # hvac returns the response itself.
    step = "Use the address of the server that answers without a redirect."
    raise ServerUnreachable(f"{secret}: a redirect, which is not followed, or an answer that is not JSON.", step)


def _describe(error: Exception) -> tuple[str, str] | None:
    errors = (error.errors if isinstance(error, VaultError) else None) or []
    if isinstance(error, InvalidPath) and error.errors == []:
        return None  # Vault's answer for a missing secret; other 404 answers have a message.
    return type(error).__name__, "; ".join(map(str, errors))
