"""How many examples a property test tries: all of them in `make test-all`, a fifth in the loop of `make test`."""

import os

_SHARE = 5 if os.environ.get("EXAMPLES") == "few" else 1


def examples(most: int) -> int:
    """The number of examples of a test that has so many in `make test-all`."""
    return max(1, most // _SHARE)
