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
from ...core.redaction import redact
from .uri import KEY, VaultUri

TRIAL_STAGE = "AUTOMATUM_TRIAL"
"""Staging label of the version that `check_writable` puts. The current version stays current."""
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


class AwsSecretsManager:
    """One region's Secrets Manager.

    Args:
        address: Address of the secret.

    Raises:
        ConfigurationError: botocore is not installed.
    """

    def __init__(self, address: VaultUri) -> None:
        try:
            from botocore import session
            from botocore.exceptions import BotoCoreError, ClientError
        except ModuleNotFoundError:
            raise ConfigurationError(KEY, "AWS Secrets Manager needs botocore.", install_command("botocore")) from None
        self._open_session, self.client_error, self.other_error = session.get_session, ClientError, BotoCoreError
        self._address = address
        self._client: Any = None

    def secret(self, organization: str | None) -> AwsSecret:
        """See `Vault.secret`."""
        return AwsSecret(self, self._address.for_organization(organization))

    def client(self) -> Any:
        """The client of botocore, made on the first call. `VaultProvider` holds its lock when it calls this."""
        from botocore.config import Config

        if self._client is None:
            config = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})
            self._client = self._open_session().create_client(
                "secretsmanager", region_name=self._address.location or None, config=config
            )
        return self._client


class AwsSecret:
    """One secret.

    Args:
        manager: The region's Secrets Manager.
        address: Address of the secret.
    """

    def __init__(self, manager: AwsSecretsManager, address: VaultUri) -> None:
        self._manager, self._address = manager, address

    @property
    def description(self) -> str:
        """See `CredentialStore.description`."""
        return str(self._address)

    def read(self) -> dict[str, Any] | None:
        """See `CredentialStore.read`."""
        answer = self._ask("get_secret_value")
        return None if answer is None else self._document(answer)

    def check_writable(self) -> None:
        """Put the present value as a version that is not the current version."""
        self._put(self.read() or {}, [TRIAL_STAGE])

    def write(self, changes: Mapping[str, str]) -> None:
        """See `CredentialStore.write`. AWS keeps the previous version as AWSPREVIOUS."""
        self._put({**(self.read() or {}), **changes}, ["AWSCURRENT"])

    def _put(self, document: dict[str, Any], stages: list[str]) -> None:
        text = orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
        if self._ask("put_secret_value", SecretString=text, VersionStages=stages) is None:
            raise ConfigurationError(
                KEY,
                f"there is no secret {self.description}.",
                "Create the secret first, with the key, policy and tags of your choice.",
            )

    def _ask(self, operation: str, **more: Any) -> dict[str, Any] | None:
        """Call an operation; None if the secret does not exist."""
        manager = self._manager
        failed: Exception | None = None
        described: dict[str, str] = {}
        try:
            with _without_debug_log():
                answer: dict[str, Any] = getattr(manager.client(), operation)(SecretId=self._address.name, **more)
        except manager.client_error as error:
            failed, described = error, error.response.get("Error", {})
        except manager.other_error as error:
            failed = error
        # Raise outside of the handler: the exception of botocore holds the response, and would become the context.
        if failed is None:
            return answer
        if described.get("Code") == "ResourceNotFoundException":
            return None
        raise self._refusal(described) if described else self._failure(failed)

    def _refusal(self, described: dict[str, str]) -> AutomatumError:
        code = described.get("Code", "an error")
        message = f"{self.description}: AWS answered {code}: {redact(described.get('Message', '')).rstrip('.')}."
        if code in _DENIED:
            return VaultDenied(message, _PERMISSIONS)
        if code in _WRONG:
            return ConfigurationError(KEY, message, "The secret may be scheduled for deletion, or have another name.")
        return VaultUnreachable(message, "Run again later.")

    def _failure(self, error: Exception) -> AutomatumError:
        kind, said = type(error).__name__, redact(str(error)).rstrip(".")
        if kind in ("NoRegionError", "ProfileNotFound", "InvalidRegionError", "ConfigParseError"):
            return ConfigurationError(KEY, f"{said}.", "Name the region: aws-secretsmanager://eu-central-1/NAME.")
        if "Credential" in kind or "Token" in kind:
            return VaultDenied(
                f"{self.description}: botocore found no AWS credentials: {said}.",
                "Set AWS_PROFILE or AWS_ACCESS_KEY_ID, or give the machine a role.",
            )
        return VaultUnreachable(
            f"{self.description}: no answer from AWS: {said}.", "Run again later; check the network and a proxy."
        )

    def _document(self, answer: dict[str, Any]) -> dict[str, Any]:
        try:
            found = orjson.loads(answer.get("SecretString") or "")
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            raise ConfigurationError(
                KEY,
                f"{self.description} is not a JSON object.",
                'Store {"client_id": "app_...", "client_secret": "secret_..."} as its text.',
            )
        return found


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
