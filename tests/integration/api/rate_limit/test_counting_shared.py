"""The properties of `tests/unit/api/rate_limit/test_counting.py` for the stores that several processes share."""

import pytest

from tests.support.quota_fixtures import Shop
from tests.support.quota_stage import Stage
from tests.unit.api.rate_limit.test_counting import (  # noqa: F401  collected here too, with the fixture below
    test_no_server_ever_counts_more_than_its_limit_whoever_sends,
    test_nobody_gets_much_less_than_the_others,
    test_whatever_happens_no_request_is_counted_less_than_it_is,
)


@pytest.fixture(params=["sqlite", "redis"])
def workshop(request, tmp_path_factory):
    """Makes shops whose limiters share one state in a file, or on a server."""
    server = request.getfixturevalue("valkey") if request.param == "redis" else None
    folder = tmp_path_factory.mktemp("shops")
    return lambda: Shop(request.param, Stage(), folder, server)
