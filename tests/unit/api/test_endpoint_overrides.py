"""I8: what is assumed of the API can be corrected in the configuration, and a wrong correction is named."""

import pytest

from automatum.api.overrides import resolve_endpoints
from automatum.config.removed_settings import REMOVED_ENDPOINT_KEYS
from automatum.config.settings import resolve_settings
from automatum.core.errors import ConfigurationError
from automatum.endpoints import ENDPOINTS, REVENUE
from automatum.schema.arrow_tables import Table
from automatum.schema.records import pick

REPORT_WORDS = dict(REVENUE.parameters)


def resolved(**settings):
    found = resolve_endpoints(resolve_settings({"client_id": "app_1", "client_secret": "secret_123456", **settings}))
    return {one.table: one for one in found}


def test_nothing_said_is_nothing_changed():
    assert tuple(resolved().values()) == ENDPOINTS


@pytest.mark.parametrize(
    ("table", "changes", "attribute", "value"),
    [
        ("entitlements", {"path": "/contracts/"}, "path", "contracts"),
        ("entitlements", {"records": "data.items"}, "records", ("data.items",)),
        ("entitlements", {"records": ["a", "b.c"]}, "records", ("a", "b.c")),
        ("customers", {"total": "meta.count"}, "total", "meta.count"),
        ("customers", {"total": ""}, "total", ""),
        ("analytics_revenue", {"path": "analytics/income?groupBy=day"}, "path", "analytics/income?groupBy=day"),
        ("customers", {"detail_path": "accounts/{id}"}, "detail_path", "accounts/{id}"),
        ("customers", {"detail_path": False}, "detail_path", "none"),
        ("customers", {"parameters": {"page": "p"}}, "parameters", {"page": "p", "limit": "limit"}),
        ("analytics_revenue", {"parameters": {"end": "to"}}, "parameters", {**REPORT_WORDS, "end": "to"}),
        ("analytics_revenue", {"total": "meta.count"}, "total", "meta.count"),
        ("private_offers", {"key": "offerId"}, "key", ("offer_id",)),
        ("analytics_revenue", {"key": ["date", "customerId"]}, "key", ("date", "customer_id")),
    ],
)
def test_each_setting_changes_one_thing(table, changes, attribute, value):
    """The table that is named, the attribute that is named, and nothing else."""
    found = resolved(endpoints={table: changes})
    assert getattr(found[table], attribute) == value
    plain = {one.table: one for one in ENDPOINTS}
    assert {name: one for name, one in found.items() if name != table} == {
        name: one for name, one in plain.items() if name != table
    }
    same = {"path", "records", "total", "parameters", "key", "scope", "kind", "children"} - {attribute}
    assert all(getattr(found[table], name) == getattr(plain[table], name) for name in same)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"endpoints": {"nope": {}}}, "endpoints.nope"),
        ({"endpoints": {"entitlement_dimensions": {"path": "x"}}}, "endpoints.entitlement_dimensions"),
        ({"endpoints": {"customers": "x"}}, "endpoints.customers"),
        ({"endpoints": {"customers": {"pth": "x"}}}, "endpoints.customers.pth"),
        ({"endpoints": {"customers": {"path": ""}}}, "endpoints.customers.path"),
        ({"endpoints": {"customers": {"path": 5}}}, "endpoints.customers.path"),
        ({"endpoints": {"customers": {"records": []}}}, "endpoints.customers.records"),
        ({"endpoints": {"customers": {"records": [1]}}}, "endpoints.customers.records"),
        ({"endpoints": {"customers": {"total": None}}}, "endpoints.customers.total"),
        ({"endpoints": {"customers": {"parameters": {"start": "x"}}}}, "endpoints.customers.parameters.start"),
        ({"endpoints": {"customers": {"parameters": {"page": 1}}}}, "endpoints.customers.parameters.page"),
        ({"endpoints": {"customers": {"parameters": "p"}}}, "endpoints.customers.parameters"),
        ({"endpoints": {"customers": {"key": []}}}, "endpoints.customers.key"),
        ({"endpoints": {"customers": {"columns": {"a": "money"}}}}, "endpoints.customers.columns"),
        ({"endpoints": {"customers": {"columns": "email"}}}, "endpoints.customers.columns"),
        ({"endpoints": {"customers": {"columns": {"email": False}}}}, "endpoints.customers.columns.email"),
        ({"endpoints": {"customers": {"columns": {"email": "a..b"}}}}, "endpoints.customers.columns.email"),
        ({"endpoints": {"customers": {"columns": {"email": []}}}}, "endpoints.customers.columns.email"),
        ({"endpoints": {"customers": {"columns": {"email": {"pth": "x"}}}}}, "endpoints.customers.columns.email.pth"),
        ({"endpoints": {"customers": {"columns": {"email": {"path": 1}}}}}, "endpoints.customers.columns.email.path"),
        ({"endpoints": {"customers": {"columns": {"email": {"type": "x"}}}}}, "endpoints.customers.columns.email.type"),
        (
            {"endpoints": {"customers": {"columns": {"email": {"format": "iso"}}}}},
            "endpoints.customers.columns.email.format",
        ),
        ({"endpoints": {"customers": {"key": "_id"}}}, "endpoints.customers.key"),
        ({"endpoints": {"customers": {"detail_path": "x"}}}, "endpoints.customers.detail_path"),
        ({"endpoints": {"customers": {"detail_path": "x/{nope}"}}}, "endpoints.customers.detail_path"),
        ({"endpoints": {"customers": {"detail_path": "x/{email}"}}}, "endpoints.customers.detail_path"),
        ({"endpoints": {"analytics_revenue": {"detail_path": "x"}}}, "endpoints.analytics_revenue.detail_path"),
        ({"endpoints": {"analytics_revenue": {"page_size": 5}}}, "endpoints.analytics_revenue.page_size"),
        (
            {"endpoints": {"analytics_revenue": {"parameters": {"offset": "x"}}}},
            "endpoints.analytics_revenue.parameters.offset",
        ),
        ({"endpoints": {"analytics_revenue": {"columns": {"a": "money"}}}}, "endpoints.analytics_revenue.columns"),
        ({"reports": [{"path": "x"}]}, "reports[0]"),
        ({"reports": ["usage"]}, "reports[0]"),
        ({"reports": [{"name": 5}]}, "reports[0].name"),
        ({"reports": [{"name": "revenue"}, {"name": "Two Words"}]}, "reports[1].name"),
        ({"reports": [{"name": "usage", "nope": 1}]}, "reports[0].nope"),
        ({"reports": [{"name": "usage", "columns": {"units": "number"}}]}, "reports[0].columns"),
        ({"reports": [{"name": "usage", "parameters": {"from": "x"}}]}, "reports[0].parameters.from"),
        # Columns that the connector makes itself, or twice the same: found out here, not by the destination.
        ({"reports": [{"name": "usage", "columns": {"extra": "text"}}]}, "reports[0].columns"),
        ({"reports": [{"name": "usage", "columns": {"_row_hash": "text"}}]}, "reports[0].columns"),
        ({"reports": [{"name": "usage", "key": ["unit", "unit"]}]}, "reports[0].key"),
        ({"reports": [{"name": "usage"}, {"name": "usage"}]}, "reports[1].name"),
    ],
)
def test_what_makes_no_sense_is_named(settings, key):
    """78 and the key, to the part that is wrong."""
    with pytest.raises(ConfigurationError) as caught:
        resolved(**settings)
    assert caught.value.key == f"sources.automatum.{key}"
    assert caught.value.exit_code == 78


def test_a_further_report():
    """Its own table beside the revenue report, with the key's and its own columns."""
    found = resolved(
        reports=[
            {"name": "usage", "key": ["date", "dimension"], "columns": {"usedUnits": "decimal"}},
            {"name": "revenue", "path": "analytics/income"},
        ]
    )
    usage = found["analytics_usage"]
    assert (usage.group, usage.kind, usage.scope) == ("analytics", "report", "read:analytics")
    assert (usage.path, usage.key) == ("analytics/usage", ("date", "dimension"))
    kinds = {column.name: column.type for column in usage.columns}
    assert kinds["used_units"] == "decimal"
    assert kinds["date"] == "date"
    assert kinds["dimension"] == "text"
    assert "revenue" not in kinds
    assert found["analytics_revenue"].path == "analytics/income"
    assert [column.name for column in found["analytics_revenue"].columns] == [c.name for c in ENDPOINTS[3].columns]


def column(endpoint, name):
    return next(one for one in endpoint.columns if one.name == name)


def places(endpoint, name):
    return [place.path for place in column(endpoint, name).places]


def test_columns_of_a_list_have_other_places_and_types():
    """Each in one setting, by the name of the column or of the field; all other columns stay."""
    changes = {
        "company_name": "account.name",
        "awsAccountId": ["$.account.aws", "aws"],
        "created_at": {"type": "text"},
        "status": "bigint",
        "tier": {"path": "plan.tier"},
        "seats": "bigint",
    }
    found = resolved(endpoints={"customers": {"columns": changes}})["customers"]
    plain = ENDPOINTS[0]
    assert [one.name for one in found.columns] == [*(one.name for one in plain.columns), "tier", "seats"]
    assert places(found, "company_name") == ["account.name"]
    assert places(found, "aws_account_id") == ["account.aws", "aws"]
    assert (column(found, "created_at").type, places(found, "created_at")) == ("text", ["createdAt"])
    assert (column(found, "status").type, places(found, "status")) == ("bigint", ["status"])
    assert (column(found, "tier").type, places(found, "tier")) == ("text", ["plan.tier"])
    assert (column(found, "seats").type, places(found, "seats")) == ("bigint", ["seats"])
    changed = {"company_name", "aws_account_id", "created_at", "status", "tier", "seats"}
    assert {one for one in found.columns if one.name not in changed} <= set(plain.columns)


def test_a_place_for_one_marketplace_follows_the_column_of_the_marketplace():
    found = resolved(endpoints={"customers": {"columns": {"vendor": "marketplace.name"}}})["customers"]
    record = {"id": "a", "marketplace": {"name": "azure"}, "cloudIdentifier": "t-1"}
    assert pick(record, column(found, "azure_tenant_id"))[0] == "t-1"
    assert pick(record, column(found, "aws_account_id"))[0] is None


def test_an_id_with_an_underscore_is_read_into_the_column_id_and_the_message_about_the_key_says_how():
    found = resolved(endpoints={"customers": {"columns": {"id": "_id"}}})["customers"]
    assert (found.key, places(found, "id")) == (("id",), ["_id"])
    with pytest.raises(ConfigurationError) as caught:
        resolved(endpoints={"customers": {"key": "_id"}})
    assert 'columns = { id = "_id" }' in caught.value.next_step


@pytest.mark.parametrize(
    "changes",
    [
        {"columns": {"created_at": "text"}},
        {"columns": {"vendor": "marketplace"}},
        {"columns": {"product_name": "product.name"}},
    ],
)
def test_what_changes_the_columns_changes_the_hash_of_each_row_i1(changes):
    """I1: unchanged records are loaded again, once, so that all rows have what the setting says."""
    table = "entitlements"
    plain, changed = resolved()[table], resolved(endpoints={table: changes})[table]
    assert Table(changed).identify([{"id": "a"}]).hashes != Table(plain).identify([{"id": "a"}]).hashes


@pytest.mark.parametrize("changes", [{"path": "contracts"}, {"records": "items"}])
def test_what_leaves_the_columns_leaves_the_hashes_i3(changes):
    plain, changed = resolved()["entitlements"], resolved(endpoints={"entitlements": changes})["entitlements"]
    assert Table(changed).identify([{"id": "a"}]).hashes == Table(plain).identify([{"id": "a"}]).hashes


@pytest.mark.parametrize(("word", "ours"), [("primary_keys", "key"), ("colums", "columns")])
def test_a_typo_leads_to_the_setting(word, ours):
    with pytest.raises(ConfigurationError) as caught:
        resolved(endpoints={"customers": {word: "x"}})
    assert "Keys are path, records, total" in caught.value.next_step
    assert ours in caught.value.next_step


@pytest.mark.parametrize("key", REMOVED_ENDPOINT_KEYS)
def test_a_removed_key_is_refused_by_name_with_what_to_do_instead(key):
    for settings in ({"endpoints": {"customers": {key: "x"}}}, {"reports": [{"name": "usage", key: "x"}]}):
        with pytest.raises(ConfigurationError) as caught:
            resolved(**settings)
        assert caught.value.key.endswith(f".{key}")
        assert caught.value.next_step == REMOVED_ENDPOINT_KEYS[key]
