"""One quota, kept in each of the three places, on a clock that the test moves."""

from tests.support.quota_fixtures import (  # noqa: F401  fixtures
    budget,
    clock,
    open_one,
    path,
    shop,
    valkey,
    valkey_server,
)
