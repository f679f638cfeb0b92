"""The proposal as TOML: read back, it is what was proposed; with what is configured already."""

import unicodedata

import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from automatum.api.endpoint_overrides import resolve_endpoints
from automatum.config.settings import AutomatumSettings
from automatum.core.errors import NotThere
from automatum.operations.explained import Draft, Explanation, TableExplanation


def draft(**customers):
    settings = AutomatumSettings()
    settings.endpoints = {"customers": customers} if customers else None
    endpoint = next(one for one in resolve_endpoints(settings) if one.table == "customers")
    return Draft(settings, endpoint)


def test_a_proposal_keeps_what_is_configured():
    """The pasted table replaces the configured one."""
    one = draft(path="accounts", columns={"tier": {"path": "plan.tier", "type": "text"}})
    one.propose(columns={"id": "_id"})
    one.propose(records="items")
    assert one.complete() == {
        "path": "accounts",
        "columns": {"tier": {"path": "plan.tier", "type": "text"}, "id": "_id"},
        "records": "items",
    }
    assert one.endpoint.records == ("items",)


def test_a_proposal_that_changes_nothing_is_none():
    one = draft(exact_total=False)
    one.propose(exact_total=False)
    one.propose(records="data")
    assert one.proposal == {}


def test_the_toml_says_what_is_proposed_and_the_doubts_are_comments():
    proposed = {"columns": {"id": "_id"}, "paginator": {"type": "offset", "limit": 50}, "key": ["vendor", "id"]}
    explanation = Explanation(
        [
            TableExplanation("customers", settings=proposed, proposed=list(proposed), doubts=["Day or month?"]),
            TableExplanation("entitlements", settings={"path": "x"}),
        ],
        settings={"naming": "snake_case"},
    )
    text = explanation.as_toml()
    assert tomlkit.parse(text).unwrap() == {
        "sources": {"automatum": {"naming": "snake_case", "endpoints": {"customers": proposed}}}
    }
    assert "# Day or month?" in text


def test_nothing_proposed_is_a_comment():
    text = Explanation([TableExplanation("customers")]).as_toml()
    assert tomlkit.parse(text).unwrap() == {}
    assert text.startswith("# ")


def test_the_exit_code_is_that_of_the_worst_table():
    bad = TableExplanation("customers", error=NotThere("GET", "/api/v1/customers", 404, "Not found"))
    assert Explanation([TableExplanation("entitlements")]).exit_code == 0
    assert Explanation([TableExplanation("entitlements"), bad]).exit_code == 78
    assert Explanation([]).exit_code == 77


@given(st.text(min_size=1), st.text(min_size=1))
def test_names_from_outside_are_escaped_and_read_back(place, name):
    """I6: no name of a field moves a terminal's cursor or turns its text around."""
    proposed = {"columns": {"id": place, name: "x"}}
    text = Explanation([TableExplanation("customers", settings=proposed, proposed=["columns"])]).as_toml()
    assert not {unicodedata.category(one) for one in text if one != "\n"} & {"Cc", "Cf"}
    read = tomlkit.parse(text).unwrap()
    assert read["sources"]["automatum"]["endpoints"]["customers"] == proposed
