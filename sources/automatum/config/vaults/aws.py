"""AWS Secrets Manager, through botocore: secrets whose text is a JSON object.

botocore finds the AWS credentials, the region and the endpoint: environment, profile, or role of the machine. boto3
would add a second pin of botocore's version beside the one of s3fs.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

import orjson

from ...core.errors import AutomatumError, ConfigurationError, VaultDenied, VaultUnreachable
from ...core.extras import install_command
from ...core.redaction import redact, reveal, sealed
from .address import KEY, VaultAddress

TRIAL_STAGE = "AUTOMATUM_TRIAL"
"""Staging label of the version that a trial puts. The current version stays current."""
_DENIED = re.compile(r"Denied|Token|Credential|Signature|UnrecognizedClient|cryptionFailure")
"""Codes of AWS, and names of botocore's exceptions, that need other credentials or permissions."""
_WRONG = re.compile(r"InvalidRe|InvalidParameter|Validation|Malformed|NoRegion|Profile|ConfigParse")
"""Those that need another address or profile. All others are no usable response."""


def read(secret: VaultAddress) -> tuple[dict[str, Any] | None, None]:
    """Read a secret; None if it does not exist.

    Raises:
        AutomatumError: See `VaultSecret.read`.
    """
    answer = _ask(secret, "get_secret_value", {})
    if answer is None:
        return None, None
    document = _parse(answer.pop("SecretString", None))
    if document is None:
        raise ConfigurationError(
            KEY,
            f"{secret} is not a JSON object.",
            'Store {"client_id": "app_...", "client_secret": "secret_..."} as its text.',
        )
    return document, None


def write(secret: VaultAddress, document: Mapping[str, Any], version: None, *, trial: bool) -> None:
    """Put a new version. AWS keeps the previous one as AWSPREVIOUS. A trial is not made the current version.

    Raises:
        AutomatumError: It was not written.
    """
    stages = [TRIAL_STAGE if trial else "AWSCURRENT"]
    if _ask(secret, "put_secret_value", {"SecretString": document, "VersionStages": stages}) is None:
        raise ConfigurationError(
            KEY,
            f"there is no secret {secret}.",
            "Create the secret first, with the key, policy and tags of your choice.",
        )


def _parse(text: Any) -> dict[str, Any] | None:
    try:
        found = sealed(orjson.loads(text or ""))
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _ask(secret: VaultAddress, operation: str, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Call an operation; None if the secret does not exist."""
    try:
        from botocore import session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ModuleNotFoundError:
        raise ConfigurationError(KEY, "AWS Secrets Manager needs botocore.", install_command("botocore")) from None
    logger = logging.getLogger("botocore")
    level = logger.level
    config = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
    failed: Exception | None = None
    try:
        logger.setLevel(max(logger.getEffectiveLevel(), logging.INFO))  # At DEBUG it logs what it sends and gets.
        client = session.get_session().create_client(
            "secretsmanager", region_name=secret.location or None, config=config
        )
        answer: dict[str, Any] = getattr(client, operation)(SecretId=secret.name, **_plain(options))
        return answer
    except (ClientError, BotoCoreError) as error:
        failed = error
    finally:
        logger.setLevel(level)
    # Raise outside of the handler: the exception of botocore holds the response, and would become the context.
    described = getattr(failed, "response", {}).get("Error", {})
    if described.get("Code") == "ResourceNotFoundException":
        return None
    raise _refusal(secret, described.get("Code") or type(failed).__name__, described.get("Message") or str(failed))


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an operation: the document as its text."""
    text = orjson.dumps(options["SecretString"], reveal, orjson.OPT_INDENT_2).decode() if options else ""
    return {**options, "SecretString": text} if options else {}


def _refusal(secret: VaultAddress, code: str, text: str) -> AutomatumError:
    """Translate a refusal of AWS or a failure of botocore."""
    message = f"{secret}: {code}: {redact(text).rstrip('.')}."
    if _DENIED.search(code):
        return VaultDenied(
            message,
            "Set AWS_PROFILE or AWS_ACCESS_KEY_ID, or give the machine a role. Grant GetSecretValue (for a "
            "rotation PutSecretValue, too) on this secret, and kms:Decrypt on its key.",
        )
    if _WRONG.search(code):
        return ConfigurationError(
            KEY,
            message,
            "Name a secret that is not scheduled for deletion, with its region: aws-secretsmanager://eu-central-1/NAME.",
        )
    return VaultUnreachable(message, "Run again later; check the network and a proxy.")
