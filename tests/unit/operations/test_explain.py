"""What `check --explain` proposes for the whole API, from what each table needs."""

from automatum.config.settings import AutomatumSettings
from automatum.core.errors import UnknownCode
from automatum.operations.explain import propose_for_all
from automatum.operations.explained import Explanation, TableExplanation


def proposed(*tables, **settings):
    explanation = Explanation(list(tables))
    propose_for_all(AutomatumSettings(**settings), explanation)
    return explanation.settings


def test_the_shortest_range_of_all_reports_is_proposed():
    """A report that answers 30 days at most would refuse the 90 days that another one takes."""
    assert proposed(
        TableExplanation("one", report_window_days=30), TableExplanation("other", report_window_days=90)
    ) == {"report_window_days": 30}


def test_the_codes_of_all_tables_are_proposed_with_those_that_are_set():
    """A pasted proposal replaces the setting."""
    tables = [TableExplanation(str(code), error=UnknownCode(code, "GET x answered it")) for code in (1, "DONE", 1)]
    assert proposed(*tables, success_codes=[0]) == {"success_codes": [0, 1, "DONE"]}


def test_names_are_proposed_once_where_all_tables_need_them_and_none_has_set_them():
    def found(table, proposed):
        settings = {"naming": "snake_case", "total": "count"}
        return TableExplanation(table, facts={"names": "snake_case"}, settings=settings, proposed=proposed)

    assert proposed(found("one", ["total"]), found("other", ["total"])) == {}, "both tables have set it"
    assert proposed(found("one", ["naming"]), found("other", ["total"])) == {}
    assert proposed(found("one", ["naming"]), found("other", ["naming", "total"])) == {"naming": "snake_case"}
