"""I8: what is assumed of the API can be corrected in the configuration, and a wrong correction is named."""

import pytest

from automatum.api.endpoint_overrides import resolve_endpoints
from automatum.config.settings import resolve_settings
from automatum.core.errors import ConfigurationError
from automatum.endpoints import ENDPOINTS, REVENUE, FieldPath
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
        ("analytics_revenue", {"date_format": "%d.%m.%Y"}, "date_format", "%d.%m.%Y"),
        ("customers", {"pages": "meta.pages"}, "pages", "meta.pages"),
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
    same = {"path", "records", "total", "pages", "parameters", "key", "scope", "kind", "children"} - {attribute}
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
        ({"endpoints": {"customers": {"parameters": {"start": "x"}}}}, "endpoints.customers.parameters"),
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
            {"endpoints": {"customers": {"columns": {"created_at": {"format": "epoch"}}}}},
            "endpoints.customers.columns.created_at.format",
        ),
        ({"endpoints": {"customers": {"timestamps": "%H:%M"}}}, "endpoints.customers.timestamps"),
        ({"endpoints": {"customers": {"naming": "kebab"}}}, "endpoints.customers.naming"),
        ({"endpoints": {"customers": {"detail": "data[0]"}}}, "endpoints.customers.detail"),
        ({"endpoints": {"customers": {"key": "_id"}}}, "endpoints.customers.key"),
        ({"endpoints": {"customers": {"children": "x"}}}, "endpoints.customers.children"),
        ({"endpoints": {"customers": {"children": {"notes": {}}}}}, "endpoints.customers.children.notes"),
        ({"endpoints": {"customers": {"children": {"Notes": {"path": "x"}}}}}, "endpoints.customers.children.Notes"),
        (
            {"endpoints": {"customers": {"children": {"entitlements": {"path": "entitlements"}}}}},
            "endpoints.customers.children.entitlements",
        ),
        (
            {"endpoints": {"entitlements": {"children": {"entitlement_dimensions": {"places": "x"}}}}},
            "endpoints.entitlements.children.entitlement_dimensions.places",
        ),
        (
            {
                "endpoints": {
                    "entitlements": {"children": {"entitlement_dimensions": {"columns": {"position": "text"}}}}
                }
            },
            "endpoints.entitlements.children.entitlement_dimensions.columns",
        ),
        (
            {"endpoints": {"analytics_revenue": {"children": {"a": {"path": "b"}}}}},
            "endpoints.analytics_revenue.children",
        ),
        ({"endpoints": {"analytics_revenue": {"detail": "x"}}}, "endpoints.analytics_revenue.detail"),
        ({"endpoints": {"analytics_revenue": {"date_format": "%d.%m."}}}, "endpoints.analytics_revenue.date_format"),
        ({"endpoints": {"customers": {"date_format": "%Y-%m-%d"}}}, "endpoints.customers.date_format"),
        ({"endpoints": {"customers": {"filters": "vendor"}}}, "endpoints.customers.filters"),
        ({"endpoints": {"customers": {"filters": ["email"]}}}, "endpoints.customers.filters"),
        ({"endpoints": {"customers": {"filters": {"vendors": "x"}}}}, "endpoints.customers.filters.vendors"),
        ({"endpoints": {"customers": {"filters": {"vendor": 1}}}}, "endpoints.customers.filters.vendor"),
        ({"endpoints": {"analytics_revenue": {"filters": []}}}, "endpoints.analytics_revenue.filters"),
        ({"naming": "snakecase"}, "naming"),
        ({"timestamps": "epoch"}, "timestamps"),
        ({"endpoints": {"analytics_revenue": {"exact_total": True}}}, "endpoints.analytics_revenue.exact_total"),
        (
            {"endpoints": {"analytics_revenue": {"parameters": {"offset": "x"}}}},
            "endpoints.analytics_revenue.parameters",
        ),
        ({"endpoints": {"analytics_revenue": {"columns": {"a": "money"}}}}, "endpoints.analytics_revenue.columns"),
        ({"reports": [{"path": "x"}]}, "reports[0]"),
        ({"reports": ["usage"]}, "reports[0]"),
        ({"reports": [{"name": 5}]}, "reports[0].name"),
        ({"reports": [{"name": "revenue"}, {"name": "Two Words"}]}, "reports[1].name"),
        ({"reports": [{"name": "usage", "nope": 1}]}, "reports[0].nope"),
        ({"reports": [{"name": "usage", "columns": {"units": "number"}}]}, "reports[0].columns"),
        ({"reports": [{"name": "usage", "parameters": {"from": "x"}}]}, "reports[0].parameters"),
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


def test_columns_of_a_list_have_other_places_types_and_formats():
    """Each in one setting, by the name of the column or of the field; all other columns stay."""
    changes = {
        "company_name": "account.name",
        "awsAccountId": ["$.account.aws", "aws"],
        "created_at": {"format": "epoch_ms"},
        "status": "bigint",
        "tier": {"path": "plan.tier"},
        "seats": "bigint",
    }
    found = resolved(endpoints={"customers": {"columns": changes}})["customers"]
    plain = ENDPOINTS[0]
    assert [one.name for one in found.columns] == [*(one.name for one in plain.columns), "tier", "seats"]
    assert places(found, "company_name") == ["account.name"]
    assert places(found, "aws_account_id") == ["account.aws", "aws"]
    assert (column(found, "created_at").formats, places(found, "created_at")) == (("epoch_ms",), ["createdAt"])
    assert (column(found, "status").type, places(found, "status")) == ("bigint", ["status"])
    assert (column(found, "tier").type, places(found, "tier")) == ("text", ["plan.tier"])
    assert (column(found, "seats").type, places(found, "seats")) == ("bigint", ["seats"])
    changed = {"company_name", "aws_account_id", "created_at", "status", "tier", "seats"}
    assert {one for one in found.columns if one.name not in changed} <= set(plain.columns)


def test_a_place_for_one_marketplace_follows_the_column_of_the_marketplace():
    found = resolved(endpoints={"customers": {"columns": {"vendor": "marketplace.name"}}})["customers"]
    record = {"id": "a", "marketplace": {"name": "azure"}, "cloudIdentifier": "t-1"}
    assert pick([record], column(found, "azure_tenant_id"))[0] == ["t-1"]
    assert pick([record], column(found, "aws_account_id"))[0] == [None]


def test_an_id_with_an_underscore_is_read_into_the_column_id_and_the_message_about_the_key_says_how():
    found = resolved(endpoints={"customers": {"columns": {"id": "_id"}}})["customers"]
    assert (found.key, places(found, "id")) == (("id",), ["_id"])
    with pytest.raises(ConfigurationError) as caught:
        resolved(endpoints={"customers": {"key": "_id"}})
    assert 'columns = { id = "_id" }' in caught.value.next_step


def test_children_have_other_places_and_columns_and_there_can_be_further_ones():
    changes = {
        "entitlement_dimensions": {"path": ["meters", "plan.meters"], "columns": {"key": "code", "tier": "text"}},
        "entitlement_contacts": {"path": "contacts", "columns": {"email": "text"}},
    }
    found = resolved(
        endpoints={
            "entitlements": {"children": changes},
            "customers": {"children": {"customer_notes": {"path": "notes"}}},
        }
    )
    meters, contacts = found["entitlements"].children
    assert (meters.table, meters.parent_key) == ("entitlement_dimensions", "entitlement_id")
    assert meters.places == ("meters", "plan.meters")
    assert [one.name for one in meters.columns] == ["key", "name", "quantity", "price", "unit", "tier"]
    assert meters.columns[0].places == (FieldPath("code"),)
    assert (contacts.parent_key, contacts.places) == ("entitlement_id", ("contacts",))
    (notes,) = found["customers"].children
    assert (notes.table, notes.parent_key, notes.columns) == ("customer_notes", "customer_id", ())


@pytest.mark.parametrize("where", ["api", "endpoint"])
def test_one_setting_makes_all_names_snake_case(where):
    """Records, nested records, child lists, parameters; what a user writes is taken as it is."""
    own = {"columns": {"email": "eMail"}, "children": {"private_offer_payments": {"columns": {"date": "dueDate"}}}}
    settings = {
        "endpoints": {"private_offers": own},
        "reports": [{"name": "usage", "columns": {"usedUnits": "decimal"}}],
    }
    if where == "api":
        settings["naming"] = "snake_case"
    else:
        settings["endpoints"]["private_offers"] = {**own, "naming": "snake_case"}
        settings["endpoints"]["analytics_revenue"] = {"naming": "snake_case"}
        settings["reports"][0]["naming"] = "snake_case"
    found = resolved(**settings)
    offers, revenue, usage = found["private_offers"], found["analytics_revenue"], found["analytics_usage"]
    assert places(offers, "total_contract_value") == ["pricing.total_contract_value", "total_contract_value"]
    assert places(offers, "azure_tenant_id") == ["azure_tenant_id", "tenant_id", "cloud_identifier"]
    assert places(offers, "email") == ["eMail"]
    assert offers.children[0].places == ("pricing.payment_schedule", "payment_schedule")
    assert offers.children[0].columns[0].places == (FieldPath("dueDate"),)
    assert revenue.parameters == {**REPORT_WORDS, "start": "start_date", "end": "end_date"}
    assert places(usage, "listing_id") == ["listing_id"]
    assert places(usage, "used_units") == ["usedUnits"]
    assert places(found["customers"], "company_name")[0] == ("company_name" if where == "api" else "companyName")


def test_an_endpoint_may_be_written_in_another_way_than_the_rest_of_the_api():
    found = resolved(naming="snake_case", endpoints={"customers": {"naming": "camelCase"}})
    assert found["customers"] == ENDPOINTS[0]
    assert places(found["entitlements"], "listing_id") == ["listing_id"]


def test_formats_of_times_hold_for_the_whole_api_a_table_or_a_column():
    found = resolved(
        timestamps="epoch_s",
        endpoints={"private_offers": {"timestamps": ["%d/%m/%Y", "iso"], "columns": {"sent_at": {"format": "iso"}}}},
    )
    assert column(found["customers"], "created_at").formats == ("epoch_s",)
    assert column(found["customers"], "email").formats == ()
    offers = found["private_offers"]
    assert column(offers, "end_date").formats == ("%d/%m/%Y", "iso")
    assert column(offers, "sent_at").formats == ("iso",)
    assert offers.children[0].columns[0].formats == ("%d/%m/%Y", "iso")


@pytest.mark.parametrize(
    "changes",
    [
        {"columns": {"created_at": {"format": "epoch_ms"}}},
        {"columns": {"vendor": "marketplace"}},
        {"columns": {"product_name": "product.name"}},
        {"timestamps": "iso"},
        {"naming": "snake_case"},
        {"children": {"entitlement_dimensions": {"columns": {"key": {"type": "timestamp", "format": "iso"}}}}},
    ],
)
def test_what_changes_the_columns_changes_the_hash_of_each_row_i1(changes):
    """I1: unchanged records are loaded again, once, so that all rows have what the setting says."""
    table = "entitlements"
    plain, changed = resolved()[table], resolved(endpoints={table: changes})[table]
    assert Table(changed).hash({"id": "a"}) != Table(plain).hash({"id": "a"})


@pytest.mark.parametrize("changes", [{"detail": "data.entitlement"}, {"path": "contracts"}, {"records": "items"}])
def test_what_leaves_the_columns_leaves_the_hashes_i3(changes):
    plain, changed = resolved()["entitlements"], resolved(endpoints={"entitlements": changes})["entitlements"]
    assert Table(changed).hash({"id": "a"}) == Table(plain).hash({"id": "a"})


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], {}),
        (["vendor"], {"vendor": "vendor"}),
        ({"status": "state"}, {"status": "state"}),
    ],
)
def test_filters_have_other_names_or_do_not_exist(filters, expected):
    assert resolved(endpoints={"customers": {"filters": filters}})["customers"].filters == expected


@pytest.mark.parametrize(
    ("word", "ours"),
    [("data_selector", "records"), ("primary_key", "key"), ("colums", "columns")],
)
def test_a_word_of_rest_api_and_a_typo_lead_to_the_setting(word, ours):
    with pytest.raises(ConfigurationError) as caught:
        resolved(endpoints={"customers": {word: "x"}})
    assert ours in caught.value.next_step.partition("Settings are")[0]
