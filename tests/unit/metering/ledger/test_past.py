"""The past of a push is read for so many customers at a time."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from automatum.metering.ledger.batches import MOST
from automatum.metering.ledger.past import by_customers
from tests.support.examples import examples
from tests.support.metering_lines import make_line

LINES = [make_line(customer=f"cust_{number}") for number in range(2 * MOST + 1)]


@given(st.lists(st.integers(0, 2 * MOST), max_size=50), st.integers(0, 2 * MOST + 1))
@settings(max_examples=examples(50))
def test_i5_each_line_is_in_one_batch_with_its_whole_customer(further, customers):
    lines = [*LINES[:customers], *(LINES[number] for number in further)]
    batches = list(by_customers(lines))
    assert Counter(line.customer_id for batch in batches for line in batch) == Counter(one.customer_id for one in lines)
    named = [{line.customer_id for line in batch} for batch in batches]
    assert all(0 < len(some) <= MOST for some in named)
    assert sum(map(len, named)) == len(set().union(*named)), "no customer is in two batches"


def test_the_lines_of_few_customers_keep_their_order():
    lines = [LINES[number] for number in (2, 1, 2, 0)]
    assert [list(batch) for batch in by_customers(lines)] == [lines]
