"""A server that is down is waited for once a run, not once a table."""

from tests.support.desk import SMALL


def test_after_a_request_that_was_given_up_each_table_has_one_attempt(start, desk):
    """Six attempts take twelve seconds, and there are many tables and reports."""
    served = start(**SMALL)
    desk.use(served)
    desk.attempts(3)
    served.sandbox.faults.add("status", "/api/v1/", status=503, count=None)
    ran = desk.sync()
    assert ran.code == 69
    asked = [one.path for one in served.sandbox.requests.to("/api/v1/")]
    attempts = sorted(asked.count(path) for path in set(asked))
    assert attempts == [1] * (len(attempts) - 1) + [3]
    assert len(attempts) == 4, "each table is still tried, because one alone may be broken"


def test_a_server_that_is_back_is_tried_as_often_as_before(start, desk):
    served = start(**SMALL)
    desk.use(served)
    desk.attempts(3)
    for path, count in (("/api/v1/customers", 3), ("/api/v1/private-offers", 2)):
        served.sandbox.faults.add("status", path, status=503, count=count)
    ran = desk.sync("customers", "entitlements", "private_offers")
    assert ran.code == 69
    verdicts = {name: row["verdict"] for name, row in ran.json["tables"].items()}
    assert verdicts == {"customers": "incomplete", "entitlements": "complete", "private_offers": "complete"}
