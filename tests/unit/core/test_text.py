"""Text from outside that is made safe to print."""

import json
import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from automatum.core.text import escape_json, printable

OBEYED = frozenset({"Cc", "Cf", "Zl", "Zp"})


def obeyed(text):
    return {one for one in text if unicodedata.category(one) in OBEYED} - {"\n", "\t"}


@given(text=st.text())
def test_nothing_that_a_terminal_obeys_is_left(text):
    """ESC, C1, bidirectional and zero-width characters; letters of any script stay."""
    assert not obeyed(printable(text))
    if not obeyed(text):
        assert printable(text) == text


@settings(max_examples=25)
@given(
    value=st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_escaped_json_says_the_same_and_nothing_in_it_is_obeyed(value):
    for indent in (None, 2):
        text = escape_json(json.dumps(value, ensure_ascii=False, indent=indent))
        assert json.loads(text) == value
        assert not obeyed(text)
