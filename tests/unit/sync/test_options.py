"""Which days of the reports a sync reads."""

from datetime import date

import pytest

from automatum.core.errors import ConfigurationError
from automatum.endpoints import CUSTOMERS, REVENUE
from automatum.sync.options import SyncOptions


def test_only_reports_have_a_part_and_only_a_sync_of_the_same_days_goes_on():
    chosen = SyncOptions(since=date(2026, 1, 1))
    assert (SyncOptions().days, chosen.part_of(CUSTOMERS), SyncOptions().part_of(REVENUE)) == ("", "", "")
    assert chosen.part_of(REVENUE) == chosen.days != SyncOptions(since=date(2026, 1, 2)).days


@pytest.mark.parametrize(
    ("days", "why"),
    [
        ({"since": date(2026, 1, 2), "until": date(2026, 1, 1)}, "is before"),
        ({"until": date(2026, 1, 1)}, "--since as well"),
        ({"since": date(1999, 12, 31)}, "no report goes back so far"),
    ],
)
def test_days_between_which_there_is_none_are_refused(days, why):
    with pytest.raises(ConfigurationError, match=why):
        SyncOptions(**days)
