"""I1: a filtered list without a row is complete only if the filter is known to work."""

import pytest

from automatum.api.pages import Page
from automatum.endpoints import CUSTOMERS
from automatum.schema.arrow_tables import Table
from automatum.sync.filter_check import FilterCheck
from automatum.sync.selection import Selection

ROWS = [{"id": str(at), "vendor": "AZURE" if at % 2 else "AWS", "status": "active"} for at in range(10)]


def exact(rows, filters):
    return [row for row in rows if all(row[name] == value for name, value in filters.items())]


def without_case(rows, filters):
    return [row for row in rows if all(row[name].lower() == value.lower() for name, value in filters.items())]


def nothing(rows, filters):
    """An API that does not know the filter."""
    return [] if filters else rows


def ignored(rows, filters):
    return rows


def checked(filters, api, rows=ROWS, page=100):
    """Read a filtered list from an API; returns why it is not proven, and the filters of the further requests."""
    asked = []

    def read(given):
        asked.append(dict(given))
        return Page(1, api(rows, given)[:page], None, None, 0.0)

    table, selection = Table(CUSTOMERS), Selection(filters)
    check = FilterCheck(table, filters, selection.wanted(table), read)
    kept = [row for row in api(rows, filters) if check.is_wanted(row)]
    check.prove()
    assert check.why_not is not None
    return check.why_not, asked, kept


@pytest.mark.parametrize("api", [exact, without_case, ignored])
def test_rows_that_are_kept_prove_the_filter_at_no_request(api):
    why_not, asked, kept = checked({"vendor": "AWS"}, api)
    assert (why_not, asked, len(kept)) == ("", [], 5)


def test_values_are_compared_without_case():
    """The API lists `AWS` for `aws`."""
    assert len(checked({"vendor": "aws"}, without_case)[2]) == 5
    assert len(checked({"vendor": "aws"}, ignored)[2]) == 5


@pytest.mark.parametrize("page", [100, 1])
def test_a_filter_whose_case_matters_hides_no_row(page):
    """The value in the case of the API is named, also where the first page has no such row."""
    rows = sorted(ROWS, key=lambda row: row["vendor"], reverse=page == 1)
    why_not, asked, kept = checked({"vendor": "aws"}, exact, rows, page)
    assert (kept, len(asked) <= 3) == ([], True)
    assert "AWS" in why_not


def test_a_filter_that_the_api_does_not_know_hides_no_row():
    why_not, asked, _ = checked({"vendor": "gcp"}, nothing)
    assert (len(asked), "AWS" in why_not) == (2, True)


def test_nothing_kept_of_what_is_listed_is_not_complete_and_names_the_values():
    why_not, asked, _ = checked({"vendor": "gcp"}, ignored)
    assert asked == []
    assert "none of the 10 rows" in why_not
    assert '"AWS", "AZURE"' in why_not


@pytest.mark.parametrize(
    ("filters", "rows"), [({"vendor": "GCP"}, ROWS), ({"vendor": "gcp"}, ROWS), ({"vendor": "aws"}, [])]
)
@pytest.mark.parametrize("api", [exact, without_case])
def test_no_row_of_the_kind_is_complete_at_three_requests_i3(filters, rows, api):
    why_not, asked, _ = checked(filters, api, rows)
    assert (why_not, len(asked) <= 3) == ("", True)


def test_two_filters_are_proven_together():
    assert checked({"vendor": "AWS", "status": "inactive"}, exact)[0] == ""
    assert "active" in checked({"vendor": "aws", "status": "Active"}, exact)[0]
