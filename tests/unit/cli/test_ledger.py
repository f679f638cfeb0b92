"""What the commands of the ledger say to do next."""

import pytest

from automatum.cli.ledger import what_is_missing


@pytest.mark.parametrize("last", ["2026-11-27T10:00:00Z", None])
def test_a_restore_says_which_calls_may_be_missing_i5(last):
    """An export of lines that were never sent has no last call."""
    said = what_is_missing(last)
    assert (last or "The export has no call") in said
    assert "None" not in said
