"""I1, I8: columns that the settings change, in a destination that holds rows already."""

import json

import dlt
import duckdb
import pytest

from automatum import automatum_source
from tests.support.desk import WIDE_LIMITS, forget
from tests.support.expected import differences, expected_lists
from tests.support.loopback import Loopback, Say, token

RECORDS = [
    {
        "_id": f"e{n}",
        "plan": {"tier": ["gold", "free"][n % 2]},
        "starts": f"2026-01-15T10:00:00.00{n}Z",
    }
    for n in range(3)
]
CHANGES = {
    "columns": {
        "id": "_id",
        "starts_at": {"path": "starts", "type": "timestamp"},
        "tier": {"path": "plan.tier", "type": "text"},
    },
}


pytestmark = pytest.mark.slow


@pytest.fixture
def api(desk):
    with Loopback() as server:
        server.say("/oauth/token", token(scope="read:entitlements"))
        desk.set(
            base_url=server.url,
            client_id="app_1",
            client_secret="secret_1234567890",
            application_limits=WIDE_LIMITS,
        )
        yield server


def serve(api, records):
    counts = {"page": 1, "limit": 100, "total": len(records), "pages": 1}
    api.say("/api/v1/entitlements", *[Say(body={"code": 200, "data": records, "pagination": counts})] * 4)


def test_other_columns_arrive_in_a_dataset_that_has_rows_i1(desk, api):
    """I1: all rows get the changed columns by one sync, and none is loaded again after that."""
    plain = [{"id": record["_id"], **record} for record in RECORDS]
    serve(api, plain)
    assert desk.sync().code == 0
    desk.set(endpoints={"entitlements": CHANGES})
    serve(api, RECORDS)
    changed = desk.sync()
    assert (changed.code, changed.json["tables"]["entitlements"]["updated"]) == (0, 3), changed
    assert desk.query("SELECT id, tier, epoch_ms(starts_at) FROM entitlements ORDER BY id") == [
        ("e0", "gold", 1768471200000),
        ("e1", "free", 1768471200001),
        ("e2", "gold", 1768471200002),
    ]
    assert desk.query("SELECT count(*) FROM entitlements WHERE extra IS NOT NULL OR _deleted_at IS NOT NULL") == [(0,)]
    again = desk.sync()
    assert (again.code, again.json["tables"]["entitlements"]["unchanged"]) == (0, 3), again


def test_the_summary_counts_values_that_their_column_could_not_read_i8(desk, api):
    serve(api, [{"id": "a", "startDate": 20260115, "value": "many"}, {"id": "b", "startDate": 20260116}])
    made = desk.sync()
    assert made.code == 0
    assert made.json["tables"]["entitlements"]["unread"] == {"start_date": 2, "value": 1}
    assert json.loads(desk.query("SELECT extra FROM entitlements WHERE id = 'b'")[0][0]) == {"startDate": 20260116}


@pytest.mark.slow
def test_a_column_that_a_user_has_dropped_is_filled_for_all_rows_i1(desk, small):
    """Also where nothing has changed in the API; one of a child table, too, and by `pipeline.run`."""
    assert desk.sync().code == 0
    whole = differences(desk, expected_lists(small))
    for column, sync in (
        ("customers DROP COLUMN vendor", desk.sync),
        ("entitlement_dimensions DROP COLUMN price", desk.sync),
        ("customers DROP COLUMN email", lambda: run_source(desk)),
    ):
        with duckdb.connect(str(desk.database)) as connection:
            connection.execute(f"ALTER TABLE automatum.{column}")
        sync()
        assert differences(desk, expected_lists(small)) == whole == []
    again = desk.sync()
    assert again.json["tables"]["customers"]["updated"] == 0


def run_source(desk):
    forget()
    pipeline = dlt.pipeline("mine", destination=dlt.destinations.duckdb(str(desk.database)), dataset_name="automatum")
    pipeline.run(automatum_source())
