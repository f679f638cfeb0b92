"""I9, I1: any order of syncs over databases that come and go; each complete one is right, and none gets stuck.

SEQUENCES sets the number of sequences of the long form.
"""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from automatum.api.session import connect
from automatum.config.settings import resolve_settings
from automatum.endpoints import CUSTOMERS
from automatum.sync.list_sync import ListSync
from tests.support.clocks import FakeClock
from tests.support.many_databases import Machine

SEQUENCES = int(os.environ.get("SEQUENCES", "4"))

names = st.sampled_from("ab")
tables = st.sampled_from([(), ("customers",), ("customers", "private_offers"), ("entitlements",)])
syncs = st.fixed_dictionaries(
    {
        "name": names,
        "tables": tables,
        "history": st.booleans(),
        "rows": st.sampled_from([100, 25_000]),
        "requests": st.sampled_from([None, None, 3, 4]),
        "key": st.sampled_from([None, None, None, "uuid"]),
        "kill": st.sampled_from([None, None, "extract", "normalize", "load"]),
        "after": st.booleans(),
    }
)
WHOLE = {"name": "a", "tables": (), "history": False, "rows": 100, "requests": None, "key": None, "kill": None}
DROPS = (
    "DROP TABLE automatum.customers",
    "DROP TABLE automatum.entitlement_dimensions",
    "DROP TABLE automatum._automatum_sweeps",
    "DROP TABLE automatum._automatum_pages",
    "DROP TABLE automatum._dlt_loads",
    "DROP SCHEMA automatum CASCADE",
    "DROP SCHEMA automatum_staging CASCADE",
    "ALTER TABLE automatum.customers DROP COLUMN IF EXISTS vendor",
    "DELETE FROM automatum.customers",
)
steps = st.one_of(
    st.tuples(st.just("sync"), syncs),
    st.tuples(st.just("sync"), syncs),
    st.tuples(st.just("delete"), names),
    st.tuples(st.just("swap"), st.none()),
    st.tuples(st.just("copy"), st.sampled_from([("a", "b"), ("b", "a")])),
    st.tuples(st.just("change"), st.none()),
    st.tuples(st.just("execute"), st.tuples(names, st.sampled_from(DROPS))),
)


def follow(shared, sequence):
    with tempfile.TemporaryDirectory() as folder, Machine(Path(folder), shared) as machine:
        for step, argument in sequence:
            if step == "sync":
                machine.sync(**argument)
            else:
                machine.log.append(f"{step} {argument}")
                arguments = () if argument is None else argument if isinstance(argument, tuple) else (argument,)
                getattr(machine, step)(*arguments)
        for name in "ab":
            # A resumed sync may leave out a table that it has read before; the next one reads all of them.
            codes = [machine.sync(name), machine.sync(name)]
            assert codes == [0, 0], machine.log


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
@settings(
    max_examples=SEQUENCES, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck), derandomize=False
)
@given(sequence=st.lists(steps, min_size=3, max_size=7))
@example(sequence=[("sync", {**WHOLE, "requests": 3}), ("swap", None), ("sync", WHOLE), ("change", None)])  # S14
def test_any_order_of_syncs_ends_well_and_is_right_i9(shared, sequence):
    follow(shared, sequence)


@pytest.mark.slow
def test_two_databases_a_kill_and_a_file_that_is_made_again_i9():
    """The short form."""
    with tempfile.TemporaryDirectory() as folder, Machine(Path(folder), True) as machine:
        assert machine.sync("a", ("customers",), rows=100) == 0
        assert machine.sync("b", ("customers",), kill="load") is None
        machine.delete("b")
        assert machine.sync("b", ("customers",)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [{"key": "uuid"}, {"total": ""}])
def test_a_wrong_setting_that_is_set_back_in_an_interrupted_sync_is_used_i9(wrong):
    """Neither the pages that the run with the wrong setting has read count for the right one, nor its verdict."""
    with tempfile.TemporaryDirectory() as folder, Machine(Path(folder), True) as machine:
        assert machine.sync("a", ("entitlements",), rows=100) == 0
        assert machine.sync("a", **wrong, rows=100, requests=3) == 75, machine.log
        assert machine.sync("a") == 0, machine.log


def test_each_setting_of_an_endpoint_counts_as_read_by_another():
    served = {"client_id": "app_1", "client_secret": "secret_1234567", "base_url": "http://127.0.0.1:1"}
    session = connect(resolve_settings(served), clock=FakeClock())
    columns = tuple(replace(one, type="text") if one.type == "timestamp" else one for one in CUSTOMERS.columns)
    others = [{}, {"columns": columns}, {"total": ""}, {"key": ("email",)}]
    found = [ListSync(replace(CUSTOMERS, **changed), session).read_by for changed in others]
    assert found[0] == ListSync(CUSTOMERS, session).read_by
    assert len(set(found)) == len(others)
