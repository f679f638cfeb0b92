"""Every table and every column says what it is; references lead to keys of tables that exist."""

import re
from dataclasses import replace

import pytest

from automatum.api.overrides import resolve_endpoints
from automatum.config.settings import AutomatumSettings
from automatum.endpoints import ENDPOINTS
from automatum.operations.discover import stored_tables
from automatum.schema.tables import tables_of

SINGLE = [table for table, _ in stored_tables(ENDPOINTS, history=True)]
SEVERAL = [table for table, _ in stored_tables(resolve_endpoints(AutomatumSettings(), True), history=True)]
TABLES = [pytest.param(one, id=f"{one.name}-{name}") for name, of in (("1", SINGLE), ("n", SEVERAL)) for one in of]
DEFAULT = re.compile(r"settings add|Rows of the (list|report) ")
"""What a table or column of the settings says, which has no description of its own."""


def says_something(name, text):
    """Sentences with more words than the name has."""
    words = set(re.findall(r"[a-z]+", text.lower())) - {"the", "a", "an", "of", "is", "row", "this"}
    return text.endswith(".") and "  " not in text and not DEFAULT.search(text) and bool(words - set(name.split("_")))


@pytest.mark.parametrize("table", TABLES)
def test_each_table_and_column_has_a_description_that_says_something(table):
    assert says_something(table.name, table.description), table.description
    assert [one.name for one in table.columns if not says_something(one.name, one.description)] == []


@pytest.mark.parametrize("text", ["", "The status.", "Status of the row.", "no end", "A column that the settings add."])
def test_a_description_without_content_is_found(text):
    assert not says_something("status", text)


@pytest.mark.parametrize("tables", [SINGLE, SEVERAL], ids=["1", "n"])
def test_references_lead_to_the_one_key_of_a_table(tables):
    keys = {one.name: tuple(name for name in one.key if name != "organization_id") for one in tables}
    found = {
        (table.name, one.name): (one.reference.table, one.reference.column)
        for table in tables
        for one in table.columns
        if one.reference
    }
    assert {place: to for place, to in found.items() if keys.get(to[0]) != (to[1],)} == {}
    customers = {table for (table, column), to in found.items() if to == ("customers", "id")}
    assert customers >= {"entitlements", "private_offers", "analytics_revenue", "metering_lines"}
    assert found["entitlements", "private_offer_id"] == found["private_offers", "replaces_offer_id"]


@pytest.mark.parametrize("tables", [SINGLE, SEVERAL], ids=["1", "n"])
def test_columns_that_are_called_like_an_id_of_another_table_refer_to_it(tables):
    """But for the marketplace's ids, and those of an attempt, of which no table has one row each."""
    ids = {"customer_id": "customers", "entitlement_id": "entitlements", "private_offer_id": "private_offers"}
    missing = [
        (table.name, one.name)
        for table in tables
        for one in table.columns
        if one.name in ids and (one.reference is None or one.reference.table != ids[one.name])
    ]
    assert missing == []


@pytest.mark.parametrize("table", TABLES)
def test_the_key_comes_from_columns_that_are_not_null_and_names_are_unique(table):
    columns = {one.name: one for one in table.columns}
    assert len(columns) == len(table.columns)
    assert [name for name in table.key if name not in columns or columns[name].nullable] == []
    assert set(table.merge_key) <= set(table.key)


@pytest.mark.parametrize("table", TABLES)
def test_amounts_name_their_currency_and_days_their_zone(table):
    amounts = {"value", "price", "total_contract_value", "amount", "revenue", "net_revenue", "marketplace_fee"}
    for one in table.columns:
        if one.name in amounts | {"charged"}:
            assert "currency" in one.description, one.name
        if one.type == "date":
            assert "UTC" in one.description, one.name


def test_a_report_that_the_settings_add_does_not_say_that_it_is_revenue():
    settings = AutomatumSettings()
    settings.reports = [{"name": "usage", "key": ["date", "dimension"], "columns": {"units": "decimal"}}]
    (report,) = [one for one in resolve_endpoints(settings) if one.table == "analytics_usage"]
    (table,) = tables_of(report)
    assert table.description == "Rows of the report `analytics/usage`, which the settings add."
    columns = {one.name: one.description for one in table.columns}
    assert columns["units"] == "A column that the settings add; read from `units`."


def test_the_row_hash_does_not_cover_descriptions():
    """Else another wording would load every row again."""
    for one in ENDPOINTS:
        other = replace(one, columns=tuple(replace(column, description="", references="") for column in one.columns))
        assert repr(other.columns) == repr(one.columns) and other.columns == one.columns
