"""Ledgers on SQLite and Postgres, for the races."""

from tests.support.ledger_fixtures import ledger_url, open_ledger, postgres  # noqa: F401  fixtures
