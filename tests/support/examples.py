"""How much the loop of `make test` tries: a fifth of the examples of a property, a sample of a long list of cases."""

import os
from collections import defaultdict
from zlib import crc32

import pytest

_SHARE = 5 if os.environ.get("EXAMPLES") == "few" else 1


def examples(most: int) -> int:
    """The number of examples of a test that has so many in `make test-all`."""
    return max(1, most // _SHARE)


def leave_cases_to_test_all(items):
    """Mark as slow all cases of a test but so many as its mark `sample(N)` says; always the same ones."""
    tests = defaultdict(list)
    for item in items:
        if mark := item.get_closest_marker("sample"):
            tests[item.nodeid.partition("[")[0], mark.args[0]].append(item)
    for (_, most), cases in tests.items():
        for item in sorted(cases, key=lambda item: crc32(item.nodeid.encode()))[most:]:
            item.add_marker(pytest.mark.slow)
