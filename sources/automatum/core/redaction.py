"""Keeps secrets out of every text that leaves the connector (I6).

Two nets: the secrets that this process was given are blotted out wherever they appear, and so is whatever looks like
one (bearer tokens, JSON web tokens, form fields that carry secrets). `apiKey` is left alone: in the vendor's metering
body it is the name of a dimension (`guide/api-integration`), not a credential.
"""

from __future__ import annotations

import logging
import re
from urllib.parse import quote, quote_plus

REDACTED = "***"
_SHORTEST = 6
"""Characters; a shorter secret would blot out ordinary words."""

_secrets: set[str] = set()
_PATTERNS = (
    re.compile(r"(?i)(bearer\s+)[\w.~+/=-]{6,}"),
    re.compile(r"()\beyJ[\w-]{6,}\.[\w-]*(?:\.[\w-]*)?"),
    re.compile(r"()\bsecret_\w{6,}"),
    re.compile(
        r"(?i)([\"']?(?:client_?secret|access_?token|refresh_?token|webhook_?secret|authorization)[\"']?\s*[:=]\s*"
        r"[\"']?(?:bearer\s+)?)[^\s\"'&,}]{3,}"
    ),
)


def register_secret(secret: str | None) -> None:
    """Blot out this text from now on, in its plain and in its URL-encoded form."""
    if secret and len(secret) >= _SHORTEST:
        _secrets.update({secret, quote(secret, safe=""), quote_plus(secret)})


def redact(text: str) -> str:
    """The text without secrets."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<1>{REDACTED}", text)
    return text


class RedactingFilter(logging.Filter):
    """Redacts each record's message, arguments included, and its traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record in place; always lets it through."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            # Arguments that do not fit their text: whoever shows the record will complain, with both apart.
            message = str(record.msg)
            record.args = tuple(redact(str(one)) for one in record.args or ())
        clean = redact(message)
        if clean != message:
            record.msg, record.args = clean, ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True


def redact_logging() -> None:
    """Redact what our logger, dlt's and urllib3's say, whoever listens to them. Calling it twice does no harm."""
    for name in ("automatum", "dlt", "urllib3", "urllib3.connectionpool"):
        logger = logging.getLogger(name)
        if not any(isinstance(one, RedactingFilter) for one in logger.filters):
            logger.addFilter(RedactingFilter())
