"""I2 and I9: what a sweep leaves for the next one is bounded; what is stored in its place by others is no error."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import orjson
import pytest

from automatum.config.settings import resolve_settings
from automatum.endpoints import PRIVATE_OFFERS
from automatum.schema.json_text import dumps
from automatum.sync.delete_policy import AGREES_AFTER, Answer, Missing, decide
from automatum.sync.facts import MOST_EVENTS, MOST_KEYS, PastSweep, SweepFacts, digest_settings
from automatum.sync.results import KnownRows
from automatum.warehouse.values import json_object

NOW = datetime(2026, 11, 24, 9, tzinfo=timezone.utc)


def stored(facts):
    return SweepFacts.from_json(json_object(dumps(facts.as_json())))


def test_the_facts_are_read_as_they_were_stored():
    facts = SweepFacts(True, ordered=False, drift=("moved",), candidates=("a",), off_list=("b",), session={"id": "x"})
    assert stored(facts) == facts


def test_a_row_of_a_sweep_stays_small_however_much_is_missing_i2():
    keys = tuple(f"cust_{i:032d}" for i in range(20_000))
    facts = SweepFacts(full=True, candidates=keys, off_list=keys, drift=tuple(map(str, range(10_000))))
    assert len(orjson.dumps(facts.as_json())) < 500_000
    assert stored(facts).candidates == keys[:MOST_KEYS]
    assert stored(facts).drift[-1] == f"{10_000 - MOST_EVENTS} more events"


def test_rows_that_the_bound_left_out_are_confirmed_later_and_not_deleted_at_once_i2():
    """An hour later a second sweep misses the same 20,000 rows. It deletes those that the first one named."""
    known = KnownRows({f"cust_{i:05d}": "hash" for i in range(20_000)})
    past, deleted = [], []
    for hour in range(5):
        now = NOW + hour * AGREES_AFTER
        left = decide(Missing(known, "x", 40_000, past, lambda key: Answer.GONE, now))
        named = stored(left.add_to(SweepFacts(full=True)))
        assert set(left.confirmed) <= {key for one in past for key in one.facts.candidates}
        deleted.append(len(left.confirmed))
        for key in left.confirmed:
            del known.hashes[key]
        past.insert(0, PastSweep(str(hour), now, "incomplete", named))
    assert deleted == [0, MOST_KEYS, MOST_KEYS, MOST_KEYS, MOST_KEYS]


@pytest.mark.parametrize(
    "extra", [None, "", "{", "[1]", '{"full": "yes"}', '{"candidates": "abc"}', '{"session": [1], "later": 2}', b"\xff"]
)
def test_what_is_not_a_fact_proves_nothing_i9(extra):
    assert SweepFacts.from_json(json_object(extra)) == SweepFacts()


def test_an_hour_of_sweeps_is_needed_for_a_large_share_however_few_are_read_i2():
    known = KnownRows({f"cust_{i}": "hash" for i in range(50)})
    facts = SweepFacts(full=True, candidates=tuple(known.hashes))
    past = [PastSweep(str(i), NOW - timedelta(seconds=i), "incomplete", facts) for i in range(100)]
    assert decide(Missing(known, "x", 10, past, lambda key: Answer.GONE, NOW)).confirmed == []


def test_descriptions_are_no_settings_and_filters_of_that_name_are():
    settings = resolve_settings({"client_id": "app_x", "client_secret": "secret_x"})
    described = replace(PRIVATE_OFFERS, description="other words")
    filtered = replace(PRIVATE_OFFERS, filters={"description": "search"})
    same = digest_settings(PRIVATE_OFFERS, settings)
    assert digest_settings(described, settings) == same
    assert digest_settings(filtered, settings) != digest_settings(replace(filtered, filters={}), settings)
