"""Posts the end of a run as one line of text: `{"text": ...}`, which Slack, Teams and most chats take.

A webhook that fails does not change the exit code, and delays the end of the run by at most `LONGEST` seconds. The URL
is a secret: with it anybody can write to the channel.
"""

from __future__ import annotations

import threading
from urllib.parse import urlsplit, urlunsplit

import orjson

from ..config.base_url import url_problem
from ..core.clock import Clock, SystemClock
from ..core.errors import ConfigurationError
from ..core.redaction import Secret, redact, register_url
from ..core.text import printable

KEY = "sources.automatum.notify_url"
TIMEOUT = 5.0
"""Seconds to wait for a connection, and for each part of a response."""
LONGEST = 20.0
"""Seconds for both attempts together, including the look-up of the host name."""
PAUSE = 1.0
"""Seconds before the second attempt."""


class Webhook:
    """A webhook that receives notifications.

    Args:
        url: https; http only on loopback. Its path and query are taken for a secret, as they are with Slack, and
            redacted in all logs.
        clock: Time.
        timeout: Seconds to wait for a connection, and for each part of a response.

    Raises:
        ConfigurationError: Not a URL, or a URL that would send the notification unencrypted.
    """

    def __init__(self, url: Secret, *, clock: Clock | None = None, timeout: float = TIMEOUT) -> None:
        self._clock = clock or SystemClock()
        self._timeout = timeout
        self._url = url
        register_url(url.reveal(), webhook=True)
        if problem := url_problem(url.reveal()):
            raise ConfigurationError(KEY, f"{problem}.", "Write it like https://hooks.slack.com/services/...")

    def post(self, text: str, end: str = "") -> str | None:
        """Send a line of text, again after a failure, without following redirects. Raises nothing.

        Args:
            text: The line.
            end: What follows the path of the URL, such as `/start`.

        Returns:
            Why it did not arrive, without the URL; None if it did.
        """
        problems: list[str | None] = []
        data = orjson.dumps({"text": printable(redact(text))})
        # In a thread, because no timeout bounds the look-up of a host name. It ends with the process.
        sending = threading.Thread(target=lambda: problems.append(self._attempt(data, end)), daemon=True)
        sending.start()
        sending.join(LONGEST)
        return problems[0] if problems else f"no answer within {LONGEST:g} s"

    def _attempt(self, data: bytes, end: str) -> str | None:
        try:
            problem = self._send(data, end)
            if problem is None:
                return None
            self._clock.sleep(PAUSE)
            return self._send(data, end)
        except Exception as error:  # An error here must not change the result of the run.
            return type(error).__name__

    def _send(self, data: bytes, end: str) -> str | None:
        from ..api.connections import Connections
        from ..api.http import HttpFailure, send

        with Connections() as connections:
            answer = send(
                connections, "POST", _with_end(self._url, end).reveal(), clock=self._clock, timeout=self._timeout,
                within=self._timeout, headers={"Content-Type": "application/json"}, body=data,
            )  # fmt: skip
        if isinstance(answer, HttpFailure):
            return redact(answer.detail)
        return None if 200 <= answer.http_status < 300 else f"answered {answer.http_status}"


def _with_end(url: Secret, end: str) -> Secret:
    parts = urlsplit(url.reveal())
    return Secret(urlunsplit(parts._replace(path=parts.path.rstrip("/") + end))) if end else url
