"""The ranking of exit codes."""

import pytest

from automatum.core.errors import worst_exit_code


@pytest.mark.parametrize(
    ("codes", "worst"),
    [
        ([], 0),
        ([0, 0], 0),
        ([0, 75], 75),
        ([75, 65], 65),
        ([65, 69], 69),
        ([69, 70], 70),
        ([70, 77], 77),
        ([77, 78, 0], 78),
    ],
)
def test_the_worst_exit_code_is_the_first_that_needs_a_person(codes, worst):
    assert worst_exit_code(codes) == worst
    assert worst_exit_code(reversed(codes)) == worst
