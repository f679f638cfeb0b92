"""Found by a hostile review: rows lost or mixed, usage billed twice, bounds that did not hold (I1, I5)."""

import os
import subprocess
import sys
import threading
from datetime import timedelta

import dlt
import duckdb
import pytest

from automatum import automatum_source
from automatum.destination import prepare
from automatum.errors import ConfigurationError
from automatum.settings import resolve_settings
from automatum.sync import open_pipeline

from .conftest import SMALL
from .postgres import postgres  # noqa: F401
from .pushing import rows_of, write_csv
from .syncing import Site
from .test_organizations import TWO, configure, ids_of, several
from .test_reports import asked


def test_a_backfill_after_a_pause_leaves_no_days_unread_between_i1(tmp_path):
    with Site(tmp_path) as site:
        site.serve(days=10)
        site.sync("analytics")
        first = site.today
        site.clock.advance(60 * 86_400)
        site.sync("analytics", since=site.today - timedelta(days=9))
        made = site.sync("analytics")
        assert asked(made) == [(first - timedelta(days=35), site.today)]
        days = {day for (day,) in site.query('SELECT "date" FROM analytics_revenue')}
        assert days >= {site.today - timedelta(days=back) for back in range(70)}


@pytest.mark.parametrize("blank", ["<configure me>"])
def test_a_placeholder_is_not_replaced_by_anothers_credentials_i1(monkeypatch, desk, blank):
    configure(monkeypatch, {"name": "acme"})
    monkeypatch.setenv("AUTOMATUM_CLIENT_ID", "app_vendor")
    monkeypatch.setenv("AUTOMATUM_CLIENT_SECRET", "secret_vendor_vendor")
    desk.set(acme__client_id=blank, acme__client_secret=blank)
    with pytest.raises(ConfigurationError, match=r"sources.automatum.acme.client_id: not set"):
        resolve_settings(organization="acme")


def test_from_one_to_several_nothing_is_billed_again_i5(desk, start):
    served = several(desk, start)
    app, acme = served.sandbox.apps[0], ids_of(served)[0]
    usage = write_csv(rows_of(served.sandbox, organization=acme, most=2))
    desk.set(organizations=None, client_id=app.client_id, client_secret=app.secret)
    assert desk.run("push", "--usage", usage, "--confirm").code == 0
    sent = len(served.sandbox.requests("/api/v1/metering"))
    desk.set(organizations=[{"name": name} for name in TWO])
    again = desk.run("push", "--organization", "acme", "--usage", usage, "--confirm")
    assert again.code == 78 and "billed again" in again.says, again
    assert len(served.sandbox.requests("/api/v1/metering")) == sent > 0
