"""Checks the signature of a webhook call, over the bytes as they arrived.

Documented (`getting-started/webhook`): the header `x-automatum-signature`, HMAC-SHA256 with the webhook's secret. How
the signature is written is not shown, so hex and base64 are read, with or without `sha256=`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from ..core.errors import ConfigurationError
from ..core.redaction import Secret

SIGNATURE_HEADER = "x-automatum-signature"


def verify_webhook(body: bytes, headers: Mapping[str, str], secret: str | Secret) -> bool:
    """Whether a webhook call is signed with the secret.

    Args:
        body: The body as it arrived, before it is parsed: another spacing has another signature.
        headers: The headers of the call; their case does not matter.
        secret: The webhook's secret.

    Raises:
        ConfigurationError: The secret is empty, with which anybody can sign.
    """
    secret = secret if isinstance(secret, Secret) else Secret(secret)
    if not secret.reveal().strip():
        raise ConfigurationError("webhook_secret", "empty.", "The webhook's settings in Automatum show it.")
    given = next((value for name, value in headers.items() if name.lower() == SIGNATURE_HEADER), "")
    signature = given.strip().removeprefix("sha256=").encode(errors="replace")
    wanted = hmac.new(secret.reveal().encode(), body, hashlib.sha256).digest()
    forms = (wanted.hex().encode(), base64.b64encode(wanted), base64.urlsafe_b64encode(wanted))
    return any(hmac.compare_digest(signature, form) for form in forms)


def verified_events(stored: Iterable[Mapping[str, Any]], secret: str | Secret | None) -> Iterator[Mapping[str, Any]]:
    """The events in stored webhook calls.

    Args:
        stored: Events; or calls as `{"headers": {...}, "body": "..."}`, of which the body is the text that arrived.
        secret: The webhook's secret; None to check nothing.

    Raises:
        ConfigurationError: A secret is given, and a call has no signature or a wrong one.
    """
    for number, event_or_call in enumerate(stored, 1):
        body, headers = event_or_call.get("body"), _json(event_or_call.get("headers"))
        if isinstance(body, str) and isinstance(headers, Mapping):
            if secret is not None and not verify_webhook(body.encode(), headers, secret):
                raise _error(number, "is not signed with the webhook's secret")
            event = _json(body)
            if not isinstance(event, dict):
                raise _error(number, "has a body that is not a JSON object")
            yield event
        elif secret is None:
            yield event_or_call
        else:
            raise _error(number, "has no headers and no body, so its signature cannot be checked")


def _json(value: Any) -> Any:
    """What a text says in JSON, None if it is none; another value as it is."""
    try:
        return json.loads(value, parse_float=Decimal) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return None


def _error(number: int, why: str) -> ConfigurationError:
    return ConfigurationError(
        "events",
        f"event {number} {why}. Nothing was resolved.",
        'Store each call as {"headers": {...}, "body": "the text as it arrived"}, and check webhook_secret.',
    )
