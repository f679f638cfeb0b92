"""Notifies a webhook of the end of a run, with counts and one line of text, never with a row.

A webhook that fails does not change the exit code, and delays the end of the run by at most `LONGEST` seconds. The URL
is a secret: with it anybody can write to the channel.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson

from ..core.clock import Clock, SystemClock
from ..core.errors import AutomatumError, ConfigurationError
from ..core.network import is_loopback
from ..core.redaction import Secret, redact, register_url
from ..core.result_line import without_server_text
from ..core.text import printable

KEY = "sources.automatum.notify_url"
OCCASIONS = ("trouble", "change", "always")
"""When to notify: after exit codes other than 0; after these and after changes; after every run."""
ATTEMPTS = 3
TIMEOUT = 5.0
"""Seconds to wait for a connection, and for each part of a response."""
LONGEST = 20.0
"""Seconds for all attempts together, including the look-up of the host name."""
PAUSE = 1.0
"""Seconds before the second attempt; twice that before the third."""
_SLACK = frozenset({"hooks.slack.com", "hooks.slack-gov.com"})
_WORTH_ANOTHER = frozenset({408, 425, 429})
_WORDS = ("verdict", "resume_at")


class Webhook:
    """A webhook that receives notifications.

    Args:
        url: https; http only on loopback. Its path and query are taken for a secret, as they are with Slack, and
            redacted in all logs.
        key: The setting or option that the URL comes from.
        clock: Time.
        timeout: Seconds to wait for a connection, and for each part of a response.

    Raises:
        ConfigurationError: Not a URL, or a URL that would send the notification unencrypted.
    """

    def __init__(self, url: Secret, key: str = KEY, *, clock: Clock | None = None, timeout: float = TIMEOUT) -> None:
        self._clock = clock or SystemClock()
        self._timeout = timeout
        self._url = url
        register_url(url.reveal(), webhook=True)
        self.host, problem = _host(url)
        if problem:
            raise ConfigurationError(
                key, f"{problem}.", "Write it like https://hooks.slack.com/services/...; http is for loopback only."
            )

    def __repr__(self) -> str:
        return f"Webhook({self.host!r})"

    @property
    def slack(self) -> bool:
        """Whether it is a webhook of Slack, which documents the field `text` only."""
        return self.host in _SLACK

    def post(self, body: Mapping[str, Any], end: str = "") -> str | None:
        """Send a notification with at most three attempts, without following redirects. Raises nothing.

        Args:
            body: The JSON object; Slack gets only its `text`.
            end: What follows the path of the URL, such as `/start`.

        Returns:
            Why it did not arrive, without the URL; None if it did.
        """
        shown = {"text": escape(str(body["text"]))} if self.slack else dict(body)
        problems: list[str | None] = []
        data = orjson.dumps(shown)
        # In a thread, because no timeout bounds the look-up of a host name. It ends with the process.
        sending = threading.Thread(target=lambda: problems.append(self._attempt(data, end)), daemon=True)
        sending.start()
        sending.join(LONGEST)
        return problems[0] if problems else f"no answer within {LONGEST:g} s"

    def _attempt(self, data: bytes, end: str) -> str | None:
        try:
            return self._deliver(data, end)
        except Exception as error:  # An error here must not change the result of the run.
            return type(error).__name__

    def _deliver(self, data: bytes, end: str) -> str | None:
        from ..api.connections import Connections
        from ..api.http import HttpFailure, send

        problem = ""
        until = self._clock.monotonic() + LONGEST
        with Connections() as connections:
            for attempt in range(ATTEMPTS):
                if attempt:
                    self._clock.sleep(PAUSE * 2 ** (attempt - 1))
                answer = send(
                    connections, "POST", _with_end(self._url, end).reveal(), clock=self._clock, timeout=self._timeout,
                    within=self._timeout, headers={"Content-Type": "application/json"}, body=data,
                )  # fmt: skip
                if isinstance(answer, HttpFailure):
                    problem = answer.detail
                elif 200 <= answer.http_status < 300:
                    return None
                else:
                    problem = f"answered {answer.http_status}"
                    if answer.http_status < 500 and answer.http_status not in _WORTH_ANOTHER:
                        break
                if self._clock.monotonic() > until:
                    break
        return redact(problem)


def _host(url: Secret) -> tuple[str, str]:
    """The host of a URL, and what is wrong with the URL; it is parsed here, so that no frame of an error shows it."""
    try:
        parts = urlsplit(url.reveal())
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "", "not a URL"
    if parts.scheme not in ("http", "https") or not host:
        return host, "not a URL"
    if parts.username or parts.password:
        return host, "a URL with credentials in it, and a webhook's secret is in its path or query"
    clear = parts.scheme == "http" and not is_loopback(host)
    return host, "http:// would send it in the clear" if clear else ""


def _with_end(url: Secret, end: str) -> Secret:
    parts = urlsplit(url.reveal())
    return Secret(urlunsplit(parts._replace(path=parts.path.rstrip("/") + end))) if end else url


def notice(
    command: str, text: str, exit_code: int, figures: Mapping[str, Any], errors: Iterable[AutomatumError]
) -> dict[str, Any]:
    """The body of a notification: counts and verdicts of the summary, and the errors without texts of servers.

    It has only numbers, verdicts, times and names of tables and organizations. Refused rows, texts of servers and
    amounts of money are left out.

    Args:
        command: `sync`, `push`.
        text: One line, for a chat.
        exit_code: Exit code of the process.
        figures: The summary as a JSON object.
        errors: The errors of the run.
    """
    said = [
        {
            "type": type(error).__name__,
            "message": without_server_text(error),
            "next_step": error.next_step,
            "exit_code": error.exit_code,
        }
        for error in errors
    ]
    body = {"text": text, "command": command, "exit_code": exit_code, **_counts(figures), "errors": said}
    return {name: _clean(value) for name, value in body.items()}


def escape(text: str) -> str:
    """Escape the three characters that Slack reads as markup, links and mentions."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _counts(figures: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in figures.items():
        if name == "skipped" and isinstance(value, Mapping):
            kept[name] = sorted(value)
        elif name == "organizations" and isinstance(value, Mapping):
            kept[name] = {one: _counts(each) for one, each in value.items() if isinstance(each, Mapping)}
        elif isinstance(value, Mapping):
            counts = _counts(value)
            if counts or not value:  # A mapping of texts or amounts only has nothing that may be sent.
                kept[name] = counts
        elif name in _WORDS or isinstance(value, (int, float)) or value is None:
            kept[name] = value
    return kept


def _clean(value: Any) -> Any:
    """The same value with all registered secrets redacted, and control characters as escapes."""
    if isinstance(value, str):
        return printable(redact(value))
    if isinstance(value, dict):
        return {name: _clean(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_clean(one) for one in value]
    return value
