"""Where an answer has its records, and its shape in words that show no value."""

from hypothesis import given
from hypothesis import strategies as st

from automatum.operations.answer_shape import find_lists, find_object, safe_name, shape_of

ROWS = [{"id": "a"}, {"id": "b"}]


def test_the_longest_list_of_objects_comes_first():
    body = {"errors": [], "data": {"items": ROWS, "tags": ["x", "y", "z"], "facets": [{"name": "a"}]}}
    assert find_lists(body) == ["data.items", "data.facets", "errors"]
    assert find_lists({"$": ROWS}) == ["$"]
    assert find_lists({"data": None}) == []


def test_the_object_that_has_the_id():
    assert find_object({"code": 200, "data": {"id": 7}}, "7", "id") == "data"
    assert find_object({"id": "a"}, "a", "id") == "$"
    assert find_object({"data": {"customer": {"meta": {"id": "a"}}}}, "a", "meta.id") == "data.customer"
    assert find_object({"data": [{"id": "a"}]}, "a", "id") == ""


def test_a_shape_has_names_and_types():
    body = {"code": 200, "data": [{"id": "secret value", "n": None, "flag": True, "inner": {"a": 1}}], "next": ""}
    assert shape_of(body, 4) == (
        "{code: number, data: list of 1 {id: text, n: null, flag: true or false, inner: {a: number}}, next: text}"
    )


def test_names_that_look_like_values_are_not_shown():
    assert safe_name("plan.tier") == "plan.tier"
    assert safe_name("cust_00012345.name") == "<name>.name"
    for name in ("c@example", "Jane Doe", "+49 30 1234", "2026-01-15"):
        assert safe_name(name) == "<name>"


@given(
    st.recursive(
        st.none() | st.text("#€ß", min_size=1) | st.integers(10**6),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("#€ß"), inner),
    )
)
def test_no_value_and_no_odd_name_is_in_a_shape(value):
    shown = shape_of(value, 6)
    assert not set(shown) & set("#€ß")
    assert not any(part.isdigit() and int(part) >= 10**6 for part in shown.split())
