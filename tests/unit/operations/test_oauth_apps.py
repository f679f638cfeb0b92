"""I6, I8: answers about OAuth applications of any depth."""

import json

from automatum.operations.applications import _application
from automatum.operations.rotate_secret import _find_secrets


def nested(inside, levels):
    for number in range(levels):
        inside = {"a": inside} if number % 2 else [inside]
    return inside


def test_an_application_of_any_depth_is_passed_on_as_far_as_json_can_be_written():
    made = _application({"id": "app_1", "name": "x", "deep": nested({"clientSecret": "secret_deep_1"}, 5000)})
    assert made.title == "app_1 x"
    assert "nested too deeply" in json.dumps(made.record)
    assert "secret_deep_1" not in json.dumps(made.record)


def test_a_secret_is_found_at_any_depth():
    """The rotation must not lose it."""
    text = b'{"a":[' * 200 + b'{"clientSecret":"secret_deep_1"}' + b"]}" * 200
    assert _find_secrets(text, "secret_old_1") == ["secret_deep_1"]


def test_words_about_secrets_and_the_old_secret_are_not_taken_for_one():
    said = {"message": "The secret was regenerated", "data": {"secret": "is shown once", "hint": "secret_x"}}
    assert _find_secrets(json.dumps(said).encode(), "") == []
    assert _find_secrets(b'{"clientSecret": "secret_old_1"}', "secret_old_1") == []
