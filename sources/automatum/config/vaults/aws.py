"""AWS Secrets Manager, through botocore: secrets whose text is a JSON object.

botocore finds the AWS credentials, the region and the endpoint: environment, profile, or role of the machine. boto3
would add a second pin of botocore's version beside the one of s3fs.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson
from botocore import session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ...core.errors import ConfigurationError
from ...core.redaction import reveal, sealed
from .store import KEY, VaultSecret

_CONFIG = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})


def read(secret: VaultSecret) -> tuple[dict[str, Any] | None, None]:
    """Read a secret; None if it does not exist. There is no check-and-set, and so no version."""
    answer = _call(secret, "get_secret_value")
    document: Any = None
    with suppress(orjson.JSONDecodeError):
        # `sealed` has made a `Secret` of the text.
        document = sealed(orjson.loads(reveal(answer["SecretString"]))) if answer and "SecretString" in answer else None
    if answer is not None and not isinstance(document, dict):
        step = 'Store {"client_id": "app_...", "client_secret": "secret_..."} as its text.'
        raise ConfigurationError(KEY, f"{secret} is not a JSON object.", step)
    return document, None


def write(secret: VaultSecret, document: Mapping[str, Any], version: None) -> None:
    """Put a new version. AWS keeps the one before as AWSPREVIOUS."""
    if _call(secret, "put_secret_value", document) is None:
        step = "Create the secret first, with the key, policy and tags of your choice."
        raise ConfigurationError(KEY, f"there is no secret {secret}.", step)


def _call(secret: VaultSecret, operation: str, document: Mapping[str, Any] | None = None) -> Any:
    def call() -> Any:
        client = session.get_session().create_client(
            "secretsmanager", region_name=secret.location or None, config=_CONFIG
        )
        return getattr(client, operation)(SecretId=secret.name, **_text(document))

    logger = logging.getLogger("botocore")
    level = logger.level
    logger.setLevel(max(logger.getEffectiveLevel(), logging.INFO))  # At DEBUG it logs what it sends and gets.
    try:
        return secret.ask(call, (ClientError, BotoCoreError), _describe)
    finally:
        logger.setLevel(level)


def _text(document: Mapping[str, Any] | None) -> dict[str, str]:
    """The argument that has a document. The text has no name, because a traceback shows variables."""
    if document is None:
        return {}
    return {"SecretString": orjson.dumps(document, reveal, orjson.OPT_INDENT_2).decode()}


def _describe(error: ClientError | BotoCoreError) -> tuple[str, str] | None:
    found = error.response.get("Error", {}) if isinstance(error, ClientError) else {}
    if found.get("Code") == "ResourceNotFoundException":
        return None
    return found.get("Code") or type(error).__name__, found.get("Message") or str(error)
