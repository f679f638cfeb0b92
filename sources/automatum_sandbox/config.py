"""The options of a sandbox: volume, order, limits, and the choices where the vendor's behaviour is unknown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from automatum.endpoints import SCOPES

Order = Literal["created_asc", "created_desc", "updated_asc", "updated_desc", "random"]
"""Server order of a list; the vendor promises none. Ties are ordered by id. `random` is shuffled once, by seed."""

WindowKind = Literal["fixed", "sliding"]
DelayPlace = Literal["header", "body", "both", "none"]
DelayFormat = Literal["seconds", "decimal", "date"]
AnalyticsShape = Literal["array", "object"]
MeteringOutcome = Literal["confirmed", "failed", "manual"]


@dataclass(frozen=True)
class Limits:
    """Requests allowed in each window.

    Source: vendor page `api/authentication`, section Rate Limits. One minute is 60 s, one hour 3,600 s.

    Attributes:
        app_minute: Requests a minute for one OAuth application.
        app_hour: Requests an hour for one OAuth application.
        organization_minute: Requests a minute for all applications of one organization.
        organization_hour: Requests an hour for all applications of one organization.
    """

    app_minute: int = 50
    app_hour: int = 1_000
    organization_minute: int = 500
    organization_hour: int = 10_000


_WINDOWS = {"minute": "app_minute", "60": "app_minute", "hour": "app_hour", "3600": "app_hour"}


def parse_limits(texts: Iterable[str]) -> Limits | None:
    """The rate limits of command line options; None switches them off.

    Args:
        texts: `COUNT/minute` (or `COUNT/60`), `COUNT/hour` (or `COUNT/3600`), or `none`: requests of one application.
            What is not given stays as the vendor documents it.

    Raises:
        ValueError: A text has another form.
    """
    found: dict[str, int] = {}
    given = list(texts)
    if given == ["none"]:
        return None
    if "none" in given:
        raise ValueError("'none' switches all limits off, so it excludes COUNT/minute and COUNT/hour")
    for text in given:
        count, _, window = text.partition("/")
        if window not in _WINDOWS or not (count.isascii() and count.isdigit() and int(count) > 0):
            raise ValueError(f"{text!r} is not COUNT/minute, COUNT/hour or none")
        found[_WINDOWS[window]] = int(count)
    return Limits(**found)


@dataclass(frozen=True)
class AppConfig:
    """One OAuth application.

    Attributes:
        name: Name shown in the dashboard.
        scopes: Granted scopes; default all of the vendor's table.
        organization: Position of its organization in `SandboxConfig.organizations`.
        client_id: `app_` and 12 characters; None derives it from the seed.
        client_secret: `secret_` and 20 characters; None derives it from the seed.
    """

    name: str = "Sandbox application"
    scopes: tuple[str, ...] = SCOPES
    organization: int = 0
    client_id: str | None = None
    client_secret: str | None = None


@dataclass(frozen=True)
class OrganizationConfig:
    """One organization with its own rows and its own rate limits. None takes the value of `SandboxConfig`.

    Attributes:
        seed: Seed of its rows and of its `org_` id.
        customers: Number of customers.
        entitlements: Number of entitlements.
        private_offers: Number of private offers.
        days: Days of analytics, today included.
        limits: Its own limits, for its applications and for itself.
    """

    seed: int | None = None
    customers: int | None = None
    entitlements: int | None = None
    private_offers: int | None = None
    days: int | None = None
    limits: Limits | None = None


@dataclass(frozen=True)
class SandboxConfig:
    """All options of a sandbox.

    Attributes:
        seed: Seed of rows, ids and credentials; the same seed and day give the same rows.
        customers: Number of customers.
        entitlements: Number of entitlements.
        private_offers: Number of private offers.
        days: Days of analytics, today included. The default covers thirteen months.
        traps: Rows that break naive readers instead of plausible ones: names in many scripts, amounts without a float,
            nulls, other offsets, unknown values and fields. Tests use them.
        latency: Seconds before each response, to see the connector wait.
        now: Time at which the sandbox's calendar starts (aware); None is the current time. Rows are dated before it.
        order: Server order of all lists.
        orders: Server order by table name (`customers`, `entitlements`, `private_offers`), over `order`.
        apps: OAuth applications; `serve` offers the credentials of the first.
        organizations: Organizations.
        token_seconds: Lifetime of a token in seconds (documented: 3,600).
        revoked_message: Message of the 401 for a revoked token (assumed).
        limits: Rate limits; None switches them off.
        window_kind: `fixed` windows start at multiples of their length since 1970; `sliding` windows end now (assumed).
        window_scale: Factor on the length of the windows; with 0.01 a minute is 0.6 s.
        count_token_calls: Token calls with valid credentials count against the limits (assumed).
        count_rejected: Requests refused with 429 count against the limits too (assumed not).
        limit_headers: Send the `X-RateLimit-*` headers.
        delay_place: Where a 429 gives its delay. The body is documented; the vendor's sample reads the header.
        delay_format: Format of the `Retry-After` header: whole seconds, decimals, or an HTTP date.
        analytics_shape: `array`: `data` is the records; `object`: `data` has `series` and totals (both assumed).
        metering_status: HTTP status and envelope code of an accepted metering call: 200, 201 or 202 (assumed).
        metering_outcome: Event right after `metering.submitted`: `confirmed`, `failed`, or none (`manual`) (assumed).
        max_usages: Maximum length of `details.usages` (25 is documented for AWS batches, assumed for the body).
        keep_alive_seconds: Seconds after which an idle connection is closed.
    """

    seed: int = 7
    customers: int = 250
    entitlements: int = 400
    private_offers: int = 120
    days: int = 400
    traps: bool = False
    latency: float = 0.0
    now: datetime | None = None
    order: Order = "created_asc"
    orders: Mapping[str, Order] = field(default_factory=dict)
    apps: tuple[AppConfig, ...] = (AppConfig(),)
    organizations: tuple[OrganizationConfig, ...] = (OrganizationConfig(),)
    token_seconds: float = 3600
    revoked_message: str = "Invalid token"
    limits: Limits | None = Limits()
    window_kind: WindowKind = "fixed"
    window_scale: float = 1.0
    count_token_calls: bool = True
    count_rejected: bool = False
    limit_headers: bool = True
    delay_place: DelayPlace = "both"
    delay_format: DelayFormat = "seconds"
    analytics_shape: AnalyticsShape = "array"
    metering_status: int = 202
    metering_outcome: MeteringOutcome = "confirmed"
    max_usages: int = 25
    keep_alive_seconds: int = 75

    def __post_init__(self) -> None:
        """Raise ValueError for options that would fail later."""
        if not self.apps or not self.organizations:
            raise ValueError("a sandbox needs at least one app and one organization")
        if any(not 0 <= app.organization < len(self.organizations) for app in self.apps):
            raise ValueError("an app names an organization that is not configured")
        if self.now is not None and self.now.tzinfo is None:
            raise ValueError("now must carry a time zone")
        if self.metering_status not in (200, 201, 202):
            raise ValueError("metering_status must be 200, 201 or 202")
        if self.window_scale <= 0:
            raise ValueError("window_scale must be positive")
        if not 0 <= self.latency < float("inf"):
            raise ValueError("latency must be 0 or more seconds")


CHANGEABLE = frozenset(
    {
        "token_seconds",
        "revoked_message",
        "limits",
        "window_kind",
        "window_scale",
        "count_token_calls",
        "count_rejected",
        "limit_headers",
        "delay_place",
        "delay_format",
        "analytics_shape",
        "metering_status",
        "metering_outcome",
        "max_usages",
        "latency",
    }
)
"""Options that `Sandbox.configure` can change while the sandbox runs; the rows depend on the others."""
