"""The marketplaces' rules for usage as data, each with its source and date.

Automatum passes usage on to the marketplaces and documents few rules of its own, so the marketplaces' rules apply.
Where sources disagree, the strictest applies: a line that is not sent can still be sent with `--late-ok`, but a line
that a marketplace discards is lost. A test fails when a rule was read more than 180 days ago.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple

from .model import LENGTHS, Grain, Line

ANY = "*"
"""Vendor of the rules that hold where a marketplace has none of its own: the strictest known."""
PRICE_WHOLE = 10
"""Digits of a price before its decimal point: our own choice. The documented sample has a decimal string."""


class Rule(NamedTuple):
    """One rule: the value of a field of `VendorRules`, with the page that says so and when it was read."""

    vendor: str
    name: str
    value: timedelta | Decimal | int | str | None
    source: str
    read_on: date
    note: str = ""


@dataclass(frozen=True)
class VendorRules:
    """The rules of one marketplace.

    Attributes:
        vendor: Marketplace.
        late_warn: Time after the end of an hour or day from which usage counts as late.
        late_refuse: Age at which usage is not sent any more: the strictest known limit.
        late_documented: Age at which the marketplace's latest documents refuse usage.
        month_end_cut: Time after the end of a month (UTC) at which that month is closed; None: never.
        batch_size: Largest number of usages in one body.
        zero: Whether a sum of zero is sent.
        units_most: Largest quantity.
        units_decimals: Digits after the decimal point of a quantity.
        key_length: Characters of a dimension's key.
    """

    vendor: str
    late_warn: timedelta
    late_refuse: timedelta
    late_documented: timedelta
    month_end_cut: timedelta | None
    batch_size: int
    zero: Literal["send", "skip"]
    units_most: Decimal
    units_decimals: int
    key_length: int


_READ = date(2026, 11, 23)
_AWS = "https://docs.aws.amazon.com/marketplacemetering/latest/APIReference/API_BatchMeterUsage.html"
_AWS_RECORD = "https://docs.aws.amazon.com/marketplacemetering/latest/APIReference/API_UsageRecord.html"
_AWS_MODEL = "botocore 1.44.5, data/meteringmarketplace: BatchMeterUsage, UsageRecord"
_AZURE = "https://learn.microsoft.com/en-us/partner-center/marketplace-offers/marketplace-metering-service-apis"
_AUTOMATUM = "Automatum docs, getting-started/usage-metering"
_OURS = "our own choice"

RULES: tuple[Rule, ...] = (
    Rule("aws", "late_warn", timedelta(hours=1), _AUTOMATUM, _READ, "Must be reported within one hour of use."),
    Rule("aws", "late_refuse", timedelta(hours=6), _AWS, _READ, "Not accepted more than 6 hours after the event."),
    Rule(
        "aws", "late_documented", timedelta(hours=24), _AWS_MODEL, _READ, "Newer than the 6 hours, which still stand."
    ),
    Rule("aws", "month_end_cut", timedelta(hours=6), _AWS_MODEL, _READ, "A month closes on day 1 of the next, 06:00."),
    Rule("aws", "batch_size", 25, _AUTOMATUM, _READ, "Of AWS; whether Automatum means `usages[]` is not said."),
    Rule("aws", "zero", "send", _AWS_RECORD, _READ, "The least quantity is 0; sellers are told to report each hour."),
    Rule("aws", "units_most", Decimal(2_147_483_647), _AWS_RECORD, _READ),
    Rule("aws", "units_decimals", 6, _AWS_MODEL, _READ, "The older integer field takes none."),
    Rule("aws", "key_length", 255, _AWS_RECORD, _READ),
    Rule("azure", "late_warn", timedelta(hours=1), _AZURE, _READ, "To be emitted every hour for the hour before."),
    Rule("azure", "late_refuse", timedelta(hours=24), _AZURE, _READ, "Only for the past 24 hours."),
    Rule("azure", "late_documented", timedelta(hours=24), _AZURE, _READ),
    Rule("azure", "month_end_cut", None, _AZURE, _READ, "None is documented."),
    Rule("azure", "batch_size", 25, _AZURE, _READ, "Of a batch of usage events."),
    Rule("azure", "zero", "skip", _AZURE, _READ, "The quantity must be above 0."),
    Rule(ANY, "late_warn", timedelta(hours=1), _OURS, _READ, "The strictest known."),
    Rule(ANY, "late_refuse", timedelta(hours=6), _OURS, _READ, "The strictest known."),
    Rule(ANY, "late_documented", timedelta(hours=6), _OURS, _READ, "The strictest known."),
    Rule(ANY, "month_end_cut", timedelta(hours=6), _OURS, _READ, "The strictest known."),
    Rule(ANY, "batch_size", 25, _OURS, _READ, "The strictest known."),
    Rule(ANY, "zero", "send", _OURS, _READ, "Left to the marketplace."),
    Rule(ANY, "units_most", Decimal("999999999.999999"), _OURS, _READ, "On Azure a double: 15 digits are exact."),
    Rule(ANY, "units_decimals", 6, _OURS, _READ, "The strictest known."),
    Rule(ANY, "key_length", 255, _OURS, _READ, "The strictest known."),
)


@cache
def known_vendors() -> frozenset[str]:
    """Marketplaces whose rules are known. Usage of others is sent by the strictest rules, with a warning."""
    return frozenset(rule.vendor for rule in RULES) - {ANY}


@lru_cache(maxsize=64)
def rules_of(vendor: str) -> VendorRules:
    """The rules of a marketplace; the strictest known rules if it has none here.

    Args:
        vendor: Marketplace, in lower case.
    """
    name = vendor if vendor in known_vendors() else ANY
    # The marketplace's own rules come later than those of any, and replace them.
    own = sorted((rule for rule in RULES if rule.vendor in (name, ANY)), key=lambda rule: rule.vendor != ANY)
    values: dict[str, Any] = {rule.name: rule.value for rule in own}
    return VendorRules(name, **values)


def deadline(line: Line, late_ok: bool = False) -> datetime:
    """Moment from which a line is not sent.

    The age of an hour counts from its start, because its first use may have been then. The age of a day counts from its
    end, because a day can only be summed when it is over, and Automatum's body contains no hour.

    Args:
        line: The line.
        late_ok: Whether the limit is that of the marketplace's latest documents, and not the strictest known.
    """
    rules = rules_of(line.vendor)
    return _earliest(line.vendor, line.grain, line.starts_at, rules.late_documented if late_ok else rules.late_refuse)


def is_late(line: Line, now: datetime) -> bool:
    """Whether the marketplace wanted a line earlier, whose hour or day is over and which can still be sent."""
    return now > line.ends_at + rules_of(line.vendor).late_warn


@lru_cache(maxsize=1024)  # Many lines are of one hour.
def _earliest(vendor: str, grain: Grain, starts_at: datetime, limit: timedelta) -> datetime:
    aged = (starts_at if grain == "hour" else starts_at + LENGTHS[grain]) + limit
    cut = rules_of(vendor).month_end_cut
    return aged if cut is None else min(aged, _next_month(starts_at) + cut)


def _next_month(moment: datetime) -> datetime:
    return datetime(moment.year + moment.month // 12, moment.month % 12 + 1, 1, tzinfo=timezone.utc)
