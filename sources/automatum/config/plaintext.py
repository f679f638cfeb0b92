"""Connections that would cross a network without encryption: refused, unless the user says that the network is safe."""

from __future__ import annotations

from typing import Any

from ..core.errors import ConfigurationError
from ..core.network import is_loopback
from .lookup import look_up

SETTING = "plaintext_hosts"


def refuse_plaintext(host: str | None, key: str, instead: str) -> None:
    """Refuse a connection to another machine that is not encrypted.

    Args:
        host: Host name or address; a path or nothing for a socket of this machine.
        key: Setting or option that names the server.
        instead: How to encrypt the connection.

    Raises:
        ConfigurationError: It is another machine, and not in `plaintext_hosts`.
    """
    if not host or host.startswith(("/", "@")) or is_loopback(host) or host in (look_up(SETTING, list) or ()):
        return
    raise ConfigurationError(
        key,
        f"the connection to {host} is not encrypted, and data and passwords would cross the network in the clear.",
        f"{instead} If nobody else can listen on that network, add the host to sources.automatum.{SETTING}.",
    )


def refuse_plaintext_postgres(connection: Any, key: str) -> None:
    """Refuse a connection of psycopg2 to another machine that is not encrypted; close it first.

    Raises:
        ConfigurationError: See `refuse_plaintext`.
    """
    if connection.info.ssl_in_use:
        return
    try:
        refuse_plaintext(connection.info.host, key, "Switch TLS on in the server, and add sslmode=require to the URL.")
    except ConfigurationError:
        connection.close()
        raise
