"""`automatum report`: one page that needs nothing else, with the numbers of the views, each currency by itself."""

import re
from collections import defaultdict
from decimal import Decimal
from html.parser import HTMLParser

import duckdb
import pytest

from automatum.operations.report import FIRST_ROWS, MOST_ROWS, QUESTIONS
from tests.support.report_stage import PLACES, TRAP, report_of

pytestmark = pytest.mark.slow
_VOID = {"meta", "br", "hr", "img", "link", "input"}


@pytest.fixture(scope="module", params=PLACES)
def report(request, tmp_path_factory):
    return report_of(request.param, tmp_path_factory.mktemp("report"))


class Page(HTMLParser):
    """The parts of a page; fails where a tag is not closed.

    Attributes:
        tags: Name and attributes of each tag.
        text: All text outside of styles.
    """

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self._open = [], "", []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "style" not in self._open:
            self.text += data


def test_the_page_loads_nothing_and_runs_nothing(report):
    page = Page(report.to_html())
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "form", "base"}
    places = [
        value
        for _, attrs in page.tags
        for name, value in attrs.items()
        if name in ("src", "href", "xlink:href", "style")
    ]
    assert not [one for one in places if "//" in one]
    assert not re.search(r"url\((?!#)|@import", report.to_html())
    assert TRAP in page.text


def test_ids_do_not_repeat_and_each_reference_has_its_target(report):
    page = Page(report.to_html())
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    named = {attrs[name].lstrip("#") for _, attrs in page.tags for name in ("href", "xlink:href") if name in attrs}
    named |= {attrs["aria-labelledby"] for _, attrs in page.tags if "aria-labelledby" in attrs}
    named |= set(re.findall(r"url\(#([^)]+)\)", report.to_html()))
    assert named <= set(ids)


def test_each_section_has_its_figures_its_definition_and_its_rows(report):
    text = " ".join(Page(report.to_html()).text.split())
    for one in report.sections:
        assert one.question.title in text
        assert one.definition in text
        for currency, total in one.totals.items():
            assert f"{total:,.2f} {currency}" in text
    assert {one.question.model for one in report.sections if one.rows} == {one.model for one in QUESTIONS}


def test_currencies_are_never_added(report):
    for one in report.sections:
        if one.question.total:
            sums = defaultdict(Decimal)
            for row in one.rows:
                if one.month in (None, row.get("month")) and row[one.question.total] is not None:
                    sums[row["currency"]] += row[one.question.total]
            assert one.totals == sums
    assert any(len(one.totals) > 1 for one in report.sections)


def test_contract_value_is_of_the_last_day_and_drawn_for_the_year_before(report):
    (section,) = [one for one in report.sections if one.question.model == "contract_value_daily"]
    assert {one["day"] for one in section.rows} == {max(one["day"] for one in section.read)}
    assert len({one["day"] for one in section.read}) == 366


def test_a_long_table_says_how_many_rows_it_leaves_out(report):
    longest = max(report.sections, key=lambda one: len(one.rows))
    longest.rows.extend(longest.rows[:1] * (MOST_ROWS + 5 - len(longest.rows)))
    text = " ".join(Page(report.to_html()).text.split())
    assert f"{MOST_ROWS - FIRST_ROWS} more rows" in text
    assert f"{len(longest.rows) - MOST_ROWS} rows are left out here" in text


@pytest.mark.parametrize("kind", PLACES)
def test_an_empty_organization_has_a_page(kind, tmp_path):
    report = report_of(kind, tmp_path, empty=True)
    page = Page(report.to_html())
    assert page.text.count("Nothing.") == len(QUESTIONS) - 1  # Each table was synced.
    assert not [tag for tag, _ in page.tags if tag == "svg"]


def test_the_command_writes_the_page_and_says_what_is_missing(desk, small):
    assert desk.run("sync", "--json").code == 0
    first = desk.run("report")
    assert first.code == 78
    assert "automatum models create" in first.says
    assert desk.run("models", "create").code == 0
    ran = desk.run("report", "--json")
    assert ran.code == 0, ran
    assert (desk.folder / "report.html").stat().st_mode & 0o777 == 0o600
    assert ran.json["bytes"] == (desk.folder / "report.html").stat().st_size
    assert len(ran.json["sections"]) == len(QUESTIONS)
    assert desk.run("report", "--out", "nowhere/report.html").code == 78
    (desk.folder / "link.html").symlink_to(desk.folder / "report.html")
    assert desk.run("report", "--out", "link.html").code == 78


def test_an_amount_that_fills_its_column_is_named(desk, small):
    """As found: exit 69, and that a destination is needed that answers SQL."""
    most = "9" * 29 + "." + "9" * 9
    assert desk.run("sync").code == 0
    assert desk.run("models", "create").code == 0
    with duckdb.connect(str(desk.folder / "marketplace.duckdb")) as connection:
        (one,) = connection.execute("SELECT id FROM automatum.entitlements WHERE status = 'active' LIMIT 1").fetchone()
        connection.execute(f"UPDATE automatum.entitlements SET value = {most} WHERE id = '{one}'")
    ran = desk.run("report")
    assert ran.code == 78 and f"entitlements.value: has {most}" in ran.says, ran
    assert not (desk.folder / "report.html").exists()
