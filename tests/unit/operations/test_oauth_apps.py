"""I6, I8: answers about OAuth applications of any depth."""

import json

from automatum.operations.oauth_apps import _application, find_secrets, names_in


def nested(inside, levels):
    for number in range(levels):
        inside = {"a": inside} if number % 2 else [inside]
    return inside


def test_an_application_of_any_depth_is_passed_on_as_far_as_json_can_be_written():
    made = _application({"id": "app_1", "name": "x", "deep": nested({"clientSecret": "secret_deep_1"}, 5000)})
    assert made.name == "x"
    assert "nested too deeply" in json.dumps(made.record)
    assert "secret_deep_1" not in json.dumps(made.record)


def test_a_secret_is_found_at_any_depth():
    """The rotation must not lose it."""
    text = b'{"a":[' * 200 + b'{"clientSecret":"secret_deep_1"}' + b"]}" * 200
    assert find_secrets(text, "secret_old_1") == ["secret_deep_1"]
    assert names_in(text)


def test_the_texts_come_in_the_order_of_the_answer():
    body = {"data": [{"secret": {"value": "secret_first1"}}, {"clientSecret": "secret_second2"}]}
    assert find_secrets(json.dumps(body).encode(), "") == ["secret_first1", "secret_second2"]
