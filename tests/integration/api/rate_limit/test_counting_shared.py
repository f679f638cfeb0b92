"""The properties of `tests/unit/api/rate_limit/test_counting.py` for the stores that several processes share."""

import pytest

from tests.support.quota_fixtures import Shop
from tests.support.quota_stage import Stage
from tests.unit.api.rate_limit.test_counting import (  # noqa: F401  collected here too, with the fixture below
    test_no_caller_gets_much_less_than_the_others,
    test_no_order_of_events_counts_a_request_too_little,
    test_no_server_ever_counts_more_than_its_limit_for_all_callers,
)


@pytest.fixture(params=["sqlite", "redis"])
def workshop(request, tmp_path_factory):
    """Makes shops whose limiters share one state in a file, or on a server."""
    server = request.getfixturevalue("valkey") if request.param == "redis" else None
    folder = tmp_path_factory.mktemp("shops")
    return lambda: Shop(request.param, Stage(), folder, server)
