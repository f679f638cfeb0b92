"""Since when a client secret is in use, carried from sweep to sweep (I9)."""

from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from automatum.config.settings import AutomatumSettings
from automatum.core.redaction import Secret
from automatum.sync.facts import PastSweep, SweepFacts, first_use, in_use_since, latest_use, too_old

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def settings(secret):
    made = AutomatumSettings()
    made.client_id, made.client_secret = "app_1", Secret(secret)
    return made


@given(
    steps=st.lists(
        st.tuples(st.integers(1, 40), st.sampled_from(["secret_a", "secret_b"]), st.integers(0, 2)),
        min_size=1,
        max_size=12,
    )
)
def test_each_secret_counts_from_its_first_sweep_since_it_is_known(steps):
    """In any order of sweeps of several tables; each table knows its own sweeps alone."""
    now, tables, first = START, {0: [], 1: [], 2: []}, {}
    for days, secret, table in steps:
        now += timedelta(days=days)
        past = tables[table]
        stored = in_use_since(settings(secret), past, now)
        assert first_use(stored) == first.setdefault((table, secret), now)
        facts = SweepFacts.from_json(SweepFacts(secret=stored).to_json())
        past.insert(0, PastSweep("x", now, "complete", facts))
    everything = [one for past in tables.values() for one in past]
    latest = steps[-1][1]
    assert first_use(latest_use(everything)) == min(at for (_, secret), at in first.items() if secret == latest)


def test_an_age_is_told_from_the_day_that_is_set():
    assert too_old(START, START + timedelta(days=29, hours=23)) == ""
    assert "30 days or more" in too_old(START, START + timedelta(days=30))
    assert too_old(None, START) == ""


def test_what_another_version_stored_is_no_age():
    for stored in (None, {}, {"since": "soon"}, {"mark": "x"}):
        assert first_use(stored) is None
    past = [PastSweep("x", START, "complete", SweepFacts())]
    assert latest_use(past) is None
    assert first_use(in_use_since(settings("secret_a"), past, START)) == START
