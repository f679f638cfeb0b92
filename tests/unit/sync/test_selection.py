"""Which days of the reports a sync reads."""

from datetime import date

import pytest

from automatum.core.errors import ConfigurationError
from automatum.endpoints import CUSTOMERS, REVENUE
from automatum.sync.selection import Selection


def test_only_reports_have_a_part_and_only_a_sync_of_the_same_days_goes_on():
    chosen = Selection(date(2026, 1, 1))
    assert (Selection().name, Selection().ranged, chosen.ranged) == ("", False, True)
    assert (chosen.part_of(CUSTOMERS), Selection().part_of(REVENUE)) == ("", "")
    assert chosen.part_of(REVENUE) == chosen.name != Selection(date(2026, 1, 2)).name


def test_days_in_the_wrong_order_are_refused():
    with pytest.raises(ConfigurationError, match="is before"):
        Selection(date(2026, 1, 2), date(2026, 1, 1))
