"""The secret of the vendor's webhook, with which its events are checked."""

from __future__ import annotations

import os

from dlt.common.typing import TSecretStrValue

from ..core.redaction import register_secret
from .lookup import look_up

KEYS = ("webhook_secret",)


def find_webhook_secret() -> str | None:
    """`webhook_secret`, or the vendor's own variable `AUTOMATUM_WEBHOOK_SECRET` (`getting-started/webhook`); or None.

    Raises:
        ConfigurationError: It is not text.
    """
    found = look_up(KEYS[0], TSecretStrValue) or os.environ.get("AUTOMATUM_WEBHOOK_SECRET", "")
    register_secret(found)
    return found.strip() or None
