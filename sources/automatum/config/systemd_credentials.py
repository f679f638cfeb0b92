"""Lets dlt read secrets that systemd mounts (`LoadCredential=`), beside those of Docker and Kubernetes."""

from __future__ import annotations

import os
from pathlib import Path

from .dlt_internals import read_mounted_secrets

_MOUNTED = Path("/run/secrets")


def use_systemd_credentials() -> None:
    """Read mounted secrets from `$CREDENTIALS_DIRECTORY`, where there is one and no `/run/secrets`.

    The name of a secret is that of dlt, such as `sources--automatum--client-secret`.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and not _MOUNTED.is_dir():
        read_mounted_secrets(folder)
