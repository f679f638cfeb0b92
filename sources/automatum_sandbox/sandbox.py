"""The sandbox: all state behind the API, and the control plane for tests and demos."""

from __future__ import annotations

import threading
import time as real_time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from .config import CHANGEABLE, SandboxConfig
from .faults import Fault, FaultKind, Faults
from .journal import Entry, Journal
from .limits import RateLimiter
from .listings import Listing
from .metering import Accepted, Billable, MeteringLog, find_billable
from .organization import TABLES, Organization
from .rows import Record
from .table import Table
from .tokens import App, Tokens

Operation = Literal["insert", "put", "change", "delete"]


@dataclass
class Scheduled:
    """A change that waits for requests.

    Attributes:
        left: Matching requests still to come before it is made.
        path: Beginning of the URL path that counts; empty for all API requests.
        action: What is done.
    """

    left: int
    path: str
    action: Callable[[], object]


class Sandbox:
    """A stand-in for the vendor's API: its state, and the control plane.

    Every method may be called from any thread while the server runs.

    Args:
        config: Options; default `SandboxConfig()`.
        time: Clock of tokens, rate limits and timestamps, seconds since 1970.
    """

    def __init__(self, config: SandboxConfig | None = None, *, time: Callable[[], float] = real_time.time) -> None:
        self.config = config or SandboxConfig()
        self.time = time
        self.lock = threading.RLock()
        self.closing = False
        start = time()
        self._shift = self.config.now.timestamp() - start if self.config.now else 0.0
        self.tokens = Tokens(self.config.seed)
        self.limiter = RateLimiter()
        self.faults = Faults()
        self.journal = Journal()
        self.metering = MeteringLog()
        self._scheduled: list[Scheduled] = []
        made = [
            Organization(position, own, self.config, float(int(self.calendar())))
            for position, own in enumerate(self.config.organizations)
        ]
        self.organizations: dict[str, Organization] = {organization.id: organization for organization in made}
        self.apps: tuple[App, ...] = tuple(
            self.tokens.add_app(app, made[app.organization].id, self.calendar()) for app in self.config.apps
        )

    @property
    def client_id(self) -> str:
        """Client id of the first application."""
        return self.apps[0].client_id

    @property
    def client_secret(self) -> str:
        """Current client secret of the first application."""
        return self.apps[0].secret

    @property
    def organization_id(self) -> str:
        """Id of the first organization."""
        return next(iter(self.organizations))

    def calendar(self) -> float:
        """The sandbox's date and time in seconds since 1970: `config.now` at the start, running on with the clock."""
        return self.time() + self._shift

    def configure(self, **changes: Any) -> None:
        """Change options while it runs: limits, tokens, answers (`config.CHANGEABLE`).

        Raises:
            ValueError: An option is unknown, or built into the rows.
        """
        unknown = sorted(set(changes) - CHANGEABLE)
        if unknown:
            raise ValueError(f"cannot be changed while running: {', '.join(unknown)}")
        with self.lock:
            self.config = replace(self.config, **changes)

    # Rows

    def _table(self, table: str, organization: str | None) -> Table:
        if table not in TABLES:
            raise ValueError(f"unknown table {table!r}; known: {', '.join(TABLES)}")
        return self.organizations[organization or self.organization_id].tables[table]

    def ids(self, table: str, organization: str | None = None) -> list[str]:
        """All ids of a table in server order."""
        with self.lock:
            return self._table(table, organization).ids()

    def row(self, table: str, id_: str, organization: str | None = None) -> Record | None:
        """A row as the API returns it, None if there is none."""
        with self.lock:
            return self._table(table, organization).get(id_)

    def rows(self, table: str, organization: str | None = None) -> list[Record]:
        """All rows as the API lists them, in server order."""
        with self.lock:
            found = self._table(table, organization)
            return found.page(1, max(len(found), 1), {})[0]

    def insert(
        self, table: str, record: Mapping[str, Any] | None = None, *, count: int = 1, organization: str | None = None
    ) -> list[str]:
        """Insert new generated rows, created now; `record` overrides fields of each. Returns their ids."""
        with self.lock:
            found, made = self._table(table, organization), []
            for _ in range(count):
                row = found.make(float(int(self.calendar())))
                if record:
                    found.delete(row["id"])
                    row = {**row, **record}
                    found.put(row)
                made.append(str(row["id"]))
            return made

    def put(self, table: str, record: Mapping[str, Any], *, organization: str | None = None) -> None:
        """List exactly this record (it needs an `id`), in place of what was there."""
        with self.lock:
            self._table(table, organization).put(dict(record))

    def change(
        self, table: str, id_: str, fields: Mapping[str, Any], *, touch: bool = True, organization: str | None = None
    ) -> Record:
        """Set fields of a row. `touch=False` leaves `updatedAt` as it was: a timestamp that lies.

        Raises:
            KeyError: There is no such row.
        """
        with self.lock:
            now = float(int(self.calendar())) if touch else None
            return self._table(table, organization).change(id_, fields, now)

    def delete(self, table: str, ids: str | Iterable[str], *, organization: str | None = None) -> None:
        """Take rows off the list; their own URLs answer 404.

        Raises:
            KeyError: There is no such row.
        """
        with self.lock:
            for id_ in [ids] if isinstance(ids, str) else list(ids):
                self._table(table, organization).delete(id_)

    def restate(self, day: str, vendor: str, fields: Mapping[str, Any], *, organization: str | None = None) -> None:
        """Change the revenue record of a day (`YYYY-MM-DD`) and marketplace."""
        with self.lock:
            self.organizations[organization or self.organization_id].revenue.restate(day, vendor, dict(fields))

    def after(self, requests: int, action: Callable[[], object], *, path: str = "") -> None:
        """Do something once the `requests`-th list or detail request from now has been answered, before the next.

        Args:
            requests: Number of API requests (those that got as far as their answer; 401 and 429 do not count).
            action: Called with the lock held, such as `lambda: sandbox.delete("customers", id_)`.
            path: Count only URL paths that begin with this.
        """
        with self.lock:
            self._scheduled.append(Scheduled(requests, path, action))

    def count_request(self, path: str) -> None:
        """Tell that an API request has been answered; makes the changes that were waiting for it."""
        with self.lock:
            for waiting in [entry for entry in self._scheduled if path.startswith(entry.path)]:
                waiting.left -= 1
                if waiting.left == 0:
                    self._scheduled.remove(waiting)
                    waiting.action()

    def listings(self, organization: str | None = None) -> tuple[Listing, ...]:
        """The listings of an organization."""
        return self.organizations[organization or self.organization_id].listings

    def billable(self, organization: str | None = None) -> list[Billable]:
        """What metering would accept: active entitlements with dimensions, of listed customers."""
        with self.lock:
            return find_billable(self.organizations[organization or self.organization_id])

    # Faults, tokens, limits

    def fault(self, kind: FaultKind, path: str = "", **options: Any) -> Fault:
        """Make something go wrong; the options are the attributes of `Fault`. By default it happens once."""
        with self.lock:
            return self.faults.add(Fault(kind, path, **options))

    def clear_faults(self, number: int | None = None) -> None:
        """Remove one fault, or all."""
        with self.lock:
            self.faults.clear(number)

    def revoke_tokens(self, client_id: str | None = None) -> int:
        """Revoke the tokens of an application, or all; returns how many were alive."""
        with self.lock:
            return self.tokens.revoke(client_id)

    def clear_limits(self) -> None:
        """Forget all requests counted against the rate limits."""
        with self.lock:
            self.limiter.clear()

    # What happened

    def requests(self, path: str = "") -> list[Entry]:
        """The request log, oldest first, of URL paths that begin with `path`."""
        with self.lock:
            return [entry for entry in self.journal.entries if entry.path.startswith(path)]

    def clear_requests(self) -> None:
        """Empty the request log."""
        with self.lock:
            self.journal.entries.clear()

    def stats(self) -> dict[str, Any]:
        """Counts of the request log, see `Journal.stats`."""
        with self.lock:
            return self.journal.stats()

    @property
    def accepted_metering(self) -> list[Accepted]:
        """Metering calls that were taken in, oldest first."""
        with self.lock:
            return list(self.metering.accepted)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Metering events, oldest first."""
        with self.lock:
            return list(self.metering.events)

    def settle_metering(self, meter_id: str, outcome: Literal["confirmed", "failed"]) -> None:
        """Give an accepted call its outcome, with an event.

        Raises:
            KeyError: There is no such call.
        """
        with self.lock:
            for call in self.metering.accepted:
                if call.id == meter_id:
                    call.status = outcome
                    self.metering.note(outcome, call, self.calendar())
                    return
        raise KeyError(meter_id)

    def reset(self) -> None:
        """Forget faults, scheduled changes, counted requests, log and metering; rows, tokens and options stay."""
        with self.lock:
            self.faults.clear()
            self._scheduled.clear()
            self.limiter.clear()
            self.journal.entries.clear()
            self.metering = MeteringLog()
