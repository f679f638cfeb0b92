"""I1, I2, I3 on every destination: one life of a dataset, read back without the connector's code.

`make test-all` runs what is marked `always`. `make destinations` runs all of it, and fills the table of
docs/destinations.md.
"""

import os
from importlib.util import find_spec

import pytest

from tests.support.destinations.page import keep
from tests.support.destinations.places import PLACES
from tests.support.destinations.scenario import CASES, SHORT, VOLUME, Life, live
from tests.support.syncing import Site


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_a_dataset_lives_as_the_api_does(place, tmp_path, request):
    everything = os.environ.get("DESTINATIONS") == "all"
    if not (place.always or everything):
        pytest.skip("make destinations")
    if place.needs and find_spec(place.needs) is None:
        pytest.skip(f"make destinations: needs {place.needs}")
    place.open(tmp_path)
    try:
        with Site(tmp_path) as site:
            site.serve(**VOLUME)
            life = Life(site, place, short=not everything and place.always == "short")
            held = list(live(life))
    finally:
        place.close()
    assert held == list(CASES[:SHORT] if life.short else CASES)
    if request.config.getoption("--write-table", default=False) and not life.short:
        keep("tested", place.name, dict.fromkeys(CASES, "yes"), [one.name for one in PLACES])
