"""Checks of network addresses."""

from __future__ import annotations

_LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(host: str) -> bool:
    """Whether a host name is this machine, so that plain `http://` to it does not cross a network.

    Args:
        host: Host name or address, without port and brackets, as `urlsplit(url).hostname` returns it.
    """
    return host in _LOOPBACK_HOSTS
