"""AWS Secrets Manager, through botocore: secrets whose text is a JSON object.

botocore finds the AWS credentials, the region and the endpoint: environment, profile, or role of the machine. boto3
would add a second pin of botocore's version beside the one of s3fs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson

from ...core.errors import AutomatumError, ConfigurationError, VaultDenied, VaultUnreachable
from ...core.extras import install_command
from ...core.redaction import redact, reveal, sealed
from .address import KEY, VaultAddress

TRIAL_STAGE = "AUTOMATUM_TRIAL"
"""Staging label of the version that a trial puts. The current version stays current."""
_DENIED = (
    "AccessDenied",
    "AccessDeniedException",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "ExpiredTokenException",
    "DecryptionFailure",
    "EncryptionFailure",
)
_WRONG = (
    "InvalidRequestException",
    "InvalidParameterException",
    "ValidationException",
    "MalformedPolicyDocumentException",
)
_PERMISSIONS = "Grant GetSecretValue on this secret, for a rotation PutSecretValue too, and kms:Decrypt on its key."


def read(address: VaultAddress) -> tuple[dict[str, Any] | None, None]:
    """Read a secret; None if it does not exist.

    Raises:
        AutomatumError: See `CredentialStore.read`.
    """
    answer = _ask(address, "get_secret_value", {})
    if answer is None:
        return None, None
    document = _parse(answer.pop("SecretString", None))
    if document is None:
        raise ConfigurationError(
            KEY,
            f"{address} is not a JSON object.",
            'Store {"client_id": "app_...", "client_secret": "secret_..."} as its text.',
        )
    return document, None


def write(address: VaultAddress, document: Mapping[str, Any], version: None, *, trial: bool) -> None:
    """Put a new version. AWS keeps the previous one as AWSPREVIOUS. A trial is not made the current version.

    Raises:
        AutomatumError: It was not written.
    """
    stages = [TRIAL_STAGE if trial else "AWSCURRENT"]
    if _ask(address, "put_secret_value", {"SecretString": document, "VersionStages": stages}) is None:
        raise ConfigurationError(
            KEY,
            f"there is no secret {address}.",
            "Create the secret first, with the key, policy and tags of your choice.",
        )


def _parse(text: Any) -> dict[str, Any] | None:
    try:
        found = sealed(orjson.loads(text or ""))
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _ask(address: VaultAddress, operation: str, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Call an operation; None if the secret does not exist."""
    try:
        from botocore import session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ModuleNotFoundError:
        raise ConfigurationError(KEY, "AWS Secrets Manager needs botocore.", install_command("botocore")) from None
    config = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
    failed: Exception | None = None
    try:
        with _without_debug_log():
            client = session.get_session().create_client(
                "secretsmanager", region_name=address.location or None, config=config
            )
            answer: dict[str, Any] = getattr(client, operation)(SecretId=address.name, **_plain(options))
            return answer
    except (ClientError, BotoCoreError) as error:
        failed = error
    # Raise outside of the handler: the exception of botocore holds the response, and would become the context.
    described = getattr(failed, "response", {}).get("Error", {})
    if described.get("Code") == "ResourceNotFoundException":
        return None
    raise _refusal(address, described) if described else _failure(address, failed)


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an operation: the document as its text."""
    text = orjson.dumps(options["SecretString"], reveal, orjson.OPT_INDENT_2).decode() if options else ""
    return {**options, "SecretString": text} if options else {}


def _refusal(address: VaultAddress, described: Mapping[str, str]) -> AutomatumError:
    code = described.get("Code", "an error")
    message = f"{address}: AWS answered {code}: {redact(described.get('Message', '')).rstrip('.')}."
    if code in _DENIED:
        return VaultDenied(message, _PERMISSIONS)
    if code in _WRONG:
        return ConfigurationError(KEY, message, "The secret may be scheduled for deletion, or have another name.")
    return VaultUnreachable(message, "Run again later.")


def _failure(address: VaultAddress, error: Exception) -> AutomatumError:
    kind, said = type(error).__name__, redact(str(error)).rstrip(".")
    if kind in ("NoRegionError", "ProfileNotFound", "InvalidRegionError", "ConfigParseError"):
        return ConfigurationError(KEY, f"{said}.", "Name the region: aws-secretsmanager://eu-central-1/NAME.")
    if "Credential" in kind or "Token" in kind:
        return VaultDenied(
            f"{address}: botocore found no AWS credentials: {said}.",
            "Set AWS_PROFILE or AWS_ACCESS_KEY_ID, or give the machine a role.",
        )
    return VaultUnreachable(
        f"{address}: no answer from AWS: {said}.", "Run again later; check the network and a proxy."
    )


@contextmanager
def _without_debug_log() -> Iterator[None]:
    """Keep botocore from logging requests and responses, which it does in full at DEBUG."""
    logger = logging.getLogger("botocore")
    level = logger.level
    if logger.getEffectiveLevel() < logging.INFO:
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
