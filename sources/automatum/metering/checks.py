"""What a push checks before it sends, besides the rules of the marketplaces."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ..config.settings import AutomatumSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Checks:
    """The checks of one push.

    Attributes:
        as_of: Moment right before the usage was read, aware. Usage that arrives later may be missing, so hours and days
            that end later are open. None: now.
        grace: Time after the end of an hour or day in which its usage may still arrive.
    """

    as_of: datetime | None = None
    grace: timedelta = timedelta(0)


def checks_of(settings: AutomatumSettings, as_of: datetime) -> Checks:
    """The checks that the settings ask for.

    Args:
        settings: Resolved settings.
        as_of: The time right before the usage is read.
    """
    return Checks(as_of=as_of, grace=timedelta(minutes=settings.metering_grace_minutes))
