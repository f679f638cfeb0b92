"""Every setting, its default, and where it is read from.

Settings come from dlt's configuration: environment variables (`SOURCES__AUTOMATUM__BASE_URL`), `.dlt/secrets.toml` and
`.dlt/config.toml` (`[sources.automatum]`), or any provider that dlt knows. The vendor's own names for the credentials,
`AUTOMATUM_CLIENT_ID` and `AUTOMATUM_CLIENT_SECRET` (`api/authentication`), are read when dlt's have no value.
"""

import os
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from typing import Any, Dict, List, Optional  # noqa: UP035  dlt resolves these hints at run time, on Python 3.10 too
from urllib.parse import urlsplit

from dlt.common.configuration import configspec, resolve_configuration
from dlt.common.configuration.const import TYPE_EXAMPLES
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.typing import TSecretStrValue

from ..core.errors import ConfigurationError
from ..core.network import is_loopback
from ..core.redaction import register_secret
from . import organizations as listed
from .organizations import SECTIONS
from .vaults.dlt_provider import register_vault_provider
from .vaults.uri import parse_vault_uri

DEFAULT_BASE_URL = "https://api.automatum.io"
APPLICATION_LIMITS = ((50, 60.0), (1000, 3600.0))
"""Requests and seconds, per OAuth application (`api/authentication`)."""
ORGANIZATION_LIMITS = ((500, 60.0), (10000, 3600.0))
"""Requests and seconds, per organization, all its applications together (`api/authentication`)."""
DEFAULT_DAYS = 365
DELETES = ("soft", "hard", "ignore")
TABLE_FORMATS = ("delta", "iceberg")
_POSITIVE = (
    "full_sweep_every",
    "report_window_days",
    "chunk_rows",
    "chunk_seconds",
    "request_timeout",
    "retry_deadline",
    "retry_attempts",
)
_PLACEHOLDER = TYPE_EXAMPLES["text"]

Limits = tuple[tuple[int, float], ...]


@configspec
class AutomatumSettings(BaseConfiguration):
    """Settings of one connection.

    Attributes:
        client_id: OAuth client id (`app_...`).
        client_secret: OAuth client secret (`secret_...`).
        secrets_from: Vault that holds the credentials where neither the environment nor `secrets.toml` does, such as
            `vault://vault.example.com/secret/automatum` (see `automatum.vaults`).
        base_url: Root of the host; `/api/v1` and `/oauth/token` hang below it. https, except on loopback.
        application_limits: List of [requests, seconds]: the windows of the OAuth application.
        organization_limits: The same for the whole organization.
        organizations: List of entries, see `automatum.organizations`; None for the one organization of `client_id`.
        organization: Name of the entry that these settings are for; None where there is no such list.
        organization_id: What the column `organization_id` holds, a part of all keys then.
        named_id: Whether the entry tells that; then records that name another organization are refused.
        quota_url: Where requests are counted: `sqlite:////path`, `redis://host:6379/0`, `memory://`; None: a file in
            the user's state folder, for all processes of the machine.
        metering_reserve: Share of the quota that only a push may spend, if the token grants `write:metering`.
        tables: Tables to sync; a table named here must be granted. None: all that the scopes allow.
        since: First day of the reports, ISO date; None: 365 days ago.
        endpoints: Table name to what is different there: `path`, `records`, `total`, `pages`, `parameters`, `key`.
        reports: Further analytics reports: `name`, and what of `path`, `parameters`, `records`, `key`, `columns` is
            not the default.
        ledger_url: Where it is kept what was pushed: `sqlite:////path` or `postgresql://...`; None: a file in the
            user's data folder, one for each API host.
        vendor: Only rows of this marketplace (`aws`, `azure`). A filtered sync deletes nothing.
        status: Only rows of this status. A filtered sync deletes nothing.
        deletes: What happens to rows that are gone: `soft` sets `_deleted_at`, `hard` removes, `ignore` leaves them.
        history: Keep every version of every row in `<table>_history`.
        table_format: `delta` or `iceberg`: what tables of files are made of; None: the destination's own tables, or
            plain Parquet files.
        lookback_days: Days of each report that are read again, because revenue is restated.
        report_window_days: Days that one request for a report spans; None: all in one.
        full_sweep_every: Hours after which a list is read whole, however it is ordered.
        chunk_rows: Rows of one load package: keeps memory flat, and 100,000 rows a handful of loads.
        chunk_seconds: Age at which a load package is closed, so that a kill costs a minute of the quota at most.
        request_timeout: Seconds to wait for a connection, and for each piece of an answer.
        retry_deadline: Seconds after which a request that keeps failing is given up.
        retry_attempts: Attempts after which it is given up, whichever comes first.
    """

    client_id: str = None  # type: ignore[assignment]
    client_secret: TSecretStrValue = None  # type: ignore[assignment]
    secrets_from: Optional[str] = None  # noqa: UP045
    base_url: str = DEFAULT_BASE_URL
    application_limits: Optional[List[Any]] = None  # noqa: UP006, UP045
    organization_limits: Optional[List[Any]] = None  # noqa: UP006, UP045
    organizations: Optional[List[Any]] = None  # noqa: UP006, UP045
    organization: Optional[str] = None  # noqa: UP045
    organization_id: Optional[str] = None  # noqa: UP045
    named_id: bool = False
    # Both may hold a password, which dlt keeps out of its trace only if it knows.
    quota_url: Optional[TSecretStrValue] = None  # noqa: UP045
    ledger_url: Optional[TSecretStrValue] = None  # noqa: UP045
    metering_reserve: float = 0.1
    tables: Optional[List[str]] = None  # noqa: UP006, UP045
    since: Optional[str] = None  # noqa: UP045
    endpoints: Optional[Dict[str, Any]] = None  # noqa: UP006, UP045
    reports: Optional[List[Any]] = None  # noqa: UP006, UP045
    vendor: Optional[str] = None  # noqa: UP045
    status: Optional[str] = None  # noqa: UP045
    deletes: str = "soft"
    history: bool = False
    table_format: Optional[str] = None  # noqa: UP045
    lookback_days: int = 35
    report_window_days: Optional[int] = None  # noqa: UP045
    full_sweep_every: float = 24.0
    chunk_rows: int = 25_000
    chunk_seconds: float = 60.0
    request_timeout: float = 30.0
    retry_deadline: float = 120.0
    retry_attempts: int = 6

    def __post_init__(self) -> None:
        """Have dlt ask the vault, too: whoever resolves settings makes an instance first."""
        register_vault_provider()

    def on_partial(self) -> None:
        """Fall back to the vendor's names for the credentials."""
        self._find_credentials()
        if not self.is_partial():
            self.resolve()

    def _find_credentials(self) -> None:
        for name in ("client_id", "client_secret"):
            # Set but empty is what a shell makes of a variable that is not there.
            value = _without_placeholder(getattr(self, name))
            # A key that nobody filled in hides the vault from dlt.
            value = value or register_vault_provider().get_value(name, str, None, *SECTIONS)[0]
            # A mounted file ends with a line break.
            value = (value or os.environ.get(f"AUTOMATUM_{name.upper()}") or "").strip()
            setattr(self, name, value or None)
            if not value:
                raise ConfigurationError(
                    f"sources.automatum.{name}",
                    "not set.",
                    f"Set SOURCES__AUTOMATUM__{name.upper()} (or AUTOMATUM_{name.upper()}), or write it to "
                    ".dlt/secrets.toml under [sources.automatum]. The Automatum dashboard shows it once, under "
                    "Settings > Integrations > API Access.",
                )

    def on_resolved(self) -> None:
        """Check what can be checked without a request.

        Raises:
            ConfigurationError: A value makes no sense; the key is named.
        """
        self._find_credentials()
        self.quota_url, self.ledger_url = _without_placeholder(self.quota_url), _without_placeholder(self.ledger_url)
        register_secret(self.client_secret)
        if self.secrets_from:
            parse_vault_uri(self.secrets_from)
        self.base_url = _validated_base_url(self.base_url)
        self.app_limits()
        self.org_limits()
        self.first_day()
        if self.deletes not in DELETES:
            raise ConfigurationError("sources.automatum.deletes", f"{self.deletes!r} is none of {', '.join(DELETES)}.")
        if self.table_format is not None and self.table_format not in TABLE_FORMATS:
            raise ConfigurationError(
                "sources.automatum.table_format", f"{self.table_format!r} is none of {', '.join(TABLE_FORMATS)}."
            )
        if not 0 <= self.metering_reserve < 1:
            raise ConfigurationError(
                "sources.automatum.metering_reserve", f"{self.metering_reserve} is not a share from 0 to below 1."
            )
        if self.lookback_days < 0:
            raise ConfigurationError("sources.automatum.lookback_days", f"{self.lookback_days} is below 0.")
        for name in _POSITIVE:
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise ConfigurationError(f"sources.automatum.{name}", f"{getattr(self, name)} is not above 0.")

    @property
    def owner(self) -> str | None:
        """What the column `organization_id` holds, in all tables; None where there is but one organization."""
        return self.organization_id if self.organization else None

    def app_limits(self) -> Limits:
        """Windows of the application: pairs of requests and seconds."""
        return _limits("application_limits", self.application_limits, APPLICATION_LIMITS)

    def org_limits(self) -> Limits:
        """Windows of the organization: pairs of requests and seconds."""
        return _limits("organization_limits", self.organization_limits, ORGANIZATION_LIMITS)

    def first_day(self, today: date | None = None) -> date:
        """First day that the reports are read from (UTC).

        Args:
            today: The day to count back from; None for today.
        """
        if self.since is None:
            return (today or datetime.now(timezone.utc).date()) - timedelta(days=DEFAULT_DAYS)
        try:
            return date.fromisoformat(str(self.since))
        except ValueError:
            raise ConfigurationError(
                "sources.automatum.since", f"{self.since!r} is not a date.", "Write it as YYYY-MM-DD."
            ) from None

    def __repr__(self) -> str:
        return f"AutomatumSettings(base_url={self.base_url!r}, client_id={self.client_id!r}, client_secret=***)"

    __str__ = __repr__


def resolve_settings(
    explicit: Mapping[str, Any] | None = None, *, with_credentials: bool = True, organization: str | None = None
) -> AutomatumSettings:
    """Read the settings from dlt's configuration.

    Args:
        explicit: Values that win over configuration.
        with_credentials: False for what sends no request: then missing credentials are no error.
        organization: Name of an entry of `organizations`; None where there are none.

    Raises:
        ConfigurationError: Something is missing or wrong; the key is named.
    """
    register_vault_provider()
    values = dict(explicit or {})
    sections: tuple[str, ...] = SECTIONS
    if organization is not None:
        values = {**_of_organization(listed.find_organization(organization), with_credentials), **values}
        sections = (*SECTIONS, organization)
    elif with_credentials and "client_id" not in values and (names := listed.organization_names()):
        raise ConfigurationError(
            "--organization", "several are configured, and this is for one.", f"Name one of {', '.join(names)}."
        )
    if not with_credentials:
        values = {"client_id": "-", "client_secret": "-", **values}
    try:
        return resolve_configuration(AutomatumSettings(), sections=sections, explicit_value=values or None)
    except ConfigurationException as error:
        raise _configuration_error(error) from None


def _of_organization(one: listed.Organization, with_credentials: bool) -> dict[str, Any]:
    if one.name in AutomatumSettings.__dataclass_fields__:
        raise ConfigurationError(f"{listed.KEY}.name", f"{one.name!r} is the name of a setting.", "Choose another.")
    values = {"organization": one.name, "organization_id": one.organization_id, "named_id": one.named_id}
    if one.base_url:
        values["base_url"] = one.base_url
    if with_credentials:
        values["client_id"], values["client_secret"] = listed.credentials_of(one)
    return values


@configspec
class InitSettings(BaseConfiguration):
    """What `dlt init` writes into the configuration for the user to fill in."""

    client_id: str = None  # type: ignore[assignment]
    client_secret: TSecretStrValue = None  # type: ignore[assignment]


@configspec
class NotificationSettings(BaseConfiguration):
    """Where to tell how a run has ended; read apart from the rest, as it is what the rest is wrong that must be told.

    Attributes:
        notify_url: A webhook. Whoever knows it can write to the channel, so that it is a secret.
    """

    notify_url: Optional[TSecretStrValue] = None  # noqa: UP045


def find_notify_url() -> str | None:
    """The webhook that the configuration names; None if it names none.

    Raises:
        ConfigurationError: It is not text.
    """
    try:
        return _without_placeholder(resolve_configuration(NotificationSettings(), sections=SECTIONS).notify_url) or None
    except ConfigurationException as error:
        raise _configuration_error(error) from None


def _without_placeholder(value: str | None) -> str | None:
    """None for what `dlt init` writes in place of a value, so that a key that nobody filled in counts as not set."""
    return None if value == _PLACEHOLDER else value


def _configuration_error(error: ConfigurationException) -> ConfigurationError:
    name = getattr(error, "field_name", None)
    key = f"sources.automatum.{name}" if name else "sources.automatum"
    # dlt's message for a wrong type holds the value, which may be the secret: name the type alone.
    hint = getattr(error, "expected_type", None) or getattr(error, "hint", None)
    problem = f"not a valid {getattr(hint, '__name__', hint)}." if hint else f"{type(error).__name__}."
    return ConfigurationError(key, problem, "Lists and tables in environment variables are written as JSON.")


def _validated_base_url(url: str) -> str:
    key = "sources.automatum.base_url"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigurationError(key, "not a URL.", f"The default is {DEFAULT_BASE_URL}.")
    if parts.username or parts.password:
        raise ConfigurationError(key, "a URL with credentials in it.", "Set client_id and client_secret instead.")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            key, f"http:// to {host} would send the client secret in the clear.", "Use https:// (loopback excepted)."
        )
    if parts.query or parts.fragment or parts.path.rstrip("/"):
        raise ConfigurationError(
            key, "is the root of the host, without path or query.", "/api/v1 and /oauth/token are added to it."
        )
    return f"{parts.scheme}://{parts.netloc}"


def _limits(name: str, value: list[Any] | None, default: Limits) -> Limits:
    if value is None:
        return default
    try:
        limits = tuple((int(requests), float(seconds)) for requests, seconds in value)
    except (TypeError, ValueError):
        limits = ()
    if not limits or any(requests < 1 or seconds <= 0 for requests, seconds in limits):
        raise ConfigurationError(
            f"sources.automatum.{name}",
            "not a list of [requests, seconds].",
            f"The default is {[list(limit) for limit in default]}.",
        )
    return limits
