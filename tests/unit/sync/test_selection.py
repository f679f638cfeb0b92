"""I8: rows are filtered on this side by column, wherever the API has its values and whatever the API filters by."""

from dataclasses import replace

import pytest

from automatum.endpoints import CUSTOMERS, REVENUE, Column, FieldPath
from automatum.schema.arrow_tables import Table
from automatum.sync.selection import Selection


def moved(endpoint, **places):
    columns = (
        replace(one, places=(FieldPath(places[one.name]),)) if one.name in places else one for one in endpoint.columns
    )
    return replace(endpoint, columns=tuple(columns))


@pytest.mark.parametrize("filters", [{}, {"vendor": "cloud"}, {"vendor": "vendor", "status": "status"}])
def test_a_filter_holds_for_the_column_at_its_place(filters):
    endpoint = replace(moved(CUSTOMERS, vendor="marketplace.name"), filters=filters)
    selection = Selection({"vendor": "aws"}).of(endpoint)
    assert not selection.everything
    wanted = selection.wanted(Table(endpoint))
    assert wanted({"id": "a", "marketplace": {"name": "aws"}, "vendor": "x"})
    assert not wanted({"id": "a", "marketplace": {"name": "azure"}, "vendor": "aws"})


def test_a_filter_applies_to_lists_that_have_its_column():
    assert Selection({"vendor": "aws"}).of(REVENUE).everything
    endpoint = replace(CUSTOMERS, columns=(Column("id", "text", (FieldPath("id"),)),))
    assert Selection({"vendor": "aws"}).of(endpoint).everything
