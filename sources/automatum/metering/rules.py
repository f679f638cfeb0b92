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
from typing import Any, Literal

from .model import LENGTHS, Grain, Line, format_decimal

Lateness = Literal["in time", "late", "too late"]
Zero = Literal["send", "skip"]

ANY = "*"
"""Vendor of the rules for all other marketplaces: the strictest known."""


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        vendor: Marketplace; `*` for all others.
        name: Field of `VendorRules` that it sets.
        value: Value of the field.
        source: Page of the rule.
        read_on: Date on which the page was read.
        note: Remarks.
    """

    vendor: str
    name: str
    value: timedelta | Decimal | int | str
    source: str
    read_on: date
    note: str = ""


@dataclass(frozen=True)
class VendorRules:
    """The rules of one marketplace.

    Attributes:
        vendor: Marketplace.
        late_warn: Age at which usage counts as late.
        late_refuse: Age at which usage is not sent any more: the strictest known limit.
        late_documented: Age at which the marketplace's latest documents refuse usage.
        batch_size: Largest number of usages in one body.
        zero: Whether a bucket without usage is sent.
        units_most: Largest quantity.
        units_whole: Digits before the decimal point of a quantity.
        units_decimals: Digits after it.
        price_whole: Digits before the decimal point of a price.
        price_decimals: Digits after it.
        future_tolerance: How far ahead of our clock usage may be.
        key_length: Characters of a dimension's key.
        month_end_cut: Time after the end of a month (UTC) at which that month is closed; None: never.
    """

    vendor: str
    late_warn: timedelta
    late_refuse: timedelta
    late_documented: timedelta
    batch_size: int
    zero: Zero
    units_most: Decimal
    units_whole: int
    units_decimals: int
    price_whole: int
    price_decimals: int
    future_tolerance: timedelta
    key_length: int
    month_end_cut: timedelta | None = None

    def units_problem(self, units: Decimal) -> str | None:
        """Why the marketplace does not take a quantity; None if it does."""
        if units > self.units_most:
            return f"{format_decimal(units)} is more than the {format_decimal(self.units_most)} that {self._name} takes"
        return self._digits_problem(units, self.units_whole, self.units_decimals)

    def price_problem(self, price: Decimal) -> str | None:
        """Why a price cannot be sent; None if it can."""
        return self._digits_problem(price, self.price_whole, self.price_decimals)

    def _digits_problem(self, number: Decimal, whole: int, decimals: int) -> str | None:
        if number.adjusted() < whole and -int(number.as_tuple().exponent) <= decimals:
            return None  # The common case, without writing the number out.
        before, _, after = format_decimal(number).partition(".")
        if len(before.lstrip("-0")) > whole:
            return f"{format_decimal(number)} has more than {whole} digits before the decimal point"
        if len(after) > decimals:
            return (
                f"{format_decimal(number)} has more than {decimals} digits after the decimal point, and is not rounded"
            )
        return None

    @property
    def _name(self) -> str:
        return "any marketplace" if self.vendor == ANY else self.vendor


_READ = date(2026, 11, 23)
_AWS = "https://docs.aws.amazon.com/marketplacemetering/latest/APIReference/API_BatchMeterUsage.html"
_AWS_RECORD = "https://docs.aws.amazon.com/marketplacemetering/latest/APIReference/API_UsageRecord.html"
_AWS_MODEL = "botocore 1.44.5, data/meteringmarketplace: BatchMeterUsage, UsageRecord"
_AZURE = "https://learn.microsoft.com/en-us/partner-center/marketplace-offers/marketplace-metering-service-apis"
_AUTOMATUM = "Automatum docs, getting-started/usage-metering"
_SAMPLE = "Automatum docs, guide/api-integration"
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
    Rule("aws", "units_whole", 10, _AWS_MODEL, _READ),
    Rule("aws", "units_decimals", 6, _AWS_MODEL, _READ, "The older integer field takes none."),
    Rule("aws", "price_whole", 10, _SAMPLE, _READ, "A decimal string; its digits are our own choice."),
    Rule("aws", "price_decimals", 12, _SAMPLE, _READ, "A decimal string; its digits are our own choice."),
    Rule("aws", "future_tolerance", timedelta(0), _OURS, _READ, "Usage that is not over yet cannot be known."),
    Rule("aws", "key_length", 255, _AWS_RECORD, _READ),
    Rule("azure", "late_warn", timedelta(hours=1), _AZURE, _READ, "To be emitted every hour for the hour before."),
    Rule("azure", "late_refuse", timedelta(hours=24), _AZURE, _READ, "Only for the past 24 hours."),
    Rule("azure", "late_documented", timedelta(hours=24), _AZURE, _READ),
    Rule("azure", "batch_size", 25, _AZURE, _READ, "Of a batch of usage events."),
    Rule("azure", "zero", "skip", _AZURE, _READ, "The quantity must be above 0."),
    Rule("azure", "units_most", Decimal("999999999.999999"), _OURS, _READ, "The quantity is a double: 15 digits."),
    Rule("azure", "units_whole", 9, _OURS, _READ, "The quantity is a double: 15 digits are exact."),
    Rule("azure", "units_decimals", 6, _OURS, _READ, "The quantity is a double: 15 digits are exact."),
    Rule("azure", "price_whole", 10, _SAMPLE, _READ, "A decimal string; its digits are our own choice."),
    Rule("azure", "price_decimals", 12, _SAMPLE, _READ, "A decimal string; its digits are our own choice."),
    Rule("azure", "future_tolerance", timedelta(0), _OURS, _READ, "Usage that is not over yet cannot be known."),
    Rule("azure", "key_length", 255, _OURS, _READ, "As on AWS."),
    Rule(ANY, "late_warn", timedelta(hours=1), _OURS, _READ, "The strictest known."),
    Rule(ANY, "late_refuse", timedelta(hours=6), _OURS, _READ, "The strictest known."),
    Rule(ANY, "late_documented", timedelta(hours=6), _OURS, _READ, "The strictest known."),
    Rule(ANY, "month_end_cut", timedelta(hours=6), _OURS, _READ, "The strictest known."),
    Rule(ANY, "batch_size", 25, _OURS, _READ, "The strictest known."),
    Rule(ANY, "zero", "send", _OURS, _READ, "Left to the marketplace."),
    Rule(ANY, "units_most", Decimal("999999999.999999"), _OURS, _READ, "The strictest known."),
    Rule(ANY, "units_whole", 9, _OURS, _READ, "The strictest known."),
    Rule(ANY, "units_decimals", 6, _OURS, _READ, "The strictest known."),
    Rule(ANY, "price_whole", 10, _OURS, _READ),
    Rule(ANY, "price_decimals", 12, _OURS, _READ),
    Rule(ANY, "future_tolerance", timedelta(0), _OURS, _READ, "The strictest known."),
    Rule(ANY, "key_length", 255, _OURS, _READ, "The strictest known."),
)


@cache
def known_vendors() -> frozenset[str]:
    """Marketplaces whose rules are known. Usage of others is sent by the strictest rules, with a warning."""
    return frozenset(rule.vendor for rule in RULES) - {ANY}


def rules_of(vendor: str) -> VendorRules:
    """The rules of a marketplace; the strictest known rules if it has none here.

    Args:
        vendor: Marketplace, in lower case.
    """
    return _typed(vendor if vendor in known_vendors() else ANY)


@cache
def _typed(vendor: str) -> VendorRules:
    values: dict[str, Any] = {rule.name: rule.value for rule in RULES if rule.vendor == vendor}
    return VendorRules(vendor, **values)


def deadline(line: Line) -> datetime:
    """Moment at which a line becomes too late to be sent.

    The age of an hour counts from its start, because its first use may have been then. The age of a day counts from its
    end, because a day can only be summed when it is over, and Automatum's body contains no hour.
    """
    return _earliest(line.vendor, line.grain, line.starts_at, rules_of(line.vendor).late_refuse)


def documented_deadline(line: Line) -> datetime:
    """Moment at which a line becomes too late by the marketplace's latest documents.

    Between `deadline` and this moment `--late-ok` may help. Later nothing does.
    """
    return _earliest(line.vendor, line.grain, line.starts_at, rules_of(line.vendor).late_documented)


def last_moment(line: Line, late_ok: bool) -> datetime:
    """Moment from which a line is not sent: `documented_deadline` with `--late-ok`, otherwise `deadline`."""
    return documented_deadline(line) if late_ok else deadline(line)


def lateness(line: Line, now: datetime) -> Lateness:
    """How late a line is.

    Args:
        line: A line whose hour or day is over.
        now: The current time, aware.

    Returns:
        `late` if more than `late_warn` has passed since the end of its hour or day, which is the earliest time to send
        it. `too late` from its `deadline` on.
    """
    if now >= deadline(line):
        return "too late"
    return "late" if now > line.ends_at + rules_of(line.vendor).late_warn else "in time"


@lru_cache(maxsize=1024)  # Many lines are of one hour.
def _earliest(vendor: str, grain: Grain, starts_at: datetime, limit: timedelta) -> datetime:
    aged = (starts_at if grain == "hour" else starts_at + LENGTHS[grain]) + limit
    cut = rules_of(vendor).month_end_cut
    return aged if cut is None else min(aged, _next_month(starts_at) + cut)


def _next_month(moment: datetime) -> datetime:
    return datetime(moment.year + moment.month // 12, moment.month % 12 + 1, 1, tzinfo=timezone.utc)
