"""Checks the signature of a webhook call, over the bytes as they arrived.

Documented (`getting-started/webhook`): the header `x-automatum-signature`, HMAC-SHA256 with the webhook's secret. How
the signature is written is not shown, so hex and base64 are read, with or without `sha256=`. Standard Webhooks
(`webhook-id`, `webhook-timestamp`, `webhook-signature`) are read as well.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from ..core.errors import ConfigurationError

SIGNATURE_HEADER = "x-automatum-signature"
_VERSION = "v1,"
"""Before each signature of Standard Webhooks that is made with HMAC-SHA256."""
TOLERANCE = 300.0
"""Seconds that a call of Standard Webhooks may be old when it arrives."""


def verify_webhook(
    body: bytes,
    headers: Mapping[str, str],
    secret: str,
    *,
    header: str = SIGNATURE_HEADER,
    tolerance: float | None = TOLERANCE,
    now: float | None = None,
) -> bool:
    """Whether a webhook call is signed with the secret.

    Args:
        body: The body as it arrived, before it is parsed: another spacing has another signature.
        headers: The headers of the call; their case does not matter.
        secret: The webhook's secret. `whsec_...` is base64, as in Standard Webhooks.
        header: Header of the signature, for webhooks that do not follow Standard Webhooks.
        tolerance: Seconds that a call of Standard Webhooks may be old; None for a call that was stored.
        now: The present, in epoch seconds; None for the machine's clock.
    """
    found = {name.lower(): value for name, value in headers.items()}
    if "webhook-signature" in found:
        identity, moment = found.get("webhook-id", ""), found.get("webhook-timestamp", "")
        present = time.time() if now is None else now
        if tolerance is not None and not (moment.isdigit() and abs(present - int(moment)) <= tolerance):
            return False
        wanted = _digest(f"{identity}.{moment}.".encode() + body, secret)
        signatures = found["webhook-signature"].split()
        given = [text.removeprefix(_VERSION) for text in signatures if text.startswith(_VERSION)]
        return any(_equal(text, wanted) for text in given)
    signature = found.get(header.lower(), "").strip()
    return bool(signature) and _equal(signature.removeprefix("sha256="), _digest(body, secret))


def verified_events(
    stored: Iterable[Mapping[str, Any]], secret: str | None, header: str = SIGNATURE_HEADER
) -> Iterator[Mapping[str, Any]]:
    """The events in stored webhook calls.

    Args:
        stored: Events; or calls as `{"headers": {...}, "body": "..."}`, of which the body is the text that arrived.
        secret: The webhook's secret; None to check nothing.
        header: Header of the signature.

    Raises:
        ConfigurationError: A secret is given, and a call has no signature or a wrong one.
    """
    for number, event_or_call in enumerate(stored, 1):
        call = _call(event_or_call)
        if call is None and secret is None:
            yield event_or_call
            continue
        if call is None:
            raise _error(number, "has no headers and no body, so its signature cannot be checked")
        body, headers = call
        if secret is not None and not verify_webhook(body.encode(), headers, secret, header=header, tolerance=None):
            raise _error(number, "is not signed with the webhook's secret")
        try:
            event = json.loads(body, parse_float=Decimal)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            raise _error(number, "has a body that is not a JSON object")
        yield event


def _call(event_or_call: Mapping[str, Any]) -> tuple[str, Mapping[str, str]] | None:
    body, headers = event_or_call.get("body"), event_or_call.get("headers")
    if isinstance(headers, str):
        try:
            headers = json.loads(headers)
        except ValueError:
            return None
    return (body, headers) if isinstance(body, str) and isinstance(headers, Mapping) else None


def _error(number: int, why: str) -> ConfigurationError:
    return ConfigurationError(
        "events",
        f"event {number} {why}. Nothing was resolved.",
        'Store each call as {"headers": {...}, "body": "the text as it arrived"}, and check webhook_secret.',
    )


def _digest(content: bytes, secret: str) -> bytes:
    key = secret.encode()
    if secret.startswith("whsec_"):
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            key = secret.encode()
    return hmac.new(key, content, hashlib.sha256).digest()


def _equal(given: str, wanted: bytes) -> bool:
    forms = (wanted.hex(), base64.b64encode(wanted).decode(), base64.urlsafe_b64encode(wanted).decode())
    return any(hmac.compare_digest(given.strip().encode(), form.encode()) for form in forms)
