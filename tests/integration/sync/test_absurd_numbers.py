"""I1: an announced number that makes no sense is refused at the first page, and the list is not read for ever."""

import pytest

from automatum.api.pages import MOST_ANNOUNCED
from automatum.sync.reading import MOST_IDLE
from tests.support import hostile
from tests.support.desk import WIDE_LIMITS
from tests.support.loopback import Loopback, Say, token
from tests.support.raw_server import RawServer


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


@pytest.mark.slow
@pytest.mark.parametrize("named", [False, True])
def test_pages_of_known_rows_without_end_are_not_read_for_ever(desk, api, named):
    """I3. Two contents take turns, so no page repeats the one before it or the first one for long."""
    numbers = {"total": MOST_ANNOUNCED, "pages": MOST_ANNOUNCED} if named else {"total": 10_000, "pages": 100}

    def answer(target, number):
        return hostile.listed(hostile.customers(3 * (hostile.page_of(target) % 2)), **numbers)

    with RawServer(hostile.by_request(answer)) as endless:
        desk.set(base_url=endless.url, application_limits=WIDE_LIMITS)
        made = desk.sync("customers", "--max-requests", "60")
    assert made.code == 65, made
    extra = 4  # A page that is shorter than announced, or is another page, is read again.
    assert made.json["requests"] <= 2 + MOST_IDLE + extra
    assert "sources.automatum.endpoints.customers.page_size" in made.says
