"""Several OAuth applications of one organization, over which the requests for its lists and reports are spread.

The first application sends alone until it would have to wait: each further one costs a token and a page. Then all that
can send do so in turn. What is written (usage, applications) is the first one's alone.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from ..core.errors import AccessError, AutomatumError, ConfigurationError, CredentialsRefused, NotThere, QuotaExhausted
from ..core.text import plural, printable
from ..endpoints import ORGANIZATION, Endpoint
from ..schema.records import dig
from .http import ApiResponse
from .oauth import TokenSource
from .rate_limit import NO_WAIT, RateLimiter

logger = logging.getLogger("automatum")

KEY = "sources.automatum.applications"


class Application(Protocol):
    """The client of one application."""

    client_id: str
    limiter: RateLimiter
    tokens: TokenSource

    def get(self, path: str, params: Mapping[str, str], scope: str) -> ApiResponse:
        """See `ApiClient.get`."""


Client = TypeVar("Client", bound=Application)


class Pool(Generic[Client]):
    """The applications of one organization. Thread-safe.

    An application joins when it has a token and a page of its own shows that it reads the same organization: rows of
    another one must not get into the lists. Nothing about it outlasts the run.

    Args:
        first: The client of the application `client_id`.
        others: A client of each further application.
        endpoints: Those that can be read.
        organization: The vendor's id of the organization; empty to learn it from the records that the first one reads.

    Attributes:
        left_out: Client id to the error of each application that is out of use for the rest of the run.
        sent: Requests of each application in this run.
        doubted: Applications whose token was refused, and that have had no success since.
    """

    def __init__(
        self, first: Client, others: Sequence[Client], endpoints: Sequence[Endpoint], organization: str
    ) -> None:
        self.left_out: dict[str, AccessError] = {}
        self.sent: Counter[Client] = Counter()
        self.doubted: set[Client] = set()
        self._first, self._members = first, [first, *others]
        self._lists = [one for one in endpoints if one.kind == "list"]
        self._joined = {first}
        self._without: set[tuple[Client, str]] = set()
        self._organization = organization
        self._open = False
        self._lock = threading.RLock()
        self._count()

    def succeeded(self, member: Client, path: str, response: ApiResponse) -> None:
        """Trust an application again; and learn the organization from the first list that names a single one."""
        self.doubted.discard(member)
        for endpoint in self._lists if not self._organization else ():
            if endpoint.path == path and len(named := _organizations(endpoint, response)) == 1:
                self._organization = named.pop()
                self._joined.add(member)
                self._count()

    def ready(self, scope: str) -> list[Client]:
        """The applications that may send a request with this scope, each with a token; those with the fewest first.

        Raises:
            ConfigurationError: One of them is another organization's.
            AutomatumError: As in `TokenSource.token`, of the last application.
        """
        with self._lock:
            if not self._open:
                self._open = bool(self._organization and self._members[0].limiter.wait_for(1, alone=True))
                if self._open:
                    logger.info("requests are spread over %s", plural(len(self._members), "application"))
            if self._open:
                # Used up evenly: one that is used up early leaves the minutes of an hour to fewer.
                turns = sorted(self._members, key=lambda one: self.sent[one])
                if found := [one for one in turns if (one, scope) not in self._without and self._join(one)]:
                    return found
            return [self.lead()]

    def lead(self) -> Client:
        """The first application that is not refused, with a token.

        Raises:
            AutomatumError: As in `ready`.
        """
        with self._lock:
            while not self._join(self._members[0], alone=True):
                pass
            return self._members[0]

    def leave_out(self, member: Client, error: AccessError) -> None:
        """Send nothing more with an application in this run.

        Raises:
            AccessError: It is the last one.
        """
        with self._lock:
            if member not in self._members:
                return
            if len(self._members) == 1:
                raise error
            self._members.remove(member)
            self.left_out[member.client_id] = error
            self._count()
        logger.warning("the application %s is left out: %s %s", member.client_id, error.message, error.next_step)

    def forbid(self, member: Client, scope: str, error: AutomatumError) -> None:
        """Send no request with this scope with an application, which got a 403.

        Raises:
            AccessError: No application is left for the scope.
        """
        with self._lock:
            self._without.add((member, scope))
            if all((one, scope) in self._without for one in self._members):
                raise error
        logger.warning("the application %s reads nothing with %s: %s", member.client_id, scope, error.message)

    def check(self) -> dict[str, AccessError | None]:
        """Let every application join; the error of each, by client id.

        Raises:
            AutomatumError: As in `ready`.
        """
        with self._lock:
            known = [self._first.client_id, *(one.client_id for one in self._members), *self.left_out]
            for member in list(self._members):
                self._join(member, alone=True)
            return {name: self.left_out.get(name) for name in known}

    def _count(self) -> None:
        """Let forecasts count on the applications that can be used."""
        limiters = [one.limiter for one in self._members]
        self._first.limiter.pooled = limiters if self._organization else limiters[:1]

    def _join(self, member: Client, alone: bool = False) -> bool:
        """Whether an application can be used now: fetch its token, and see whose records it reads.

        Unless it is `alone`, it does not wait for its rate limit while another one could send.
        """
        tokens, joined = member.tokens, member in self._joined or not self._organization
        if joined and tokens.cached_token():
            return True
        if not alone and member.limiter.wait_for(1, alone=True):
            return False
        patience = self._first.tokens.max_wait
        tokens.max_wait = patience if alone else NO_WAIT
        try:
            tokens.token()
            if not joined:
                self._prove(member)
                self._joined.add(member)
        except CredentialsRefused as error:
            self.leave_out(member, error)
            return False
        except QuotaExhausted:
            if alone:
                raise
            return False
        finally:
            tokens.max_wait = patience
        return True

    def _prove(self, member: Client) -> None:
        """See whose records an application reads."""
        granted, named = member.tokens.cached_scopes(), set[str]()
        for endpoint in self._lists:
            if not named and (granted is None or endpoint.scope in granted):
                try:
                    size = {endpoint.parameters["limit"]: str(endpoint.paging.size)}
                    named = _organizations(endpoint, member.get(endpoint.path, size, endpoint.scope))
                except NotThere:
                    continue
                except AccessError as error:
                    if isinstance(error, CredentialsRefused):
                        raise
                    self._without.add((member, endpoint.scope))
        if named == {self._organization}:
            return
        if named:
            raise ConfigurationError(
                KEY,
                f"{member.client_id} reads the organization {printable(min(named))}, and the other applications read "
                f"{printable(self._organization)}.",
                "Name applications of one organization only.",
            )
        problem = f"No record that {member.client_id} may read names its organization."
        raise CredentialsRefused(problem, "Grant the application read:customers, whose records name it.")


def _organizations(endpoint: Endpoint, response: ApiResponse) -> set[str]:
    """The organizations that the records of a list name."""
    column = endpoint.find_column(ORGANIZATION)
    records: Any = next((found for at in endpoint.records if isinstance(found := dig(response.body, at), list)), [])
    places = [one.path for one in column.places] if column else ["organizationId"]
    found = {dig(record, place) for record in records if isinstance(record, dict) for place in places}
    return {one for one in found if isinstance(one, str) and one}
