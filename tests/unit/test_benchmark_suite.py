"""The benchmark suite serves records that the connector knows, and compares what took turns."""

import json
from importlib import import_module

import pytest

from automatum.endpoints import CUSTOMERS, ENTITLEMENTS, PRIVATE_OFFERS
from tests.support import ROOT


@pytest.fixture
def suite(monkeypatch):
    """Imports a module of the suite."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return lambda name: import_module(f"suite.{name}")


def paths_of(columns):
    return {place.path for column in columns for place in column.places}


@pytest.mark.parametrize("endpoint", [CUSTOMERS, ENTITLEMENTS, PRIVATE_OFFERS], ids=lambda endpoint: endpoint.table)
def test_each_field_of_a_served_record_has_a_column(suite, endpoint):
    """What no column takes would go into `extra`, and be measured as something that users do not have."""
    rows = suite("rows")
    lists = {place for child in endpoint.children for place in child.places}
    known = {path.split(".")[0] for path in paths_of(endpoint.columns) | lists}
    listed = [json.loads(text) for text in rows.listed(endpoint.path, 300, 1)]
    served = {name for record in listed for name in record}
    assert served <= known
    assert served - lists == set(rows.FIELDS.get(endpoint.path, served - lists))
    for child in endpoint.children:
        entries = [entry for record in listed for entry in record.get(child.places[-1], [])]
        assert {name for entry in entries for name in entry} <= paths_of(child.columns)


def test_the_second_version_of_a_list_has_changed_and_missing_records(suite):
    rows = suite("rows")
    first, second = ({json.loads(text)["id"]: text for text in rows.listed("customers", 5000, v)} for v in (1, 2))
    assert len(first) == 5000
    assert len(first.keys() - second.keys()) == 5
    assert second.keys() - first.keys() == set()
    assert sum(second[id_] != first[id_] for id_ in second) == 50


def test_a_record_is_found_by_its_id(suite):
    rows = suite("rows")
    numbers = [0, 1, 99_999, *range(123_456, 2**32, 50_000_017), 2**32 - 1]
    assert [rows.number_of(rows.id_of("cust", number)) for number in numbers] == numbers


def test_a_ratio_is_the_median_of_the_rounds(suite):
    """Both lines of a round ran side by side: a machine that slows down from round to round changes no ratio."""
    rounds = [{"floor": {"cpu": slow}, "ours": {"cpu": 2 * slow}} for slow in (1.0, 3.0, 9.0)]
    rounds[1]["ours"]["cpu"] = 600.0
    assert suite("table").ratio(rounds, "ours", "floor", "cpu") == 2.0


def test_figures_replace_what_is_between_the_marks_of_the_page(suite, tmp_path):
    table, page = suite("table"), tmp_path / "page.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    figures = {"seconds": 1.0, "cpu": 0.5, "megabytes": 100, "lost": 0}
    group = {"section": "push", "title": "Push", "rows": 0, "compared": False, "date": "2026-11-27", "commit": "abc"}
    group |= {"tasks": [{"name": "planned", "against": ""}], "rounds": [{"planned": figures}]}
    table.write_into(page, {"groups": [group], "versions": {"dlt": "1"}, "machine": "2 processors"})
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "|planned|1.00|0.50|100|" in text


def test_the_page_has_the_marks(suite):
    table, text = suite("table"), (ROOT / "docs/internals/performance.md").read_text()
    assert text.index(table.BEGIN) < text.index(table.END)
