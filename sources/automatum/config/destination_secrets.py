"""Registers the secrets of dlt's destinations for redaction: drivers name parts of a URL in their messages (I6)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..core.redaction import register_secret
from ..core.secret_values import secrets_in
from .toml_files import settings_providers

_SECTION = "destination"


def register_destination_secrets() -> None:
    """Register what is secret in `[destination]` of all providers, and in the variables `DESTINATION__...`."""
    for provider in settings_providers():
        with suppress(Exception):  # A provider that cannot answer, such as a vault that is away, has nothing to leak.
            value, _ = provider.get_value(_SECTION, dict, None)
            _register(value if isinstance(value, Mapping) else {})
    for name, text in os.environ.items():
        path = name.lower().split("__")
        if _SECTION in path[:-1]:
            with suppress(ValueError):  # A table, as JSON.
                _register(json.loads(text), path[-1])
            _register(text, path[-1])


def _register(value: Any, key: str = "") -> None:
    for secret in secrets_in(value, key):
        register_secret(secret)
