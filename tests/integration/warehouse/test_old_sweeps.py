"""The log of sweeps is bounded: of old sweeps the last one of each day, table and verdict stays."""

from datetime import timedelta

import pytest

from automatum.core.clock import utc
from automatum.warehouse.sql import as_utc
from tests.support.changed_site import PLACE_NAMES, ChangedSite

DAY = 24 * 3600.0
ADD = """
INSERT INTO automatum._automatum_sweeps (sweep_id, table_name, finished_at, verdict, load_id, extra, _synced_at)
SELECT '{name}-' || g, table_name, TIMESTAMP WITH TIME ZONE '{start}' + g * INTERVAL '{minutes} minutes', '{verdict}',
  {load_id}, extra, _synced_at
FROM (SELECT * FROM automatum._automatum_sweeps WHERE table_name = '{table}' ORDER BY finished_at DESC LIMIT 1) s,
  generate_series(0, {most}) AS numbers(g)
"""


@pytest.fixture(params=PLACE_NAMES)
def site(request, tmp_path):
    with ChangedSite(tmp_path, request.param) as made:
        made.serve(customers=3, entitlements=3)
        made.sync("customers", "entitlements")
        yield made
    made.place.close()


def add(site, name, days_ago, *, rows=300, minutes=5, table="customers", verdict="complete", load_id="load_id"):
    """Add sweeps that began so many days ago."""
    start = utc(site.clock.time()) - timedelta(days=days_ago)
    words = {"name": name, "minutes": minutes, "table": table, "verdict": verdict, "load_id": load_id}
    site.change(ADD.format(start=start.isoformat(), most=rows - 1, **words))


def sweeps(site, table="customers"):
    """Sweep ids with their time and verdict, the latest first."""
    rows = [row for row in site.place.rows("_automatum_sweeps") if row["table_name"] == table]
    found = [(as_utc(row["finished_at"]), row["sweep_id"], row["verdict"]) for row in rows]
    return sorted(found, reverse=True)


def kept_of(found, now, latest=99, days=90):
    """What stays of these beside a new sweep, by a reading of the rule that shares nothing with the query."""
    kept, seen = set(), set()
    for place, (at, id_, verdict) in enumerate(found):
        day = at.astimezone(now.tzinfo).date(), verdict
        if place < latest or at >= now - timedelta(days=days) or day not in seen:
            kept.add(id_)
        seen.add(day)
    return kept


def test_old_sweeps_leave_the_last_of_each_day_table_and_verdict(site):
    add(site, "recent", 89.5)
    add(site, "old", 130)
    add(site, "older", 131, verdict="incomplete")
    add(site, "other", 130, table="entitlements")
    add(site, "half", 129.99, rows=3, load_id="'a load that was killed'")
    before = sweeps(site)
    site.clock.advance(DAY)
    assert site.sync("customers").code == 0
    now = utc(site.clock.time())
    after = {id_ for _, id_, _ in sweeps(site)}
    expected = kept_of([one for one in before if not one[1].startswith("half")], now)
    made = after - {id_ for _, id_, _ in before}
    assert len(made) == 1 and after - made == expected | {"half-0", "half-1", "half-2"}
    assert len(expected) < 310
    assert len(sweeps(site, "entitlements")) == 301, "a table is pruned by its own sync"


def test_they_are_removed_once_a_day(site):
    site.clock.advance(DAY)
    site.sync("customers")
    add(site, "old", 130)
    site.sync("customers")
    assert len(sweeps(site)) == 303
    site.clock.advance(DAY)
    site.sync("customers")
    assert len(sweeps(site)) < 110


def test_the_latest_and_the_latest_complete_sweep_stay_however_old_they_are_i2(site):
    """What the next sweep, `status` and the models read does not change."""
    (first,) = sweeps(site)
    add(site, "failing", 0, rows=150, minutes=1440, verdict="incomplete")
    site.clock.advance(400 * DAY)
    add(site, "more", 200, rows=600, minutes=5, verdict="incomplete")
    before = sweeps(site)
    ran = site.sync("customers")
    assert ran.code == 0 and ran.counts("customers") == (0, 0, 0, 3)
    after = sweeps(site)[1:]
    assert first in after and after[:99] == before[:99] and len(after) < len(before)
