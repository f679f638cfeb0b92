"""What a push does and how far it may go, in one object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from ..core.defaults import LOCK_WAIT
from ..core.errors import ConfigurationError
from ..warehouse.target import Target
from .model import Grain

_TARGET = Target()


@dataclass(frozen=True, kw_only=True, slots=True)
class PushOptions:
    """Options of a push, with the defaults of `automatum push`.

    Attributes:
        organization: Name of a configured organization; None if there is only one.
        confirm: Send. Without it nothing is sent and nothing is written.
        grain: Sum by the `hour` or by the `day`.
        target: Destination of tables, views and SQL queries, and of the synced tables that the usage is checked
            against. `metering_usage` uses the destination of its pipeline instead.
        ledger_url: Database of the ledger; None for the one in the settings.
        new_ledger: Begin a ledger; for the first push only. Otherwise `confirm` needs a ledger that exists, because
            an empty one would bill everything again.
        mapping: Our column name to the column name in the usage, where they differ.
        late_ok: Also send what is past the strictest known deadline.
        plan: Digest of an approved dry run: send its lines and no others; None to send all.
        allow: Ids of lines to send though a guard has put them on hold; `all` for each line of the usage.
        send_partial: Also send lines of which a row was refused. An accepted sum cannot be raised later.
        max_amount: Put all lines on hold if they cost more, in a currency; None for the limit of the settings.
        max_lines: Put all lines on hold if they are more; None for the limit of the settings.
        source: Name of the usage, by which the ledger tells two sources of one line apart; None for the path of the
            file, or the name of the table.
        unchecked: Do not check against the synced customers and entitlements.
        max_minutes: Stop cleanly after so many minutes; None for no limit.
        max_wait: Seconds to wait for quota before the push stops cleanly; None for as long as it takes.
        lock_wait: Seconds to wait for a program that has the DuckDB file open.

    Raises:
        ConfigurationError: `grain` is neither `hour` nor `day`, or a limit is negative.
    """

    organization: str | None = None
    confirm: bool = False
    grain: Grain = "hour"
    target: Target = _TARGET
    ledger_url: str | None = None
    new_ledger: bool = False
    mapping: Mapping[str, str] | None = None
    late_ok: bool = False
    plan: str | None = None
    allow: tuple[str, ...] = ()
    send_partial: bool = False
    max_amount: Decimal | None = None
    max_lines: int | None = None
    source: str | None = None
    unchecked: bool = False
    max_minutes: float | None = None
    max_wait: float | None = None
    lock_wait: float = LOCK_WAIT

    def __post_init__(self) -> None:
        if self.grain not in ("hour", "day"):
            raise ConfigurationError("--grain", f"{self.grain!r} is neither hour nor day.", "Give one of them.")
        for name, limit in (("--max-amount", self.max_amount), ("--max-lines", self.max_lines)):
            if limit is not None and not 0 <= limit < Decimal("Infinity"):
                raise ConfigurationError(name, f"{limit} is not a limit.", "Give a number that is not negative.")
