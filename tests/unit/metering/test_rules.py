"""I5: what a marketplace would throw away is not sent, and what it takes is sent."""

from dataclasses import fields, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from automatum.metering.rules import (
    ANY,
    RULES,
    VendorRules,
    deadline,
    is_late,
    known_vendors,
    rules_of,
)
from automatum.metering.send import too_late
from tests.support.metering_lines import make_line

UTC = timezone.utc
HOUR = timedelta(hours=1)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.vendor}-{rule.name}")
def test_no_rule_is_stale(rule):
    """When this fails: read the page that `source` names, correct the rule, and date it anew."""
    age = datetime.now(UTC).date() - rule.read_on
    assert age <= timedelta(days=180), f"{rule.vendor} {rule.name} was read on {rule.read_on}: {rule.source}"
    assert rule.source


@pytest.mark.parametrize("vendor", [*sorted(known_vendors()), ANY])
def test_each_vendor_has_each_rule_once_and_of_its_type(vendor):
    names = [rule.name for rule in RULES if rule.vendor == vendor]
    assert len(names) == len(set(names))
    assert vendor != ANY or {one.name for one in fields(VendorRules)} == {"vendor", *names}
    rules = rules_of(vendor)
    assert all(isinstance(getattr(rules, name), timedelta) for name in ("late_warn", "late_refuse"))
    assert isinstance(rules.units_most, Decimal)
    assert rules.late_warn <= rules.late_refuse <= rules.late_documented
    assert rules.zero in ("send", "skip")
    assert 1 <= rules.batch_size <= 25


def test_the_strictest_known_guard():
    aws, azure, other = rules_of("aws"), rules_of("azure"), rules_of("gcp")
    assert known_vendors() == {"aws", "azure"}
    assert (aws.late_warn, aws.late_refuse, aws.late_documented) == (HOUR, 6 * HOUR, 24 * HOUR)
    assert (azure.late_warn, azure.late_refuse) == (HOUR, 24 * HOUR)
    assert (aws.zero, azure.zero) == ("send", "skip")
    for name in ("late_warn", "late_refuse", "late_documented", "batch_size", "units_most", "units_decimals"):
        assert getattr(other, name) == min(getattr(aws, name), getattr(azure, name)) or name == "late_documented"
    assert aws.month_end_cut == 6 * HOUR
    assert azure.month_end_cut is None


def test_an_hour_on_aws():
    line = make_line(hour=10)
    start = line.starts_at
    assert deadline(line) == start + 6 * HOUR
    assert deadline(line, True) == start + 24 * HOUR
    assert not is_late(line, start + 2 * HOUR)
    assert is_late(line, start + 2 * HOUR + timedelta(seconds=1))


def test_an_hour_on_azure_and_elsewhere():
    azure, other = make_line(vendor="azure"), make_line(vendor="gcp")
    assert deadline(azure) == azure.starts_at + 24 * HOUR
    assert deadline(other) == other.starts_at + 6 * HOUR


def test_a_day_counts_from_its_end():
    line = make_line(grain="day")
    assert not is_late(line, line.ends_at)
    assert deadline(line) == line.ends_at + 6 * HOUR
    assert deadline(replace(line, vendor="azure")) == line.ends_at + 24 * HOUR


@pytest.mark.parametrize(
    ("starts_at", "closes"),
    [
        (datetime(2026, 11, 30, 20, tzinfo=UTC), datetime(2026, 12, 1, 6, tzinfo=UTC)),
        (datetime(2026, 12, 31, 20, tzinfo=UTC), datetime(2027, 1, 1, 6, tzinfo=UTC)),
        (datetime(2028, 2, 29, 20, tzinfo=UTC), datetime(2028, 3, 1, 6, tzinfo=UTC)),
    ],
)
def test_a_month_closes_on_aws(starts_at, closes):
    line = replace(make_line(), starts_at=starts_at)
    assert deadline(line, True) == closes
    assert deadline(replace(line, vendor="azure"), True) == starts_at + 24 * HOUR
    # The last hour of the month must be in by 05:00, before the month closes.
    assert deadline(line) == min(starts_at + 6 * HOUR, closes)
    assert deadline(replace(line, starts_at=starts_at - timedelta(days=3)), True) < closes


@pytest.mark.parametrize("vendor", ["aws", "azure"])
@pytest.mark.parametrize("units", ["999999999.999999", "2147483646.999999", "2147483645.000001", "0.000001"])
def test_quantities_survive_a_reader_with_doubles(vendor, units):
    """The vendor's samples are in JavaScript, whose numbers are doubles."""
    if Decimal(units) <= rules_of(vendor).units_most:
        assert Decimal(repr(float(units))) == Decimal(units)


def test_late_usage_is_sent_up_to_the_documented_deadline_only_where_it_is_asked_for():
    """AWS says 6 h in its reference, and 24 h in its newer usage model."""
    line = make_line(vendor="aws")
    assert deadline(line) == line.starts_at + timedelta(hours=6)
    assert deadline(line, True) == line.starts_at + timedelta(hours=24)
    other = make_line(vendor="gcp")
    assert deadline(other, True) == deadline(other)


@pytest.mark.parametrize("late_ok", [False, True])
def test_i5_at_its_deadline_a_line_is_too_late(late_ok):
    line = make_line(hour=10)
    end = deadline(line, late_ok)
    assert too_late(line, end, late_ok) and not too_late(line, end - timedelta(microseconds=1), late_ok)
