"""I1, I5: hours of syncs and pushes, with faults, changes and kills, end in exact tables, and nothing is billed twice.

`SOAK_DAYS=60` is the long form (`make soak`); `SOAK_MINUTES` ends it after so many real minutes.
"""

import os
import random

import pytest

from tests.support.destinations.places import DuckDb, Postgres
from tests.support.soak import Soak

DAYS = float(os.environ.get("SOAK_DAYS", "0"))
MINUTES = float(os.environ.get("SOAK_MINUTES") or "inf")
SEED = int(os.environ.get("SOAK_SEED") or random.randrange(1_000_000))
PLACES = [(DuckDb("DuckDB", ""), 6), (Postgres("Postgres", ""), 2)]


@pytest.mark.slow
@pytest.mark.parametrize(("place", "hours"), PLACES, ids=lambda one: getattr(one, "name", None))
def test_days_of_faults_changes_and_kills_end_exact_i1_i5(place, hours, tmp_path):
    print(f"SOAK_SEED={SEED}")
    place.open(tmp_path)
    url = None
    if isinstance(place, Postgres):
        url = place._server.url(place._server.new_database())
    try:
        with Soak(tmp_path, place, SEED, url) as soak:
            soak.run(DAYS * 24 or hours, minutes=MINUTES)
            print(f"\n{place.name}\n{soak.report()}\nlines: {soak.billing()}")
            wrong = soak.wrong()
            assert not wrong, (SEED, len(wrong), wrong[:5])
            first, last = soak.figures[0][1], soak.figures[-1][1]
            # Sessions of this process that Python has not collected yet; both ends of their connections are here.
            assert last["descriptors"] <= first["descriptors"] + 200, SEED
            assert last["files of the folder"] <= first["files of the folder"] + 40, SEED
            assert soak.faults, SEED
    finally:
        place.close()
