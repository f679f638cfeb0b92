"""One request of the client, and the state of its attempts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..endpoints import API_PREFIX
from .http import HttpResponse
from .retry import RetryPolicy

_EMPTY_SUCCESS = (201, 202, 204)


def do_nothing(*_: object) -> None:
    """Do nothing: the default of a callback."""


@dataclass
class Call:
    """One request and the state of its attempts."""

    method: str
    path: str
    url: str
    retry: RetryPolicy
    params: Mapping[str, str] | None = None
    payload: bytes | None = None
    scope: str = ""
    attempts: int = 0
    redirects: int = 0
    reauthenticated: bool = False
    before: Callable[[], None] = do_nothing
    not_taken: Callable[[], None] = do_nothing
    inspect: Callable[[bytes], None] = do_nothing
    token: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """Method and path, for messages."""
        return f"{self.method} {self.path}"

    @property
    def below_api(self) -> bool:
        """Whether it is about data or usage, and not about OAuth applications."""
        return self.path.startswith(API_PREFIX)

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again after an unknown outcome. A POST of usage could be billed twice."""
        return self.method == "GET"

    def succeeded(self, response: HttpResponse) -> bool:
        """Whether the response is a success. For a POST, 201, 202 and 204 need no body."""
        if self.repeatable:
            return response.usable
        return response.usable or (response.empty and response.http_status in _EMPTY_SUCCESS)
