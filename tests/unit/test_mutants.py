"""The planted bugs of `make mutants` still fit the code, and their page is what they say."""

from collections import Counter

import pytest

from tests.support.mutants.planted import PAGE, ROOT, Mutant, mutants, page, read_results

EVERY = list(mutants())
NOT_NOTICED: list[str] = []
"""Bugs that no test notices yet. Write a test instead of adding one."""


@pytest.mark.parametrize("mutant", EVERY, ids=lambda one: f"{one.area}: {one.name}")
def test_each_bug_can_still_be_planted(mutant: Mutant) -> None:
    compile(mutant.planted(ROOT), mutant.file, "exec")
    missing = [one for one in mutant.tests.split(" -")[0].split() if not (ROOT / one).exists()]
    assert not missing


def test_there_are_at_least_60_bugs_and_each_has_a_name_of_its_own() -> None:
    assert len(EVERY) >= 60
    assert max(Counter(one.name for one in EVERY).values()) == 1


def test_each_bug_that_was_planted_was_noticed_or_says_why_it_changes_nothing() -> None:
    results = read_results()
    assert [one.name for one in EVERY if results.get(one.name) == "" and not one.same] == NOT_NOTICED


def test_the_page_is_generated() -> None:
    assert PAGE.read_text() == page(read_results())
