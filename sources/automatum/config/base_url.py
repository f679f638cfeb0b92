"""The root of the API: a host, or a path of a gateway or proxy that passes requests on to the API."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import unquote, urlsplit

from ..core.errors import ConfigurationError
from ..core.network import is_loopback
from ..endpoints import API_PREFIX, TOKEN_PATH

DEFAULT_BASE_URL = "https://api.automatum.io"
_KEY = "sources.automatum.base_url"
_ADDED = (API_PREFIX.rstrip("/"), TOKEN_PATH)
_PORTS = {"https": 443, "http": 80}


def server_url(url: str, key: str, example: str) -> str:
    """Check that secrets may be sent to the server of a URL; returns scheme, host and port.

    Args:
        url: The URL.
        key: Setting or variable that the error names.
        example: What to write instead, for the error.

    Raises:
        ConfigurationError: It is not an absolute URL, has credentials, or is plain http to another machine.
    """
    if problem := url_problem(url):
        raise ConfigurationError(key, f"{problem}.", example)
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def url_problem(url: str) -> str:
    """Why secrets must not be sent to the server of a URL; empty if they may. No error shows a URL that is secret."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "not a URL"
    if parts.scheme not in _PORTS or not host:
        return "not a URL"
    if parts.username or parts.password:
        return "a URL with credentials in it"
    clear = parts.scheme == "http" and not is_loopback(host)
    return f"http:// to {host} would send secrets in the clear; https:// does not" if clear else ""


def validated_base_url(url: str) -> str:
    """Check the URL, and return it without a slash at its end.

    Args:
        url: Such as `https://api.automatum.io`, or `https://proxy.example.com/automatum` for a gateway.

    Raises:
        ConfigurationError: It is not an absolute URL, has credentials, a query or a fragment, or is plain http to
            another machine; or its path ends with a path that the connector adds.
    """
    root = server_url(url, _KEY, f"The default is {DEFAULT_BASE_URL}.")
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if parts.query or parts.fragment:
        raise ConfigurationError(_KEY, "the URL has a query or a fragment.", f"Write {root}{path}.")
    if re.search(r"[\s\\]", path) or {".", ".."} & {unquote(segment) for segment in path.split("/")}:
        raise ConfigurationError(_KEY, "the path of the URL has a space, a backslash, or a segment of dots.")
    for added in _ADDED:
        if path.endswith(added):
            raise ConfigurationError(
                _KEY,
                f"the URL ends with {added}, and {API_PREFIX.rstrip('/')} and {TOKEN_PATH} are added to it.",
                f"Write {root}{path.removesuffix(added)}.",
            )
    return root + path


def host_key(base_url: str) -> str:
    """Name of the API in the keys of the rate limiter's state: host, port unless it is the usual one, and path.

    Two paths of one gateway are two APIs. Without a path, the name is that of earlier versions.
    """
    parts = urlsplit(base_url)
    port = "" if parts.port in (None, _PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.hostname or ''}{port}{parts.path}"


def file_key(base_url: str) -> str:
    """Name of the API in the names of files. Without a path, it is that of earlier versions."""
    parts = urlsplit(base_url)
    host = parts.netloc.replace(":", "-")
    if not parts.path:
        return host
    # The hash keeps /a/b and /a-b apart.
    words = re.sub(r"[^A-Za-z0-9]+", "-", parts.path).strip("-")[:40]
    return f"{host}-{words}-{hashlib.sha256(parts.path.encode()).hexdigest()[:8]}"
