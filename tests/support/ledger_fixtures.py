"""Ledgers in SQLite and in Postgres: every test of the ledger's behaviour runs on both."""

import pytest

from automatum.metering.ledger.ledger import Ledger
from tests.support.clocks import FakeClock
from tests.support.postgres import postgres  # noqa: F401  the fixture


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture(params=["sqlite", "postgres"])
def ledger_url(request, tmp_path):
    """URL of a ledger that is not there yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.sqlite"
    return request.getfixturevalue("postgres")


@pytest.fixture
def open_ledger(ledger_url, clock):
    """Open the ledger, once more each time: what one sees is what the others have committed."""
    opened = []

    def another(url=ledger_url, begin=True):
        opened.append(Ledger.open(url, clock, begin=begin, write=True))
        return opened[-1]

    yield another
    for one in opened:
        one.close()


@pytest.fixture
def ledger(open_ledger):
    """The ledger, made."""
    return open_ledger()
