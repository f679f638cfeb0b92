"""The charts of the report: what the API sends is text, whatever matplotlib would read in it."""

from datetime import date
from decimal import Decimal

import pytest

pytest.importorskip("matplotlib")


@pytest.mark.parametrize("name", ["$x_{$", r"$\frac{$", "US$ & CA$", "株式会社 🧪"])
def test_names_are_no_formulas(name, recwarn):
    from automatum.operations.charts import net_by_month

    row = {"month": date(2026, 11, 1), "vendor": name, "currency": name, "net": Decimal(1)}
    assert net_by_month([row], "chart0").count(name.replace("&", "&amp;")) >= 2
    assert not recwarn
