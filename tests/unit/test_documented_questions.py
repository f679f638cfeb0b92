"""The eight questions of docs/analyse.md are those that are compared with pandas."""

import re

from tests.integration.operations.test_models import QUESTIONS
from tests.support import ROOT
from tests.support.pages import spans


def test_the_page_has_the_queries_that_are_tested_and_no_other():
    listed = [span for span in spans(ROOT / "docs" / "analyse.md") if span.startswith("SELECT ")]
    assert listed == [" ".join(query.split()) for query, _ in QUESTIONS.values()]


def test_the_page_asks_the_questions_by_their_names():
    text = (ROOT / "docs" / "analyse.md").read_text(encoding="utf-8")
    asked = re.findall(r"^\d\. (.*?)\.", text, re.MULTILINE)
    assert [one.casefold().replace("of a month", "of last month") for one in asked] == list(QUESTIONS)
