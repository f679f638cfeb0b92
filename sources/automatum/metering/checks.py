"""What a push checks before it sends, besides the rules of the marketplaces."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..config.settings import AutomatumSettings
from ..core.process_info import user_name
from .eligibility import UNCHECKED, Eligibility
from .options import PushOptions
from .rules import LateOk, late_ok_of

_FILES = (".csv", ".parquet")


@dataclass(frozen=True, kw_only=True, slots=True)
class Checks:
    """The checks of one push.

    Attributes:
        as_of: Moment right before the usage was read, aware. Usage that arrives later may be missing, so hours and days
            that end later are open. None: now.
        grace: Time after the end of an hour or day in which its usage may still arrive.
        source: Name of the usage; None if it has none.
        plan: Digest of an approved dry run, whose lines alone are sent; None to send all.
        allow: Ids of lines whose holds are released; `all` for each line of the usage.
        send_partial: Also send lines of which a row was refused.
        max_amount: Most money of a push, in each currency; None for no limit.
        max_lines: Most lines of a push; None for no limit.
        unusual_factor: A line or a customer above so many times its trailing median is on hold; 0 to check nothing.
        prices: Whether lines with a price of zero, or another than that of the entitlement, are on hold.
        silence: So long after its last line, a customer's dimension that was metered before is silent. None: never.
        limits: Rate limits, for the forecast of a dry run: requests and seconds.
        by: User who releases holds.
        eligibility: The synced tables that the lines are checked against.
        unchecked: Whether the caller asked not to check against them. Otherwise the summary warns of each check that
            was skipped.
        late_ok: Also send what is past the strictest known deadline. The documented one holds all the same.
    """

    as_of: datetime | None = None
    grace: timedelta = timedelta(0)
    source: str | None = None
    plan: str | None = None
    allow: frozenset[str] = frozenset()
    send_partial: bool = False
    max_amount: Decimal | None = None
    max_lines: int | None = None
    unusual_factor: Decimal = Decimal(0)
    prices: bool = False
    silence: timedelta | None = None
    limits: tuple[tuple[int, float], ...] = ()
    by: str = ""
    eligibility: Eligibility = field(default=UNCHECKED, repr=False)
    unchecked: bool = False
    late_ok: LateOk = False


NO_CHECKS = Checks()
"""Only the rules of the marketplaces are checked."""


def checks_of(
    settings: AutomatumSettings, options: PushOptions, usage: Any, as_of: datetime, eligibility: Eligibility
) -> Checks:
    """The checks of a push that the settings and the options ask for.

    Args:
        settings: Resolved settings.
        options: Of the push.
        usage: What will be read.
        as_of: The time right before it is read.
        eligibility: The synced tables that the lines are checked against.

    Raises:
        ConfigurationError: The setting `metering_documented_window` names a marketplace without rules.
    """
    return Checks(
        as_of=as_of,
        grace=timedelta(minutes=settings.metering_grace_minutes),
        silence=silence_of(settings),
        source=options.source or source_name(usage),
        plan=options.plan,
        allow=frozenset(options.allow),
        send_partial=options.send_partial,
        max_amount=_amount(settings.metering_max_amount if options.max_amount is None else options.max_amount),
        max_lines=settings.metering_max_lines if options.max_lines is None else options.max_lines,
        unusual_factor=Decimal(str(settings.metering_unusual_factor)),
        prices=settings.metering_check_prices,
        limits=(*settings.app_limits(), *settings.org_limits()),
        by=user_name(),
        eligibility=eligibility,
        unchecked=options.unchecked,
        late_ok=late_ok_of(settings.metering_documented_window, options.late_ok),
    )


def retry_checks(settings: AutomatumSettings, eligibility: Eligibility, *, unchecked: bool, late_ok: bool) -> Checks:
    """The checks of a push that a retry can apply without the usage.

    Args:
        settings: Resolved settings.
        eligibility: The synced tables that the lines are checked against.
        unchecked: Whether the user asked not to check against them.
        late_ok: Also send what is past the strictest known deadline.

    Raises:
        ConfigurationError: The setting `metering_documented_window` names a marketplace without rules.
    """
    return Checks(
        max_amount=_amount(settings.metering_max_amount),
        max_lines=settings.metering_max_lines,
        prices=settings.metering_check_prices and not unchecked,
        eligibility=eligibility,
        unchecked=unchecked,
        late_ok=late_ok_of(settings.metering_documented_window, late_ok),
    )


def silence_of(settings: AutomatumSettings) -> timedelta | None:
    """So long after its last line, a customer's dimension is silent; None: never."""
    hours = settings.metering_silence_hours
    return None if hours is None else timedelta(hours=hours)


def _amount(limit: Decimal | float | None) -> Decimal | None:
    return None if limit is None else Decimal(str(limit))


def source_name(usage: Any) -> str | None:
    """Name of a file, a table or a query; None for rows in memory, which have none."""
    if isinstance(usage, (str, os.PathLike)):
        text = os.fspath(usage)
        return str(Path(text).absolute()) if str(text).lower().endswith(_FILES) else str(text).strip()
    return None
