"""I2 and I9: what a sweep leaves for the next one is bounded; what is stored in its place by others is no error."""

import json
from dataclasses import replace

import orjson
import pytest

from automatum.config.settings import resolve_settings
from automatum.endpoints import PRIVATE_OFFERS
from automatum.schema.json_text import dumps
from automatum.sync.facts import MOST_EVENTS, MOST_KEYS, SweepFacts, digest_settings
from automatum.warehouse.sql import json_object


def stored(facts):
    return SweepFacts.from_json(json_object(dumps(facts.to_json())))


def test_the_facts_are_read_as_they_were_stored():
    facts = SweepFacts(True, drift=("moved",), candidates=("a",), off_list=("b",), session={"id": "x"})
    assert stored(facts) == facts


def test_a_row_of_a_sweep_stays_small_however_much_is_missing_i2():
    keys = tuple(f"cust_{i:032d}" for i in range(20_000))
    facts = SweepFacts(full=True, candidates=keys, off_list=keys, drift=tuple(map(str, range(10_000))))
    assert len(orjson.dumps(facts.to_json())) < 500_000
    assert stored(facts).candidates == keys[:MOST_KEYS]
    assert stored(facts).drift[-1] == f"{10_000 - MOST_EVENTS} more events"


@pytest.mark.parametrize(
    "extra", [None, "", "{", "[1]", '{"full": "yes"}', '{"candidates": "abc"}', '{"session": [1], "later": 2}', b"\xff"]
)
def test_what_is_not_a_fact_proves_nothing_i9(extra):
    assert SweepFacts.from_json(json_object(extra)) == SweepFacts()


def test_another_path_is_another_setting():
    settings = resolve_settings({"client_id": "app_x", "client_secret": "secret_x"})
    same = digest_settings(PRIVATE_OFFERS, settings)
    assert digest_settings(replace(PRIVATE_OFFERS, path="offers"), settings) != same


def test_facts_keep_their_keys_and_leave_out_defaults():
    facts = SweepFacts(full=True, candidates=("a",), session={"id": "s", "tables": ["customers"]})
    told = {"full": True, "candidates": ["a"], "session": {"id": "s", "tables": ["customers"]}}
    assert json.loads(json.dumps(facts.to_json())) == told
    assert SweepFacts.from_json({**told, "of a later version": 1}) == facts
    assert SweepFacts().to_json() == {}
