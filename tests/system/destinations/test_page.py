"""The page says what the suite ran, and no more."""

from tests.support.destinations.page import PAGE, filled, results
from tests.support.destinations.places import PLACES
from tests.support.destinations.scenario import CASES
from tests.support.destinations.warehouses import WAREHOUSES


def test_the_tables_of_the_page_are_the_results_of_runs():
    text = PAGE.read_text(encoding="utf-8")
    assert filled(text, results()) == text


def test_the_page_lists_exactly_the_destinations_and_cases_of_the_suite():
    known = results()
    assert list(known["tested"]) == [place.name for place in PLACES]
    for place in PLACES:
        assert known["tested"][place.name] == dict.fromkeys(CASES, "yes")
        assert f"{place.name} ({place.where})" in " ".join(PAGE.read_text(encoding="utf-8").split())
    assert list(known["generated"]) == [one.name for one in WAREHOUSES]
