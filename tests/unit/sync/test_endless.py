"""I1, I3: a list without an end is refused with the setting to correct; a long one, or one that moves, is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automatum.core.errors import ConfigurationError
from automatum.endpoints import CUSTOMERS
from automatum.sync.endless import MOST_IDLE, MOST_TIMES, EndlessList


@given(
    # New rows of a page, and how many pages without one follow it. Pages drawn one by one have no long rows of zeros.
    st.lists(st.tuples(st.sampled_from((0, 1, 100)), st.integers(0, 2 * MOST_IDLE)), min_size=1, max_size=6),
    st.one_of(st.none(), st.sampled_from((0, 3, 250, 10_000, 10**9))),
)
def test_pages_without_a_new_row_end_it_and_only_these_i3(turns, announced):
    bound, distinct, idle = EndlessList(CUSTOMERS), 0, 0
    for new in (new for first, idle_pages in turns for new in (first, *[0] * idle_pages)):
        distinct += new
        idle = 0 if new else idle + 1
        if idle < MOST_IDLE + distinct // 100:
            bound.check(new, distinct, announced)
            continue
        with pytest.raises(ConfigurationError, match=r"customers\.parameters.* pages in a row without a new row"):
            bound.check(new, distinct, announced)


@pytest.mark.parametrize(("announced", "most"), [(0, 100_000), (250, 250_000), (10_000, 10_000_000)])
def test_far_more_rows_than_announced_end_it(announced, most):
    assert most == MOST_TIMES * max(announced, 100)
    bound = EndlessList(CUSTOMERS)
    bound.check(100, most, announced)
    with pytest.raises(ConfigurationError, match=rf"customers\.total: .*announces {announced:,} rows"):
        bound.check(100, most + 1, announced)


def test_without_a_total_the_limits_of_the_run_bound_it():
    EndlessList(CUSTOMERS).check(100, 10**9, None)
