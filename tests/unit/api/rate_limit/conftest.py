"""A limiter on a clock that the test moves."""

from tests.support.quota_fixtures import budget, clock  # noqa: F401  fixtures
