"""Every setting, its default, and its meaning.

Settings come from dlt's configuration: environment variables (`SOURCES__AUTOMATUM__BASE_URL`), `.dlt/secrets.toml` and
`.dlt/config.toml` (`[sources.automatum]`), or any other provider of dlt. If dlt has no credentials, the vendor's own
variables `AUTOMATUM_CLIENT_ID` and `AUTOMATUM_CLIENT_SECRET` are read (`api/authentication`); see `credentials`.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, get_args, get_origin, get_type_hints

from dlt.common.configuration import configspec
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.typing import TSecretStrValue

from ..core.clock import parse_duration, utc
from ..core.errors import ConfigurationError
from ..core.redaction import Secret, sealed
from ..core.suggest import suggestion
from .base_url import DEFAULT_BASE_URL, validated_base_url
from .credentials import credentials_of, find_credentials, parse_applications
from .known_keys import ONLY_TOP, check_keys
from .lookup import APPLICATIONS, SECTIONS, clean, look_up, opaque
from .organizations import KEY as ORGANIZATIONS
from .organizations import configured_organizations, organization_names, section_of
from .removed_settings import REMOVED_SETTINGS
from .toml_files import check_files
from .vaults.store import parse_vault_address, register_vault_provider

Limits = tuple[tuple[int, float], ...]
"""Pairs of requests and seconds."""
APPLICATION_LIMITS: Limits = ((50, 60.0), (1000, 3600.0))
"""Per OAuth application (`api/authentication`)."""
ORGANIZATION_LIMITS: Limits = ((500, 60.0), (10000, 3600.0))
"""For all OAuth applications of the organization together (`api/authentication`)."""
DEFAULT_DAYS = 365
EARLIEST = date(2000, 1, 1)
"""No report begins earlier: each quarter of a year costs two requests, and no marketplace is older."""
_CHOICES = {"deletes": ("soft", "hard", "ignore")}
_LEAST = {"lookback_days": 0, "metering_grace_minutes": 0, "metering_max_amount": 0}
_POSITIVE = ("report_window_days", "request_timeout")
_MOST = 100_000
"""Days, minutes or seconds: more make a date that Python does not have."""


@dataclass
class _Origin:
    """What settings are for, and where they were read. None of it is a setting.

    Attributes:
        organization: Name of the organization that the settings are for. None: no organizations are listed.
        organization_id: The vendor's id of it, if its entry has one. Then records of another organization are refused.
        stored_owner: Value of the column `organization_id`, as the dataset has it (see `warehouse.dataset`).
        section: Section that a source reads its settings from, for messages; see `config.source_section`.
        credentials_from: Section that the credentials come from. None: the program passes them.
    """

    organization: str | None = None
    organization_id: str | None = None
    stored_owner: str | None = None
    section: str = ".".join(SECTIONS)
    credentials_from: tuple[str, ...] | None = None

    @property
    def owner(self) -> str | None:
        """The `organization_id` of every row; None if only one organization is configured."""
        return (self.stored_owner or self.organization_id or self.organization) if self.organization else None


@dataclass
class AutomatumSettings(_Origin):
    """Settings for the connection to one organization. `docs/configuration.md` lists them with these words.

    Attributes:
        client_id: OAuth client id (`app_...`); else `AUTOMATUM_CLIENT_ID`.
        client_secret: OAuth client secret (`secret_...`); else `AUTOMATUM_CLIENT_SECRET`.
        applications: Further OAuth applications of the organization, over which a sync spreads its requests: a list of
            `client_id` and `client_secret`.
        secrets_from: Vault with the credentials, if neither the environment nor `secrets.toml` has them:
            `aws-secretsmanager://REGION/NAME` or `vault://HOST/MOUNT/PATH`.
        base_url: Root of the API, without `/api/v1`; behind a gateway with its path. https, except on loopback.
        application_limits: Rate limits of the OAuth application, as [requests, seconds]; by default
            `[[50, 60], [1000, 3600]]`. The organization has ten times as many, and never less than documented.
        organizations: List of organizations: `name`, and `organization_id` where needed.
        quota_url: Where requests are counted: `sqlite:////path`, `rediss://host:6379/0` or `memory://`; by default a
            file in your state folder.
        plaintext_hosts: Servers of Postgres or Redis that may be reached without TLS, such as `["redis"]`.
        ledger_url: Ledger of the push: `sqlite:////path` or `postgresql://user:password@host/database`; by default a
            file in your data folder, for each API host and organization.
        metering: Path of the entitlement in the metering body, which is assumed: `entitlement_id`.
        metering_yes_words: Words of a metering answer that mean that the usage was taken, besides those that are known.
        metering_max_amount: Money, in each currency, above which a push sends nothing.
        metering_grace_minutes: Minutes after the end of an hour or day before a push counts it as closed.
        tables: Tables to sync; each needs its scope. By default all that the scopes allow.
        since: First day of the reports, such as `2024-12-01`; by default 365 days ago.
        endpoints: Corrections of the assumed API, by table.
        reports: Further reports.
        models: Definitions of the views of `automatum models` that differ from the default, such as `annual_days`.
        personal: What is done to a column before anything is written: `"customers.email" = "hash"` or `"drop"`.
        personal_key: Key of the hashes of `personal`, of 16 characters or more.
        deletes: Rows that are gone: `soft` sets `_deleted_at`, `hard` removes them, `ignore` leaves them.
        max_age: Age of a table's last complete sync above which it is too old, such as `26h` (`min`, `h`, `d`).
        history: Keep each version of each row in `<table>_history`.
        lookback_days: Days of each report that every sync reads again, because revenue is restated.
        report_window_days: Days of the longest range that a report is asked for; by default 90.
        request_timeout: Seconds to wait for a connection, and for each part of an answer. A failing request is given up
            after six attempts, or after four times as long.
    """

    client_id: str = ""
    client_secret: Secret = field(default=Secret(""))
    applications: list[Any] | None = None
    secrets_from: str | None = None
    base_url: str = DEFAULT_BASE_URL
    application_limits: list[Any] | None = None
    organizations: list[Any] | None = None
    # Both URLs may hold a password.
    quota_url: Secret | None = None
    plaintext_hosts: list[Any] | None = None
    ledger_url: Secret | None = None
    metering: dict[str, Any] | None = None
    metering_yes_words: list[str] | None = None
    metering_max_amount: Decimal | None = None
    metering_grace_minutes: float = 5.0
    tables: list[str] | None = None
    since: str | None = None
    endpoints: dict[str, Any] | None = None
    reports: list[Any] | None = None
    models: dict[str, Any] | None = None
    personal: dict[str, Any] | None = None
    personal_key: Secret | None = None
    deletes: str = "soft"
    max_age: str | None = None
    history: bool = False
    lookback_days: int = 35
    report_window_days: int | None = None
    request_timeout: float = 30.0

    def check(self) -> None:
        """Check every value, without a request.

        Raises:
            ConfigurationError: A value is wrong; `key` names the setting.
        """
        if self.secrets_from:
            parse_vault_address(self.secrets_from)
        self.base_url = validated_base_url(self.base_url)
        self.pool()
        self.app_limits()
        self.first_day()
        self.max_age_seconds()
        for name, choices in _CHOICES.items():
            self._check(getattr(self, name) in choices, name, f"is none of {', '.join(filter(None, choices))}")
        for name, least in _LEAST.items():
            value = least if getattr(self, name) is None else getattr(self, name)
            most, beyond = (math.inf, "not finite") if name == "metering_max_amount" else (_MOST, f"{_MOST:,} or more")
            # Not a number is no equal of itself, and a decimal one cannot be compared.
            self._check(value == value and least <= value < most, name, f"is below {least}, {beyond}, or no number")
        for name in _POSITIVE:
            value = 1 if getattr(self, name) is None else getattr(self, name)
            self._check(0 < value < _MOST, name, f"is not above 0, {_MOST:,} or more, or no number")
        for name in ("tables", "metering_yes_words"):
            self._check(all(isinstance(one, str) for one in getattr(self, name) or ()), name, "is not a list of texts")

    def pool(self) -> tuple[tuple[str, Secret], ...]:
        """Client id and secret of each of `applications`."""
        return parse_applications(self.applications, self.client_id)

    def app_limits(self) -> Limits:
        """Rate limits of the OAuth application: pairs of requests and seconds."""
        if self.application_limits is None:
            return APPLICATION_LIMITS
        try:
            limits = tuple((int(requests), float(seconds)) for requests, seconds in self.application_limits)
        except (TypeError, ValueError, OverflowError):
            limits = ()
        if not limits or any(requests < 1 or not 0 < seconds < 10**9 for requests, seconds in limits):
            raise ConfigurationError(
                "sources.automatum.application_limits",
                "not a list of [requests, seconds].",
                f"The default is {[list(limit) for limit in APPLICATION_LIMITS]}.",
            )
        return limits

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

    def delete_checks(self) -> int:
        """Requests for missing rows that a run may send, to find out whether they are deleted: of an hour a quarter."""
        return max(1, int(min(requests * 3600 / seconds for requests, seconds in self.app_limits()) / 4))

    def first_day(self, today: date | None = None) -> date:
        """First day (UTC) of the reports. Without `since` it is counted back from today."""
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

    def max_age_seconds(self) -> float | None:
        """`max_age` in seconds; None for no limit."""
        return None if self.max_age is None else parse_age(self.max_age, "sources.automatum.max_age")

    def __repr__(self) -> str:
        return f"AutomatumSettings(base_url={self.base_url!r}, client_id={self.client_id!r})"

    def _check(self, valid: bool, name: str, problem: str) -> None:
        if not valid:
            value = getattr(self, name)
            shown = repr(value) if isinstance(value, str) else str(value)
            raise ConfigurationError(f"sources.automatum.{name}", f"{shown} {problem}.")


def parse_age(text: str, key: str) -> float:
    """Seconds of an age such as `90min`, `26h` or `2d`; another text is refused under the name `key`."""
    if (seconds := parse_duration(text)) is None:
        raise ConfigurationError(key, f"{text!r} is not an age.", "Write it as 90min, 26h or 2d.")
    return seconds


def _plain_kind(hint: Any) -> type:
    """The type to look a setting up with: `list` for `list[str] | None`."""
    inner = get_args(hint)[0] if type(None) in get_args(hint) else hint
    kind: type = get_origin(inner) or inner
    return kind


_HINTS = get_type_hints(AutomatumSettings)
_KINDS = {one.name: _plain_kind(_HINTS[one.name]) for one in fields(AutomatumSettings)}
"""The type of each setting, and of what is known of their origin."""
SETTINGS = tuple(name for name in _KINDS if name not in {one.name for one in fields(_Origin)})
"""Names of the settings that a pipeline needs; `known_keys.ONLY_TOP` has those of other places."""
NAMES = tuple(dict.fromkeys((*SETTINGS, *ONLY_TOP)))
"""Names of all settings."""


@configspec
class InitSettings(BaseConfiguration):
    """The settings that `dlt init` writes into `secrets.toml` for the user to fill in."""

    client_id: str = None  # type: ignore[assignment]
    client_secret: TSecretStrValue = None  # type: ignore[assignment]


def check_configuration(*sections: tuple[str, ...]) -> None:
    """Check that the TOML files can be read and that each setting in them and in the environment has a known name.

    `sections` are those that are read besides `sources.automatum`.

    Raises:
        ConfigurationError: See `config.known_keys`.
    """
    check_files()
    check_keys(NAMES, sections)


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
    values = explicit = _sealed(explicit or {})
    check_configuration()
    register_vault_provider()
    groups = [(SECTIONS,)]
    if organization is not None:
        groups.insert(0, (section_of(organization),))
        if organization in NAMES:
            raise ConfigurationError(
                f"{ORGANIZATIONS}.name", f"{organization!r} is the name of a setting.", "Choose another name."
            )
        id_ = configured_organizations()[organization]
        values = {"organization": organization, "organization_id": id_, **values}
    elif with_credentials and "client_id" not in values and (names := organization_names()):
        raise ConfigurationError(
            "--organization", "several are configured, and this needs one.", f"Name one of {', '.join(names)}."
        )
    if not with_credentials:
        values = {"client_id": "-", "client_secret": Secret("-"), APPLICATIONS: None, **values}
    elif organization is not None:
        values = {**values, **credentials_of(organization, values)}
    else:
        values = {**values, **find_credentials(values, SECTIONS)}
    return settings_from(values, *groups)


def settings_from(explicit: Mapping[str, Any], *groups: Sequence[tuple[str, ...]]) -> AutomatumSettings:
    """Settings with credentials, and everything else from sections of the configuration.

    Args:
        explicit: Values that are not looked up.
        *groups: Groups of sections in order of precedence. A provider that has a setting in an earlier group comes
            before another provider that has it in a later one, as in dlt.

    Raises:
        ConfigurationError: A value is wrong; `key` names it.
    """
    values = explicit = _sealed(explicit)
    for name in values.keys() - _KINDS.keys():
        step = REMOVED_SETTINGS.get(name) or suggestion(name, SETTINGS)
        raise ConfigurationError(f"sources.automatum.{name}", "there is no such setting.", step)
    for name in SETTINGS:
        for group in groups if name not in explicit else ():
            if group and (found := look_up(name, _KINDS[name], *group)) is not None:
                values = {**values, name: found}
                break
    settings = AutomatumSettings(**values)
    settings.check()
    return settings


def _sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values with the secrets among them as `Secret`."""
    found = {name: opaque(value) if _KINDS.get(name) is Secret else value for name, value in values.items()}
    return {**found, APPLICATIONS: sealed(found[APPLICATIONS])} if APPLICATIONS in found else found


def find_notify_url() -> Secret | None:
    """The configured webhook; None if there is none.

    It is read separately, so that a run can report an error in the other settings. It is a secret: it lets anyone post
    to the channel.

    Raises:
        ConfigurationError: It is not text.
    """
    found: Secret | None = look_up("notify_url", Secret)
    return found


def find_webhook_secret() -> Secret | None:
    """`webhook_secret`, or the vendor's own variable `AUTOMATUM_WEBHOOK_SECRET` (`getting-started/webhook`); or None.

    Raises:
        ConfigurationError: It is not text.
    """
    return look_up("webhook_secret", Secret) or Secret(clean(os.environ.get("AUTOMATUM_WEBHOOK_SECRET", ""))) or None
