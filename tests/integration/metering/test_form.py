"""I5: an API that takes usage in another form is one setting away, and a change of the form bills nothing again."""

import json

import pytest

from tests.integration.metering.test_send import usage
from tests.support.loopback import Loopback, Say, token
from tests.support.pushing import YES, Books

FORM = {"path": "usage/report", "fields": {"usages": "records", "dimension": "meter"}}
PATHS = {"documented": "/api/v1/metering", "other": "/api/v1/usage/report"}


@pytest.fixture
def api():
    with Loopback() as server:
        server.say("/oauth/token", token(scope="read:customers write:metering"))
        for path in PATHS.values():
            server.say(path, *[Say(202, YES)] * 8)
        yield server


def test_usage_goes_out_in_the_configured_form_and_a_change_of_the_form_sends_nothing_again_i5(api, tmp_path):
    rows = usage(customers=2, dimensions=2)
    other = Books(api.url, tmp_path, metering=FORM)
    documented = Books(api.url, tmp_path)
    assert other.push(rows).lines["accepted"] == 4
    sent = [json.loads(one.body) for one in api.to(PATHS["other"])]
    assert [len(body["records"]) for body in sent] == [2, 2]
    assert sent[0]["records"][0]["meter"] == "dim_00"
    assert sent[0]["records"][0]["price"] == "0.013"

    for books in (documented, other):
        again = books.push(rows)
        assert (again.exit_code, again.plan.to_send) == (0, [])
        assert books.states() == {"accepted": 4}
    assert len(api.to(PATHS["other"])) == 2
    assert not api.to(PATHS["documented"])


def test_a_refused_usage_is_found_under_its_configured_name(api, tmp_path):
    """Only the usage that the API names is rejected; the rest goes out in a new body, in the same form."""
    with Loopback() as server:
        server.say("/oauth/token", token(scope="write:metering"))
        wrong = {"code": 400, "message": "no", "errors": [{"field": "records[1].meter", "message": "unknown"}]}
        server.say(PATHS["other"], Say(400, wrong), Say(202, YES))
        summary = Books(server.url, tmp_path, metering=FORM).push(usage(customers=1, dimensions=3))
        assert (summary.lines["accepted"], summary.lines["rejected"]) == (2, 1)
        bodies = [json.loads(one.body)["records"] for one in server.to(PATHS["other"])]
        assert [[one["meter"] for one in body] for body in bodies] == [
            ["dim_00", "dim_01", "dim_02"],
            ["dim_00", "dim_02"],
        ]
