from datetime import timedelta

import pytest

from tests.integration.sandbox.conftest import NOW, Client, Fresh

LISTS = {"customers": "customers", "entitlements": "entitlements", "private-offers": "private_offers"}


@pytest.mark.parametrize("path", LISTS)
def test_envelope_and_defaults(client: Client, path: str) -> None:
    body = client.get(f"/api/v1/{path}").json()
    total = len(client.sandbox.rows.ids(LISTS[path]))
    assert set(body) == {"code", "data", "pagination"}
    assert body["code"] == 200
    assert body["pagination"] == {"page": 1, "limit": 20, "total": total, "pages": -(-total // 20)}
    assert len(body["data"]) == 20


@pytest.mark.parametrize("path", LISTS)
def test_pages_give_every_row_once_in_order(client: Client, path: str) -> None:
    found = []
    for page in range(1, 8):
        found += client.get(f"/api/v1/{path}", page=page, limit=70).json()["data"]
    assert [row["id"] for row in found] == client.sandbox.rows.ids(LISTS[path])
    assert len({row["id"] for row in found}) == len(found)
    assert found == client.sandbox.rows.all(LISTS[path])


def test_past_the_last_page_is_empty(client: Client) -> None:
    body = client.get("/api/v1/customers", page=4, limit=100).json()
    assert body["data"] == []
    assert body["pagination"] == {"page": 4, "limit": 100, "total": 250, "pages": 3}


@pytest.mark.parametrize(
    ("query", "field"),
    [({"limit": 101}, "limit"), ({"limit": 0}, "limit"), ({"limit": "x"}, "limit"), ({"page": 0}, "page")]
    + [({"page": text}, "page") for text in ("-1", "two", "1.5", "²", "9" * 40, "9" * 5000)]
    + [({"limit": "9" * 5000}, "limit")],
)
def test_bad_paging_names_the_field(client: Client, query: dict[str, object], field: str) -> None:
    response = client.get("/api/v1/customers", **query)
    assert response.status_code == 400
    assert response.json()["code"] == 400
    assert [error["field"] for error in response.json()["errors"]] == [field]


def test_empty_list(fresh: Fresh) -> None:
    body = fresh(customers=0, entitlements=0, private_offers=0).get("/api/v1/customers").json()
    assert body == {"code": 200, "data": [], "pagination": {"page": 1, "limit": 20, "total": 0, "pages": 0}}


@pytest.mark.parametrize("path", LISTS)
def test_filters(client: Client, path: str) -> None:
    rows = client.sandbox.rows.all(LISTS[path])
    for name in ("status", "vendor"):
        for value in {row[name] for row in rows}:
            wanted = [row for row in rows if row[name] == value]
            body = client.get(f"/api/v1/{path}", limit=100, **{name: value}).json()
            assert body["pagination"]["total"] == len(wanted)
            assert body["data"] == wanted[:100]
    both = client.get(f"/api/v1/{path}", status=rows[0]["status"], vendor=rows[0]["vendor"]).json()
    wanted = [row for row in rows if (row["status"], row["vendor"]) == (rows[0]["status"], rows[0]["vendor"])]
    assert both["pagination"]["total"] == len(wanted)


@pytest.mark.parametrize("path", ["entitlements", "private-offers"])
def test_filter_by_customer(client: Client, path: str) -> None:
    rows = client.sandbox.rows.all(LISTS[path])
    owner = rows[0]["customerId"]
    assert client.get(f"/api/v1/{path}", customerId=owner).json()["data"] == [
        row for row in rows if row["customerId"] == owner
    ]


def test_search_finds_names_and_addresses_in_both_forms(client: Client) -> None:
    rows = client.sandbox.rows.all("customers")
    nested = next(row for row in rows if "details" in row)
    flat = next(row for row in rows if row.get("companyName"))
    for text, id_ in (
        (nested["details"]["company"]["name"].upper(), nested["id"]),
        (nested["details"]["contact"]["email"], nested["id"]),
        (flat["companyName"].lower(), flat["id"]),
    ):
        assert id_ in [row["id"] for row in client.get("/api/v1/customers", search=text, limit=100).json()["data"]]
    assert client.get("/api/v1/customers", search="no such text").json()["pagination"]["total"] == 0


@pytest.mark.parametrize("path", LISTS)
def test_detail(client: Client, path: str) -> None:
    row = client.sandbox.rows.all(LISTS[path])[3]
    body = client.get(f"/api/v1/{path}/{row['id']}").json()
    entitlements = body["data"].pop("entitlements", None)
    assert body == {"code": 200, "data": row}
    if path == "customers":
        assert entitlements == [r for r in client.sandbox.rows.all("entitlements") if r["customerId"] == row["id"]]


@pytest.mark.parametrize("path", ["customers/cust_zzzzzzzz", "customers/x", "nothing", "analytics/other", "analytics"])
def test_not_found(client: Client, path: str) -> None:
    response = client.get(f"/api/v1/{path}")
    assert response.status_code == 404
    assert set(response.json()) == {"code", "message"}
    assert response.json()["code"] == 404


def test_wrong_method(client: Client) -> None:
    assert client.call("POST", "/api/v1/customers", json={}).json()["code"] == 405
    assert client.get("/api/v1/metering").status_code == 405


def test_analytics_days_are_inclusive_and_default_to_thirty(client: Client) -> None:
    path = "/api/v1/analytics/revenue"
    body = client.get(path).json()
    assert set(body) == {"code", "data"}
    days = sorted({row["date"] for row in body["data"]})
    assert (len(days), days[-1]) == (30, NOW.date().isoformat())
    three = client.get(path, startDate="2026-01-10", endDate="2026-01-12").json()["data"]
    assert sorted({row["date"] for row in three}) == ["2026-01-10", "2026-01-11", "2026-01-12"]
    assert set(three[0]) == {"date", "vendor", "revenue", "netRevenue", "marketplaceFee", "currency", "count"}
    assert three == [row for row in body["data"] if row["date"] in ("2026-01-10", "2026-01-11", "2026-01-12")]
    first = NOW.date() - timedelta(days=89)
    everything = client.get(path, startDate="2000-01-01", endDate="2030-01-01").json()["data"]
    assert (everything[0]["date"], len(everything)) == (first.isoformat(), 180)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"startDate": "01/02/2026"}, "startDate"),
        ({"endDate": "20260115"}, "endDate"),
        ({"startDate": "2026-01-02", "endDate": "2026-01-01"}, "startDate"),
    ],
)
def test_analytics_dates_are_checked(client: Client, query: dict[str, str], field: str) -> None:
    response = client.get("/api/v1/analytics/revenue", **query)
    assert response.status_code == 400
    assert response.json()["errors"][0]["field"] == field


def test_analytics_as_object_and_restated(fresh: Fresh) -> None:
    client = fresh(analytics_shape="object")
    client.sandbox.rows.restate("2026-01-10", "aws", {"revenue": "5.00"})
    data = client.get("/api/v1/analytics/revenue", startDate="2026-01-10", endDate="2026-01-10").json()["data"]
    assert [row["vendor"] for row in data["series"]] == ["aws", "azure"]
    assert data["series"][0]["revenue"] == "5.00"
    assert data["totalRevenue"] == round(5 + float(data["series"][1]["revenue"]), 2)


def test_front_page_says_what_it_is(client: Client) -> None:
    page = client.get("/").text
    assert "not</b> the vendor" in page and "assumed" in page and "documented" in page
    assert client.get("/elsewhere").status_code == 404
