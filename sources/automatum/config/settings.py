"""Every setting, its default, and its meaning.

Settings come from dlt's configuration: environment variables (`SOURCES__AUTOMATUM__BASE_URL`), `.dlt/secrets.toml` and
`.dlt/config.toml` (`[sources.automatum]`), or any other provider of dlt. If dlt has no credentials, the vendor's own
variables `AUTOMATUM_CLIENT_ID` and `AUTOMATUM_CLIENT_SECRET` are read (`api/authentication`); see `credentials`.
"""

# dlt resolves these type hints at run time, on Python 3.10 too, so they use typing's spelling.
# ruff: noqa: UP006, UP035, UP045

import math
import time
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Dict, List, Optional

from dlt.common.configuration import configspec, resolve_configuration
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.typing import TSecretStrValue

from ..core.clock import utc
from ..core.errors import ConfigurationError
from ..core.redaction import register_secret
from ..core.suggest import suggestion
from . import organizations as listed
from .base_url import DEFAULT_BASE_URL, validated_base_url
from .credentials import FROM, find_credentials, without_placeholder
from .known_keys import INTERNAL, check_keys
from .limits import Limits, parse_limits
from .lookup import SECTIONS, look_up
from .removed_settings import REMOVED_SETTINGS
from .toml_files import providers_read_once
from .vaults.dlt_provider import register_vault_provider
from .vaults.uri import parse_vault_uri
from .webhook_secret import KEYS as WEBHOOK_KEYS

APPLICATION_LIMITS = ((50, 60.0), (1000, 3600.0))
"""Requests and seconds, per OAuth application (`api/authentication`)."""
ORGANIZATION_LIMITS = ((500, 60.0), (10000, 3600.0))
"""Requests and seconds, for all OAuth applications of the organization together (`api/authentication`)."""
DEFAULT_DAYS = 365
EARLIEST = date(2000, 1, 1)
"""No report begins earlier: each quarter of a year costs two requests, and no marketplace is older."""
DELETES = ("soft", "hard", "ignore")
TABLE_FORMATS = ("delta", "iceberg")
_POSITIVE = (
    "report_window_days",
    "request_timeout",
)


@configspec
class AutomatumSettings(BaseConfiguration):
    """Settings for the connection to one organization. None means the default that is named here.

    Attributes:
        client_id: OAuth client id (`app_...`).
        client_secret: OAuth client secret (`secret_...`).
        secrets_from: Vault that holds the credentials, such as `vault://vault.example.com/secret/automatum`. It is read
            if neither the environment nor `secrets.toml` has them (see `config.vaults`).
        base_url: Root of the API: a host, or the path of a gateway below which the API is. https, except on loopback.
        application_limits: Rate limits of the OAuth application: a list of [requests, seconds].
        organizations: List of organizations (see `config.organizations`). None: the one organization of `client_id`.
        organization: Name of the organization that these settings are for. None: there is no such list.
        organization_id: Value of the column `organization_id`, a part of every key if there are several organizations.
        named_id: Whether the configuration sets `organization_id`. Then records of another organization are refused.
        section: Section that a source reads its settings from, for messages; see `config.source_section`.
        credentials_from: Section that the credentials come from. None: the program passes them.
        quota_url: Where requests are counted: `sqlite:////path`, `redis://host:6379/0` or `memory://`. None: a file in
            the user's state folder, which all processes of the machine share.
        plaintext_hosts: Servers of Postgres or Redis that may be reached without TLS.
        ledger_url: The ledger of the metering push: `sqlite:////path` or `postgresql://...`. None: a file in the user's
            data folder, one for each API host.
        metering: Overrides of the metering body: `path`, `fields`.
        metering_yes_words: Words of a metering answer that mean that the usage was taken, besides those that are known.
        metering_max_amount: Money, in each currency, above which a push sends nothing.
        metering_grace_minutes: Minutes after the end of an hour or day before a push counts it as closed.
        stored_owner: Value of the column `organization_id`, as the dataset has it (not read from the configuration).
        tables: Tables to sync; the token must grant each. None: all tables that the token grants.
        since: First day of the reports, as an ISO date. None: 365 days ago.
        endpoints: Table name to its overrides: `path`, `records`, `parameters`, `key`, `columns`, and others (see
            `api.overrides`).
        reports: Additional analytics reports: `name`, and `path`, `parameters`, `records`, `key`, `columns` where they
            differ from the default.
        deletes: What happens to deleted rows: `soft` sets `_deleted_at`, `hard` removes them, `ignore` keeps them.
        accept_organization: Id to which the vendor has changed that of the organization whose rows a dataset has.
        accept_rejected: A sync is complete although records could not be loaded. False: it is incomplete (exit 65).
        history: Keep every version of every row in `<table>_history`.
        table_format: `delta` or `iceberg`, for a destination of files. None: the destination's own format.
        lookback_days: Days of each report that every sync reads again, because revenue is restated.
        report_window_days: Days of the longest range that a report is asked for. None: 90.
        max_delete_checks: Requests for single rows that a run may send, to find out whether they are deleted.
        request_timeout: Seconds to wait for a connection, and for each part of a response. A failing request is given
            up after four times as long (see `api.retry`).
    """

    # dlt looks in this section only, and not for variables with common names, such as STATUS.
    __section__: ClassVar[str] = SECTIONS[-1]

    client_id: str = None  # type: ignore[assignment]
    client_secret: TSecretStrValue = None  # type: ignore[assignment]
    secrets_from: Optional[str] = None
    base_url: str = DEFAULT_BASE_URL
    application_limits: Optional[List[Any]] = None
    organizations: Optional[List[Any]] = None
    organization: Optional[str] = None
    organization_id: Optional[str] = None
    named_id: bool = False
    stored_owner: Optional[str] = None
    section: str = ".".join(SECTIONS)
    credentials_from: Optional[List[str]] = None
    # Both URLs may hold a password. dlt keeps a value out of its traces only if its type is secret.
    quota_url: Optional[TSecretStrValue] = None
    plaintext_hosts: Optional[List[Any]] = None
    ledger_url: Optional[TSecretStrValue] = None
    metering: Optional[Dict[str, Any]] = None
    metering_yes_words: Optional[List[str]] = None
    metering_max_amount: Optional[Decimal] = None
    metering_grace_minutes: float = 5.0
    tables: Optional[List[str]] = None
    since: Optional[str] = None
    endpoints: Optional[Dict[str, Any]] = None
    reports: Optional[List[Any]] = None
    deletes: str = "soft"
    accept_organization: Optional[str] = None
    accept_rejected: bool = False
    history: bool = False
    table_format: Optional[str] = None
    lookback_days: int = 35
    report_window_days: Optional[int] = None
    max_delete_checks: int = 250
    request_timeout: float = 30.0

    def on_resolved(self) -> None:
        """Check every value, without a request.

        Raises:
            ConfigurationError: A value is wrong; `key` names the setting.
        """
        self.quota_url, self.ledger_url = without_placeholder(self.quota_url), without_placeholder(self.ledger_url)
        register_secret(self.client_secret)
        if self.secrets_from:
            parse_vault_uri(self.secrets_from)
        self.base_url = validated_base_url(self.base_url)
        self.app_limits()
        self.first_day()
        self._check(self.deletes in DELETES, "deletes", f"is none of {', '.join(DELETES)}")
        if self.table_format is not None:
            self._check(self.table_format in TABLE_FORMATS, "table_format", f"is none of {', '.join(TABLE_FORMATS)}")
        for name in ("metering_grace_minutes", "metering_max_amount"):
            number = getattr(self, name)
            self._check(number is None or 0 <= number < math.inf, name, "is negative or not finite")
        self._check(self.lookback_days >= 0, "lookback_days", "is below 0")
        self._check(self.max_delete_checks >= 0, "max_delete_checks", "is below 0")
        for name in _POSITIVE:
            value = getattr(self, name)
            self._check(value is None or value > 0, name, "is not above 0")
            self._check(value is None or math.isfinite(value), name, "is not a finite number")
        for name in ("tables", "metering_yes_words"):
            self._check(all(isinstance(one, str) for one in getattr(self, name) or ()), name, "is not a list of texts")

    @property
    def owner(self) -> str | None:
        """The `organization_id` of every row; None if only one organization is configured.

        It is what the dataset has since the first sweep (`warehouse.owners`). Without one: the id or name in the entry.
        """
        return (self.stored_owner or self.organization_id) if self.organization else None

    def app_limits(self) -> Limits:
        """Rate limits of the OAuth application: pairs of requests and seconds."""
        return parse_limits("application_limits", self.application_limits, APPLICATION_LIMITS)

    def org_limits(self) -> Limits:
        """Rate limits of the organization: pairs of requests and seconds.

        They are the documented ones, which are ten times those of an application. With higher `application_limits` they
        are higher in the same proportion.
        """
        limits = self.app_limits()
        return tuple(
            (max(requests, *(10 * one for one, within in limits if within <= seconds), 0), seconds)
            for requests, seconds in ORGANIZATION_LIMITS
        )

    def first_day(self, today: date | None = None) -> date:
        """First day (UTC) of the reports.

        Args:
            today: The day to count back from; None for today.
        """
        if self.since is None:
            return (today or utc(time.time()).date()) - timedelta(days=DEFAULT_DAYS)
        try:
            found = date.fromisoformat(str(self.since))
        except ValueError:
            raise ConfigurationError(
                "sources.automatum.since", f"{self.since!r} is not a date.", "Write it as YYYY-MM-DD."
            ) from None
        self._check(found >= EARLIEST, "since", f"is before {EARLIEST}: no report goes back so far")
        return found

    def __repr__(self) -> str:
        return f"AutomatumSettings(base_url={self.base_url!r}, client_id={self.client_id!r}, client_secret=***)"

    __str__ = __repr__

    def _check(self, valid: bool, name: str, problem: str) -> None:
        if not valid:
            value = getattr(self, name)
            shown = repr(value) if isinstance(value, str) else str(value)
            raise ConfigurationError(f"sources.automatum.{name}", f"{shown} {problem}.")


def check_configuration(*sections: tuple[str, ...]) -> None:
    """Check that the TOML files can be read and that each setting in them and in the environment has a known name.

    Args:
        *sections: Sections that are read besides `sources.automatum`.

    Raises:
        ConfigurationError: See `config.known_keys`.
    """
    check_keys(_names(), sections)


def _names() -> tuple[str, ...]:
    """Names of all settings."""
    names = (name for name in AutomatumSettings.get_resolvable_fields() if name not in INTERNAL)
    return (*names, "notify_url", *WEBHOOK_KEYS)


def resolve_settings(
    explicit: Mapping[str, Any] | None = None, *, with_credentials: bool = True, organization: str | None = None
) -> AutomatumSettings:
    """Read the settings from dlt's configuration.

    Args:
        explicit: Values that override the configuration.
        with_credentials: False if no request will be sent; then missing credentials are no error.
        organization: Name of a configured organization; None if only one organization is configured.

    Raises:
        ConfigurationError: A setting is missing or wrong; `key` names it.
    """
    check_configuration()
    register_vault_provider()
    values, sections = dict(explicit or {}), [SECTIONS]
    with providers_read_once():
        if organization is not None:
            values = {**_of_organization(listed.find_organization(organization), with_credentials), **values}
            sections.insert(0, (*SECTIONS, organization))
        elif with_credentials and "client_id" not in values and (names := listed.organization_names()):
            raise ConfigurationError(
                "--organization", "several are configured, and this needs one.", f"Name one of {', '.join(names)}."
            )
        if not with_credentials:
            values = {"client_id": "-", "client_secret": "-", **values}
        elif organization is None:
            values.update(find_credentials(values, SECTIONS))
        return settings_from(values, sections)


def settings_from(explicit: Mapping[str, Any], *sections: Sequence[tuple[str, ...]]) -> AutomatumSettings:
    """Settings with credentials, and everything else from sections of the configuration.

    Args:
        explicit: Values that are not looked up.
        *sections: Groups of sections in order of precedence. A provider that has a setting in an earlier group comes
            before another provider that has it in a later one, as in dlt.

    Raises:
        ConfigurationError: A value is wrong; `key` names it.
    """
    settings, values, groups = AutomatumSettings(), dict(explicit), [one for one in sections if one]
    fields = settings.get_resolvable_fields()
    for name in values.keys() - fields.keys() - {FROM}:
        step = REMOVED_SETTINGS.get(name) or suggestion(name, fields)
        raise ConfigurationError(f"sources.automatum.{name}", "there is no such setting.", step)
    # dlt would look up each field on its own, under other sections too, and forget where it found it.
    for name, hint in fields.items():
        if name in values or name in INTERNAL:
            continue
        found = next((one for group in groups if (one := look_up(name, hint, *group)) is not None), None)
        values[name] = getattr(settings, name) if found is None else found
    try:
        return resolve_configuration(settings, sections=SECTIONS[:1], explicit_value=values)
    except ConfigurationException as error:
        raise _configuration_error(error) from None


def _of_organization(one: listed.Organization, with_credentials: bool) -> dict[str, Any]:
    if one.name in _names():
        raise ConfigurationError(
            f"{listed.KEY}.name", f"{one.name!r} is the name of a setting.", "Choose another name."
        )
    values = {"organization": one.name, "organization_id": one.organization_id, "named_id": one.named_id}
    if one.base_url:
        values["base_url"] = one.base_url
    if with_credentials:
        values["client_id"], values["client_secret"] = listed.credentials_of(one)
        values[FROM] = one.credentials.split(".")
    return values


@configspec
class InitSettings(BaseConfiguration):
    """The settings that `dlt init` writes into `secrets.toml` for the user to fill in."""

    client_id: str = None  # type: ignore[assignment]
    client_secret: TSecretStrValue = None  # type: ignore[assignment]


def find_notify_url() -> str | None:
    """The configured webhook; None if there is none.

    It is read separately, so that a run can report an error in the other settings. It is a secret: it lets anyone post
    to the channel.

    Raises:
        ConfigurationError: It is not text.
    """
    return without_placeholder(look_up("notify_url", TSecretStrValue)) or None


def _configuration_error(error: ConfigurationException) -> ConfigurationError:
    name = getattr(error, "field_name", None)
    key = f"sources.automatum.{name}" if name else "sources.automatum"
    return ConfigurationError(key, f"{type(error).__name__}.", "See docs/configuration.md for its type.")
