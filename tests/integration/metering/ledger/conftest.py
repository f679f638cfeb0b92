"""Ledgers on SQLite and Postgres."""

from tests.support.ledger_fixtures import clock, ledger, ledger_url, open_ledger, postgres  # noqa: F401  fixtures
