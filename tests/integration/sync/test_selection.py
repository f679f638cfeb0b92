"""A part of the rows: filters, sent and checked again, and bounds for one-off loads; nothing is concluded from it."""

from datetime import date, datetime, timedelta, timezone
from types import SimpleNamespace

import dlt
import pytest

from automatum import automatum_source
from automatum.core.errors import ConfigurationError
from automatum.sync.selection import Selection
from tests.support.loopback import Loopback, Say
from tests.support.syncing import Site

UTC = timezone.utc


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize(
    "filters", [{"vendor": "aws"}, {"status": "active"}, {"vendor": "azure", "status": "inactive"}]
)
def test_filters_are_sent_and_load_what_they_name(site, filters):
    """I3: fewer pages, as the API filters; I2: what is here already and was not asked for stays."""
    sandbox = site.serve(customers=250)
    wanted = {row["id"] for row in sandbox.rows.all("customers") if all(row[k] == v for k, v in filters.items())}
    assert 0 < len(wanted) < 200
    made = site.sync("customers", **filters)
    assert (made.code, site.live("customers")) == (0, wanted)
    assert len(made.pages) == -(-len(wanted) // 100)
    assert all({name: entry.query.get(name) for name in filters} == filters for entry in made.entries)
    assert site.sync("customers").counts("customers") == (250 - len(wanted), 0, 0, len(wanted))
    again = site.sync("customers", **filters)
    assert (again.counts("customers")[:3], site.live("customers")) == ((0, 0, 0), set(sandbox.rows.ids("customers")))


@pytest.mark.slow
def test_a_server_that_ignores_filters_is_checked(site):
    """I1: rows of another kind are not loaded; one that does not say what it is is; the sweep adds up all the same."""
    rows = [
        {"id": "one", "vendor": "aws"},
        {"id": "two", "vendor": "azure"},
        {"id": "three"},
        {"id": "four", "vendor": None},
        {"id": "five", "vendor": "aws"},
    ]
    with Loopback() as server:
        body = {"code": 200, "data": rows, "pagination": {"page": 1, "limit": 100, "total": 5, "pages": 1}}
        server.say("/api/v1/customers", Say(body=body))
        site.served = SimpleNamespace(base_url=server.url, client_id="app_one", client_secret="secret_one")
        made = site.sync("customers", vendor="aws")
        assert server.to("/api/v1/customers")[0].query["vendor"] == ["aws"]
        assert (made.code, site.live("customers")) == (0, {"one", "three", "four", "five"})
        assert made.counts("customers") == (4, 0, 0, 0)
        # And what was loaded before, and is not asked for now, is neither changed nor deleted.
        assert site.sync("customers").counts("customers") == (1, 0, 0, 4)
        body["data"] = [{**row, "companyName": "New"} for row in rows]
        assert site.sync("customers", vendor="aws").counts("customers") == (0, 4, 0, 0)
        assert site.query("SELECT id FROM customers WHERE company_name IS NULL") == [("two",)]
        assert site.live("customers") == {row["id"] for row in rows}


@pytest.mark.slow
def test_reports_have_no_filters(site):
    """A filter concerns the lists; reports are read whole, and still tell what is gone."""
    site.serve(customers=5, days=3)
    made = site.sync(vendor="aws")
    assert (made.code, made.counts("analytics")[0]) == (0, 6)
    assert all("vendor" not in entry.query for entry in made.entries if "analytics" in entry.path)


# Bounds


@pytest.mark.slow
@pytest.mark.parametrize(("how", "kind"), [("bind", "moment"), ("call", "text"), ("bind", "day")])
def test_a_range_is_loaded_and_nothing_else(desk, start, how, kind):
    """I1: from `initial_value` on, before `end_value`, by moment and not by spelling; I2: nothing is deleted."""
    served = start(customers=250)
    desk.use(served)
    sandbox = served.sandbox
    low, high = (
        datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=n) for n in (400, 30)
    )
    given = {
        "moment": (low, high),
        "text": (low.isoformat().replace("+00:00", "Z"), high.astimezone(timezone(timedelta(hours=2))).isoformat()),
        "day": (low.date(), high.date()),
    }[kind]
    edge = sandbox.rows.ids("customers")[:2]
    for id_, at in zip(edge, (low, high), strict=True):
        sandbox.rows.change("customers", id_, {"updatedAt": at.isoformat()})
    wanted = {
        row["id"]
        for row in sandbox.rows.all("customers")
        if low <= datetime.fromisoformat(row["updatedAt"].replace("Z", "+00:00")) < high
    }
    assert edge[0] in wanted
    assert edge[1] not in wanted
    bounds = dlt.sources.incremental("updated_at", initial_value=given[0], end_value=given[1])
    pipeline = dlt.pipeline(
        "mine",
        destination=dlt.destinations.duckdb(str(desk.database)),
        dataset_name="automatum",
        pipelines_dir=str(desk.folder / "pipelines"),
    )
    resource = automatum_source().customers
    pipeline.run(resource.bind(updated_at=bounds) if how == "bind" else resource(updated_at=bounds))
    assert {id_ for (id_,) in desk.query("SELECT id FROM customers")} == wanted
    assert desk.query("SELECT count(*) FROM customers WHERE _deleted_at IS NOT NULL") == [(0,)]


@pytest.mark.slow
def test_a_range_deletes_nothing_and_leaves_the_rest_alone(site):
    """I2: rows outside of it are not missing, those within it are not looked for."""
    sandbox = site.serve(customers=120)
    site.sync("customers")
    ids, before = sandbox.rows.ids("customers"), site.dump()
    sandbox.rows.delete("customers", ids[:4])
    old, new = sandbox.rows.get("customers", ids[10]), sandbox.rows.get("customers", ids[119])
    for row in (old, new):
        sandbox.rows.change("customers", row["id"], {"companyName": "New"}, touch=False)
    cut = datetime.fromisoformat(old["updatedAt"].replace("Z", "+00:00")) + timedelta(days=1)
    made = site.sync("customers", selection=Selection(updated_from=cut))
    assert (made.code, made.details, site.live("customers")) == (0, [], set(ids))
    assert site.query("SELECT id FROM customers WHERE company_name = 'New'") == [(new["id"],)]
    assert len(set(map(tuple, site.dump()["customers"])) - set(map(tuple, before["customers"]))) == 1


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("created_at", datetime(2024, 1, 1, tzinfo=UTC)),
        *(("updated_at", value) for value in ("soon", 7, "now", "12:30", "12:30:00Z", "2024", "P1D", "2024-01-01/P1D")),
    ],
)
def test_bounds_that_make_no_sense_are_refused(column, value):
    """The key is named, and no request is sent."""
    with pytest.raises(ConfigurationError) as refused:
        Selection().with_incremental(dlt.sources.incremental(column, initial_value=value))
    assert "updated_at" in str(refused.value)


def test_a_moment_without_a_zone_is_utc():
    """As everything else is."""
    made = Selection().with_incremental(dlt.sources.incremental("updated_at", initial_value=datetime(2024, 1, 2)))
    assert made.updated_from == datetime(2024, 1, 2, tzinfo=UTC)
    made = Selection().with_incremental(dlt.sources.incremental("updated_at", initial_value=date(2024, 1, 2)))
    assert (made.updated_from, made.updated_before) == (datetime(2024, 1, 2, tzinfo=UTC), None)
    assert not made.everything


@pytest.mark.slow
def test_a_cut_resource_leaves_nothing_behind_for_good(desk, start):
    """I1: `add_limit` may cut between a row and its children; the next run brings both."""
    served = start(customers=5, entitlements=20)
    desk.use(served)
    pipeline = dlt.pipeline(
        "mine",
        destination=dlt.destinations.duckdb(str(desk.database)),
        dataset_name="automatum",
        pipelines_dir=str(desk.folder / "pipelines"),
    )
    pipeline.run(automatum_source().with_resources("entitlements").add_limit(1))
    pipeline.run(automatum_source().with_resources("entitlements"))
    count = sum(len(row["dimensions"]) for row in served.sandbox.rows.all("entitlements"))
    assert "entitlement_dimensions" in desk.tables()
    assert desk.counts() == {"entitlements": 20, "entitlement_dimensions": count}
