"""I5: whatever a metering API answers, a line is `accepted` only if the server took it.

`docs/internals/fidelity.md` shows what each comes to; `make fidelity` writes it.
"""

import pytest

from tests.support.shapes import page
from tests.support.shapes.metering import SHAPES, push
from tests.support.shapes.server import serve


def _cells(shapes):
    return [pytest.param(one, id=one.name) for one in shapes]


@pytest.mark.sample(8)
@pytest.mark.parametrize("shape", _cells(SHAPES))
def test_without_settings_nothing_is_booked_without_a_known_yes(shape, tmp_path):
    """I5: what was not taken is not `accepted`; what may have been taken is not lost; the exit code says so."""
    with serve(shape.api()) as api:
        pushed = push(api, tmp_path)
    booked = {dimension for dimension, state in pushed.states.items() if state == "accepted"}
    assert booked <= set(api.taken), pushed
    assert not [one for one in api.taken if pushed.states[one] not in ("accepted", "unknown")], pushed
    assert (pushed.code == 0) == (len(booked) == 3), pushed
    assert pushed.code == 0 or shape.names in pushed.says, pushed
    page.check(shape, page.of_push(shape, pushed), configured=False)


@pytest.mark.sample(3)
@pytest.mark.parametrize("shape", _cells([one for one in SHAPES if one.settings]))
def test_with_its_setting_all_usage_is_accepted_once(shape, tmp_path):
    """I5: each line is sent once, and booked."""
    with serve(shape.api()) as api:
        pushed = push(api, tmp_path, **shape.settings)
    assert set(pushed.states.values()) == {"accepted"}, pushed
    assert sorted(api.taken) == sorted(pushed.states), pushed
    page.check(shape, page.of_push(shape, pushed), configured=True)
