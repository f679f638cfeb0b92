"""I1: an announced number that makes no sense is refused at the first page, and the list is not read for ever."""

import pytest

from automatum.api.paging import MOST_ANNOUNCED
from tests.support.loopback import Loopback, Say, token


@pytest.fixture
def api(desk):
    with Loopback() as one:
        one.say("/oauth/token", token(scope="read:customers"))
        desk.set(base_url=one.url, client_id="app_1", client_secret="secret_absurd_1", quota_url="memory://")
        yield one


@pytest.mark.slow
def test_a_total_beyond_all_lists_is_refused(desk, api):
    api.say("/api/v1/customers", Say(body={"data": [{"id": "c1"}], "pagination": {"total": "9" * 5000}}))
    made = desk.sync("customers")
    assert made.code == 78, made
    assert len(api.to("/api/v1/customers")) == 1
    assert "sources.automatum.endpoints.customers.total" in made.says


@pytest.mark.slow
def test_a_list_whose_announced_pages_are_empty_ends_soon(desk, api):
    """I3. Two empty pages end a list, however many it announces; it is not read a second time."""
    numbers = {"total": MOST_ANNOUNCED, "pages": MOST_ANNOUNCED}
    api.say("/api/v1/customers", Say(body={"code": 200, "data": [], "pagination": numbers}))
    made = desk.sync("customers")
    assert made.code == 65, made
    assert len(api.to("/api/v1/customers")) < 60
