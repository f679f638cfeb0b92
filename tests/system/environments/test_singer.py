"""Meltano's standard tests of taps, over a thin adapter of the source (`tests/support/singer_suite.py`).

All of them apply and none is left out. Two things of Singer's have no counterpart: the tables of lists within a record
(`entitlement_dimensions`, `private_offer_payments`) are no streams, because Singer cannot remove the rows of one
record; and no stream has a replication key, because the API has no filter for what has changed.
"""

import re

import pytest

from automatum_sandbox import AppConfig
from tests.support import ROOT
from tests.support.desk import SMALL, WIDE_LIMITS
from tests.support.environments import NEWEST, Environment, python_of

SECRET = "canary_of_the_client_secret"


@pytest.mark.slow
def test_meltanos_standard_tests_of_a_tap_pass_i10(tmp_path, start):
    served = start(**SMALL, apps=(AppConfig(client_secret=SECRET),))
    user = Environment(tmp_path / "env", python_of(NEWEST, max))
    user.install("-r", ROOT / "sources/automatum/requirements.txt", "singer-sdk[testing]>=0.54,<0.55")
    suite = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--noconftest", "-c", "/dev/null")
    said = user.run(
        *suite,
        ROOT / "tests/support/singer_suite.py",
        cwd=tmp_path,
        PYTHONPATH=str(ROOT / "sources"),
        BASE_URL=served.base_url,
        CLIENT_ID=served.client_id,
        CLIENT_SECRET=SECRET,
        SOURCES__AUTOMATUM__APPLICATION_LIMITS=WIDE_LIMITS,
    )
    passed = re.search(r"^(\d+) passed in ", said, re.MULTILINE)
    assert passed and int(passed[1]) >= 60, said
    assert served.sandbox.requests.to("/api/v1/") and SECRET not in said
