"""A clock that the test moves."""

from tests.support.ledger_fixtures import clock  # noqa: F401  fixture
