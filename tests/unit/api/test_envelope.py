"""I2: a 2xx whose body does not say yes is not an empty list."""

import pytest

from automatum.api.envelope import failure_in, unknown_word


@pytest.mark.parametrize(
    "body",
    [
        {"code": "ERROR", "data": []},
        {"code": "RATE_LIMITED", "message": "slow down"},
        {"success": False, "data": []},
        {"success": "false", "message": "no"},
        {"ok": False, "error": "x"},
        {"status": "error", "message": "no", "data": None},
        {"status": "FAILED", "data": []},
        {"errors": [{"message": "no"}], "data": []},
        {"errors": {"a": "b"}, "data": None},
    ],
)
def test_a_body_that_says_no(body):
    assert unknown_word(body, ()) or failure_in(body)


@pytest.mark.parametrize(
    "body",
    [
        {"code": "200", "data": []},
        {"code": 200, "data": []},
        {"code": "", "data": []},
        {"code": "Success", "data": []},
        {"code": "done", "data": []},
        {"status": "ok", "data": []},
        {"success": True, "data": []},
        {"success": None, "data": []},
        {"errors": [], "data": []},
        {"errors": ["warning"], "data": [{"id": 1}]},
        {"items": [], "code": "EUR"},
        {"id": "a", "status": "failed", "message": "x", "code": "EUR", "success": False},
    ],
)
def test_a_body_that_does_not_say_no(body):
    assert unknown_word(body, ("DONE", 0)) is None
    assert failure_in(body) is None
