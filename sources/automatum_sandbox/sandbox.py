"""The state of the sandbox, and its control plane for tests and demos."""

from __future__ import annotations

import threading
import time as real_time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from .config import CHANGEABLE, SandboxConfig
from .data.generated_rows import Record
from .data.listings import Listing
from .data.organization import TABLES, Organization
from .data.table import Table
from .faults import Fault, FaultKind, Faults
from .metering import AcceptedCall, Billable, MeteringLog, find_billable
from .rate_limiter import RateLimiter
from .request_log import LoggedRequest, RequestLog
from .tokens import App, Tokens


@dataclass
class Scheduled:
    """An action that runs after a number of requests.

    Attributes:
        remaining: Matching requests until it runs.
        path: Prefix of the URL paths that count; empty for all API requests.
        action: Called with the lock held.
    """

    remaining: int
    path: str
    action: Callable[[], object]


class Sandbox:
    """The state behind the API, and the control plane. Not the vendor's API.

    Every method can be called from any thread while the server runs.

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
        self._offset = self.config.now.timestamp() - start if self.config.now else 0.0
        self.tokens = Tokens(self.config.seed)
        self.limiter = RateLimiter()
        self.faults = Faults()
        self.request_log = RequestLog()
        self.metering = MeteringLog()
        self._scheduled: list[Scheduled] = []
        organizations = [
            Organization(position, own, self.config, float(int(self.calendar())))
            for position, own in enumerate(self.config.organizations)
        ]
        self.organizations: dict[str, Organization] = {organization.id: organization for organization in organizations}
        self.apps: tuple[App, ...] = tuple(
            self.tokens.add_app(app, organizations[app.organization].id, self.calendar()) for app in self.config.apps
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
        """The sandbox's date and time in seconds since 1970: starts at `config.now` and advances with the clock."""
        return self.time() + self._offset

    def configure(self, **changes: Any) -> None:
        """Change options while it runs: limits, tokens, responses (`config.CHANGEABLE`).

        Raises:
            ValueError: An option is unknown, or the rows depend on it.
        """
        unknown = sorted(set(changes) - CHANGEABLE)
        if unknown:
            raise ValueError(f"Not a changeable option: {', '.join(unknown)}. Known: {', '.join(sorted(CHANGEABLE))}.")
        with self.lock:
            self.config = replace(self.config, **changes)

    # Rows

    def _table(self, table: str, organization: str | None) -> Table:
        if table not in TABLES:
            raise ValueError(f"unknown table {table!r}; known: {', '.join(TABLES)}")
        return self.organizations[organization or self.organization_id].tables[table]

    def ids(self, table: str, organization: str | None = None) -> list[str]:
        """All ids of a table, in server order."""
        with self.lock:
            return self._table(table, organization).ids()

    def row(self, table: str, id_: str, organization: str | None = None) -> Record | None:
        """A row as the API returns it, None if there is none."""
        with self.lock:
            return self._table(table, organization).get(id_)

    def rows(self, table: str, organization: str | None = None) -> list[Record]:
        """All rows as the API returns them, in server order."""
        with self.lock:
            rows = self._table(table, organization)
            return rows.page(1, max(len(rows), 1), {})[0]

    def insert(
        self, table: str, record: Mapping[str, Any] | None = None, *, count: int = 1, organization: str | None = None
    ) -> list[str]:
        """Insert generated rows, created now; `record` overrides fields of each. Returns their ids."""
        with self.lock:
            rows, ids = self._table(table, organization), []
            for _ in range(count):
                row = rows.insert_generated(float(int(self.calendar())))
                if record:
                    rows.delete(row["id"])
                    row = {**row, **record}
                    rows.put(row)
                ids.append(str(row["id"]))
            return ids

    def put(self, table: str, record: Mapping[str, Any], *, organization: str | None = None) -> None:
        """Insert or replace a row: the API returns exactly this record, which needs an `id`."""
        with self.lock:
            self._table(table, organization).put(dict(record))

    def change(
        self, table: str, id_: str, fields: Mapping[str, Any], *, touch: bool = True, organization: str | None = None
    ) -> Record:
        """Set fields of a row. With `touch=False`, `updatedAt` stays as it was.

        Raises:
            KeyError: There is no such row.
        """
        with self.lock:
            now = float(int(self.calendar())) if touch else None
            return self._table(table, organization).change(id_, fields, now)

    def delete(self, table: str, ids: str | Iterable[str], *, organization: str | None = None) -> None:
        """Delete rows: they leave the list, and their own URLs return 404.

        Raises:
            KeyError: There is no such row.
        """
        with self.lock:
            for id_ in [ids] if isinstance(ids, str) else list(ids):
                self._table(table, organization).delete(id_)

    def restate(self, day: str, vendor: str, fields: Mapping[str, Any], *, organization: str | None = None) -> None:
        """Change the revenue records of a day (`YYYY-MM-DD`) and marketplace."""
        with self.lock:
            self.organizations[organization or self.organization_id].revenue.restate(day, vendor, dict(fields))

    def after(self, requests: int, action: Callable[[], object], *, path: str = "") -> None:
        """Run an action after a number of list or detail requests, before the next request.

        Args:
            requests: Number of API requests from now. Requests refused with 401 or 429 do not count.
            action: Called with the lock held, such as `lambda: sandbox.delete("customers", id_)`.
            path: Count only URL paths with this prefix.
        """
        with self.lock:
            self._scheduled.append(Scheduled(requests, path, action))

    def count_request(self, path: str) -> None:
        """Count an API request, and run the actions that are due."""
        with self.lock:
            for scheduled in [entry for entry in self._scheduled if path.startswith(entry.path)]:
                scheduled.remaining -= 1
                if scheduled.remaining == 0:
                    self._scheduled.remove(scheduled)
                    scheduled.action()

    def listings(self, organization: str | None = None) -> tuple[Listing, ...]:
        """The listings of an organization."""
        return self.organizations[organization or self.organization_id].listings

    def billable(self, organization: str | None = None) -> list[Billable]:
        """Usage that metering accepts: active entitlements with dimensions, of customers in the list."""
        with self.lock:
            return find_billable(self.organizations[organization or self.organization_id])

    # Faults, tokens, limits

    def fault(self, kind: FaultKind, path: str = "", **options: Any) -> Fault:
        """Add a fault; the options are the attributes of `Fault`. By default it applies once."""
        with self.lock:
            return self.faults.add(Fault(kind, path, **options))

    def clear_faults(self, number: int | None = None) -> None:
        """Remove one fault, or all."""
        with self.lock:
            self.faults.clear(number)

    def revoke_tokens(self, client_id: str | None = None) -> int:
        """Revoke the tokens of an application, or all; returns how many were valid."""
        with self.lock:
            return self.tokens.revoke(client_id)

    def clear_limits(self) -> None:
        """Reset the rate limits."""
        with self.lock:
            self.limiter.clear()

    # Request log and metering

    def requests(self, path: str = "") -> list[LoggedRequest]:
        """The request log, oldest first, of URL paths with this prefix."""
        with self.lock:
            return [entry for entry in self.request_log.entries if entry.path.startswith(path)]

    def clear_requests(self) -> None:
        """Empty the request log."""
        with self.lock:
            self.request_log.entries.clear()

    def stats(self) -> dict[str, Any]:
        """Counts of the request log, see `RequestLog.stats`."""
        with self.lock:
            return self.request_log.stats()

    @property
    def accepted_metering(self) -> list[AcceptedCall]:
        """Accepted metering calls, oldest first."""
        with self.lock:
            return list(self.metering.accepted)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Metering events, oldest first."""
        with self.lock:
            return list(self.metering.events)

    def settle_metering(self, meter_id: str, outcome: Literal["confirmed", "failed"]) -> None:
        """Confirm or fail an accepted metering call, and add its event.

        Raises:
            KeyError: There is no such call.
        """
        with self.lock:
            for call in self.metering.accepted:
                if call.id == meter_id:
                    call.status = outcome
                    self.metering.add_event(outcome, call, self.calendar())
                    return
        raise KeyError(meter_id)

    def reset(self) -> None:
        """Remove faults, scheduled actions, counted requests, log and metering. Rows, tokens and options stay."""
        with self.lock:
            self.faults.clear()
            self._scheduled.clear()
            self.limiter.clear()
            self.request_log.entries.clear()
            self.metering = MeteringLog()
