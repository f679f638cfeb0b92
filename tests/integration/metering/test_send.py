"""I5: whatever an API answers, each line ends in the designed state, and what may have been taken is not sent again."""

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from automatum.metering.send import UNKNOWN_PAUSE
from tests.support.loopback import Loopback, Say, error
from tests.support.postgres import postgres, running  # noqa: F401  the fixture
from tests.support.pushing import (
    METERING,
    NOON,
    YES,
    Api,
    Books,
    cost,
    cost_of_bodies,
    first,
    hour_of,
    keys_of,
    keys_of_bodies,
    money,
)

CUSTOMERS = 5


def usage(customers=CUSTOMERS, dimensions=2):
    """One body for each customer, in the order of their names; no two lines have the same units."""
    at = (hour_of(NOON, 2) + timedelta(minutes=10)).isoformat()
    return [
        {
            "customer_id": f"cust_{customer}",
            "listing_id": "list_1",
            "vendor": "aws",
            "dimension": f"dim_{dimension:02}",
            "units": f"{customer * 100 + dimension}.5",
            "price": "0.013",
            "usage_at": at,
        }
        for customer in range(1, customers + 1)
        for dimension in range(dimensions)
    ]


def check_money(books, summary):
    """What the push says, what the ledger holds, and what its attempts say, to the last digit."""
    assert money(summary) == books.accepted()
    attempts = [one for one in books.attempts() if one["state"] == "accepted"]
    assert sum((Fraction(one["units"]) * Fraction(one["price"]) for one in attempts), Fraction(0)) == books.accepted()


def check_once(api, rows):
    """By the server's log: no line twice, nothing that was not asked for."""
    seen = keys_of_bodies(api.taken)
    assert max(seen.values(), default=0) <= 1, "a line was taken twice"
    assert seen <= keys_of(rows)


def push_again(api, books, rows):
    """Push the same usage at an API that is well again. Nothing goes out that it may have."""
    found = list(zip(rows, states_of(books, rows), strict=True))
    untouchable = keys_of([row for row, state in found if state in ("unknown", "accepted", "conflict")])
    refused = keys_of([row for row, state in found if state == "unbilled"])
    before = len(api.bodies)
    api.decide = lambda number, body: (True, Say(202, YES))
    summary = books.push(rows)
    sent = keys_of_bodies(api.bodies[before:])
    assert not sent & untouchable, "what may have been taken was sent again"
    assert not sent & refused, "what was refused was sent again unchanged"
    assert sent == keys_of(rows) - untouchable - refused
    check_once(api, rows)
    return summary


def states_of(books, rows):
    """The state of the line of each row; the units tell them apart."""
    entries = books.entries()
    found = [entries.get(Decimal(row["units"])) for row in rows]
    return ["not sent" if entry is None else entry.state for entry in found]


def fault(name, message="is wrong"):
    return {"field": name, "message": message}


@dataclass
class Case:
    """What an API makes of the first body, and what is to become of its lines.

    Attributes:
        taken: Whether the API has taken it, whatever it answers.
        say: Its answer.
        state: Of the first body's lines.
        status: Status code that their last attempt holds.
    """

    name: str
    taken: bool
    say: Say
    state: str
    status: int | None = None
    more: dict = field(default_factory=dict)


CASES = [
    Case("200", True, Say(200, {"code": 200, "data": {"id": "m_1"}}), "accepted", 200),
    Case("201", True, Say(201, {"code": 201, "data": {}}), "accepted", 201),
    Case("202", True, Say(202, YES), "accepted", 202),
    Case("201 without a body", True, Say(201, b""), "unknown", 201),
    Case("202 without a body", True, Say(202, b""), "unknown", 202),
    Case("204", True, Say(204, b""), "unknown", 204),
    Case("200 without a body", True, Say(200, b""), "unknown", 200),
    Case("202 with status failed", False, Say(202, {"code": 202, "data": {"status": "failed"}}), "unknown", 202),
    Case("202 with a message that refuses", False, Say(202, {**YES, "message": "Rejected by AWS"}), "unknown", 202),
    Case("202 with UnprocessedRecords", False, Say(202, {**YES, "UnprocessedRecords": [{}, {"a": 1}]}), "unknown", 202),
    Case("200 with JSend's fail", False, Say(200, {"status": "fail", "data": {}}), "unknown", 200),
    Case("202 with a no for each usage", False, Say(202, {"code": 202, "data": {"results": [
        {"apiKey": "dim_00", "status": "failed"}, {"apiKey": "dim_01", "status": "rejected"}]}}), "unknown", 202),
    Case("202 with duplicates", True, Say(202, {"code": 202, "data": {"results": [
        {"apiKey": "dim_00", "status": "duplicate"}, {"apiKey": "dim_01", "status": "duplicate"}]}}), "unknown", 202),
    Case("207 without results", False, Say(207, {**YES, "code": 207}), "unknown", 207),
    Case("202 with the text queued", True, Say(202, b"queued"), "unknown", 202),
    Case("200 with an empty object", True, Say(200, {}), "unknown", 200),
    Case("200 with an unknown status", True, Say(200, {"code": 200, "data": {"status": "in review"}}), "unknown", 200),
    Case("200 with a status of the setting", True, Say(200, {"code": 200, "data": {"status": "in review"}}),
         "accepted", 200, {"metering_yes_words": ["In review"]}),
    Case("202 with text of the setting", True, Say(202, b"queued"), "unknown", 202,
         {"metering_yes_words": ["queued"]}),
    Case("answer dropped after acceptance", True, Say(reset=True), "unknown"),
    Case("reset before acceptance", False, Say(reset=True), "unknown"),
    Case("500 after acceptance", True, error(500, "Internal error"), "unknown", 500),
    Case("502 before acceptance", False, error(502, "Bad gateway"), "unknown", 502),
    Case("503 with Retry-After", False, error(503, "Busy", headers={"Retry-After": "1"}), "unknown", 503),
    Case("408", True, error(408, "Timeout"), "unknown", 408),
    Case("envelope code 500 under 200", True, Say(200, {"code": 500, "message": "Internal"}), "unknown", 500),
    Case("envelope code 400 under 200", False, Say(200, {"code": 400, "message": "Bad"}), "unbilled", 400),
    Case("envelope code 409 under 200", True, Say(200, {"code": 409, "message": "Duplicate", "errors": [
        fault("details.usages[0]"), fault("details.usages[1]")]}), "conflict", 409),
    Case("HTML under 200", True, Say(200, b"<html><body>Soon back</body></html>"), "unknown", 200),
    Case("no JSON object under 200", True, Say(200, b"[1, 2]"), "unknown", 200),
    Case("truncated answer", True, Say(202, YES, cut=5), "unknown"),
    Case("truncated chunks", True, Say(202, YES, cut=5, chunked=True), "unknown"),
    Case("no answer in time", True, Say(hang=True), "unknown", more={"request_timeout": 0.25}),
    Case("400 without fields", False, error(400, "Malformed"), "unbilled", 400),
    Case("400 about the body", False, error(400, "Bad", errors=[fault("details.customer.id")]), "unbilled", 400),
    Case("400 of a proxy", False, Say(400, b"<html>Bad request</html>"), "unknown", 400),
    Case("400 with data", True, Say(400, {"code": 400, "message": "Bad", "data": {"accepted": 1}}), "unknown", 400),
    Case("404 with data", True, Say(404, {"code": 404, "data": {"accepted": ["dim_00"]}}), "unknown", 404),
    Case("422 without fields", False, error(422, "No"), "unbilled", 422),
    Case("409 about all", True, error(409, "Duplicate", errors=[
        fault("details.usages[0]"), fault("details.usages[1]")]), "conflict", 409),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_each_answer_leads_to_its_state(case, tmp_path):
    rows = usage()
    mine = [row for row in rows if row["customer_id"] == "cust_1"]
    with Api(first(case.taken, case.say)) as api:
        books = Books(api.url, tmp_path, **case.more)
        summary = books.push(rows)
        others = len(rows) - len(mine)
        assert set(states_of(books, mine)) == {case.state}
        accepted = len(rows) if case.state == "accepted" else others
        assert summary.lines == {
            **dict.fromkeys(summary.lines, 0),
            **({} if case.state == "accepted" else {case.state.replace("unbilled", "rejected"): len(mine)}),
            "accepted": accepted,
        }
        assert money(summary) == cost(rows if case.state == "accepted" else rows[len(mine) :])
        assert (summary.requests, len(api.bodies), summary.sent.bodies) == (CUSTOMERS, CUSTOMERS, CUSTOMERS)
        assert summary.exit_code == (0 if case.state == "accepted" else 65)
        assert books.clock.slept == 0, "nothing is to be waited for"
        check_money(books, summary)
        check_once(api, rows)
        entry = books.entries()[Decimal(mine[0]["units"])]
        last = [one for one in books.attempts() if one["line_id"] == entry.id]
        assert [(one["state"], one["status_code"]) for one in last] == [(case.state, case.status)]
        if case.state != "accepted":
            assert entry.error, "nothing is said about why"
            assert entry.accepted_units is None
        again = push_again(api, books, rows)
        assert again.requests == 0
        assert again.exit_code == summary.exit_code


def test_the_api_id_of_a_call_is_kept(tmp_path):
    with Api(first(True, Say(202, {"code": 202, "data": {"id": "meter_7", "status": "queued"}}))) as api:
        books = Books(api.url, tmp_path)
        books.push(usage(1))
        assert {one["reference"] for one in books.attempts()} == {"meter_7"}
        assert all("meter_7" in one["response"] for one in books.attempts())


def test_the_whole_answer_is_kept_where_the_outcome_is_not_known(tmp_path):
    """The person who has to decide sees what the API answered."""
    says = [Say(200, {"verdict": "maybe", "trace": "t-17"}), Say(200, b"<html>Soon\x00back</html>")]
    with Api(lambda number, body: (True, says[number - 1])) as api:
        books = Books(api.url, tmp_path)
        rows = usage(2, 1)
        assert books.push(rows).lines["unknown"] == 2
        kept = [one["response"] for one in books.attempts()]
        assert "t-17" in kept[0] and "Soon" in kept[1] and "\x00" not in kept[1]


@pytest.mark.sample(2)
@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("form", ["details.usages[{}].apiKey", "usages.{}.units", "/details/usages/{}/price"])
def test_three_of_25_usages_are_refused_and_the_other_22_go_out(status, form, tmp_path):
    rows, wrong = usage(1, 25), (3, 11, 24)

    def decide(number, body):
        if number > 1:
            return True, Say(202, YES)
        return False, error(status, "Validation failed", errors=[fault(form.format(one), "no") for one in wrong])

    with Api(decide) as api:
        books = Books(api.url, tmp_path)
        summary = books.push(rows)
        assert [len(body["details"]["usages"]) for body in api.bodies] == [25, 22]
        assert (summary.lines["accepted"], summary.lines["rejected"], summary.requests) == (22, 3, 2)
        good = [row for place, row in enumerate(rows) if place not in wrong]
        assert keys_of_bodies(api.taken) == keys_of(good)
        assert money(summary) == cost(good) == cost_of_bodies(api.taken)
        entries = books.entries()
        assert all("no" in entries[Decimal(rows[place]["units"])].error for place in wrong)
        assert summary.exit_code == 65
        check_money(books, summary)
        assert push_again(api, books, rows).requests == 0
        # Changed rows of those that were refused go out.
        for place in wrong:
            rows[place]["units"] = str(9000 + place)
        last = books.push(rows)
        assert (last.lines["accepted"], last.exit_code) == (3, 0)
        check_once(api, rows)


def test_m10_a_422_with_more_than_a_refusal_sends_nothing_again(tmp_path):
    """The API may have taken the usages that it does not name."""
    rows = usage(1, 4)
    answer = error(422, "Validation failed", errors=[fault("details.usages[1].units")], accepted=3)
    with Api(first(True, answer)) as api:
        books = Books(api.url, tmp_path)
        summary = books.push(rows)
        assert states_of(books, rows) == ["unknown", "unbilled", "unknown", "unknown"]
        assert (summary.requests, summary.exit_code) == (1, 65)
        assert push_again(api, books, rows).requests == 0


def test_a_409_about_some_usages_is_their_conflict_and_the_others_go_out(tmp_path):
    rows = usage(1, 6)
    known = [fault("details.usages[0].apiKey", "exists"), fault("details.usages[4]", "exists")]
    with Api(first(False, error(409, "Conflict", errors=known))) as api:
        books = Books(api.url, tmp_path)
        summary = books.push(rows)
        states = ["conflict", "accepted", "accepted", "accepted", "conflict", "accepted"]
        assert states_of(books, rows) == states
        assert (summary.lines["conflict"], summary.requests, summary.exit_code) == (2, 2, 65)
        assert money(summary) == cost([rows[place] for place in (1, 2, 3, 5)])
        again = push_again(api, books, rows)
        assert (again.lines["conflict"], again.exit_code) == (2, 65)


def test_a_409_without_fields_is_found_by_halves(tmp_path):
    """Two of eight usages are known to the server, which says so of any body that holds one of them."""
    rows = usage(1, 8)
    known = {"dim_02", "dim_07"}

    def decide(number, body):
        bad = known & {one["apiKey"] for one in body["details"]["usages"]}
        return (False, error(409, "Duplicate")) if bad else (True, Say(202, YES))

    with Api(decide) as api:
        books = Books(api.url, tmp_path)
        summary = books.push(rows)
        assert states_of(books, rows) == ["conflict" if row["dimension"] in known else "accepted" for row in rows]
        assert (summary.lines["accepted"], summary.lines["conflict"]) == (6, 2)
        assert keys_of_bodies(api.taken) == keys_of([row for row in rows if row["dimension"] not in known])
        assert summary.requests == len(api.bodies) <= 2 * 2 * 3 + 1
        check_money(books, summary)
        assert push_again(api, books, rows).requests == 0


def test_a_body_that_is_too_large_goes_out_in_smaller_ones(tmp_path):
    rows = usage(2, 10)

    def decide(number, body):
        if len(body["details"]["usages"]) > 3:
            return False, Say(413, b"<html>Request Entity Too Large</html>")
        return True, Say(202, YES)

    with Api(decide) as api:
        books = Books(api.url, tmp_path)
        summary = books.push(rows)
        assert summary.lines["accepted"] == len(rows)
        assert keys_of_bodies(api.taken) == keys_of(rows)
        assert money(summary) == cost(rows) == cost_of_bodies(api.taken)
        assert summary.exit_code == 0
        check_money(books, summary)


def test_a_single_usage_that_is_too_large_is_refused(tmp_path):
    rows = usage(2, 1)
    with Api(first(False, error(413, "Too large"))) as api:
        books = Books(api.url, tmp_path)
        summary = books.push(rows)
        assert states_of(books, rows) == ["unbilled", "accepted"]
        assert (summary.requests, summary.exit_code) == (2, 65)


@pytest.mark.sample(2)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status, tmp_path):
    """I6: the token and the usage go to no other host. I5: whether the first one took it nobody knows."""
    rows = usage(2)
    with Loopback() as elsewhere, Api(first(False, Say(status, b"", {"Location": elsewhere.url + METERING}))) as api:
        books = Books(api.url, tmp_path)
        summary = books.push(rows)
        assert elsewhere.seen == []
        assert states_of(books, rows) == ["unknown", "unknown", "accepted", "accepted"]
        assert (summary.requests, summary.exit_code) == (2, 65)
        assert push_again(api, books, rows).requests == 0


def test_a_redirect_within_the_host_is_not_followed_either(tmp_path):
    rows = usage(1)
    with Api(first(True, Say(307, b"", {"Location": METERING}))) as api:
        books = Books(api.url, tmp_path)
        assert books.push(rows).lines["unknown"] == 2
        assert len(api.bodies) == 1


def test_one_401_costs_a_new_token(tmp_path):
    rows = usage(2)
    with Api(first(False, error(401, "Token revoked"))) as api:
        books = Books(api.url, tmp_path)
        summary = books.push(rows)
        assert summary.lines["accepted"] == len(rows)
        assert (summary.requests, summary.token_requests, len(api.to("/oauth/token"))) == (3, 2, 2)
        assert keys_of_bodies(api.taken) == keys_of(rows)
        assert sorted(one["state"] for one in books.attempts()) == ["accepted"] * 4 + ["not_taken"] * 2
        check_money(books, summary)


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("answer", "code", "requests"),
    [
        (error(401, "No"), 77, 2),
        (error(403, "Insufficient scope"), 77, 1),
        (error(404, "Not found"), 78, 5),
        (error(403, "Forbidden"), 77, 5),
        (error(405, "Method not allowed"), 69, 5),
    ],
    ids=["401", "403", "404", "403 without the scope's name", "405"],
)
def test_a_refusal_that_would_meet_every_body_ends_the_push_and_leaves_no_line(answer, code, requests, tmp_path):
    rows = usage()
    with Api(first(False, answer, times=10**6)) as api:
        books = Books(api.url, tmp_path)
        summary = books.push(rows)
        assert (summary.exit_code, summary.verdict, len(api.bodies)) == (code, "incomplete", requests)
        assert books.states() == {}
        assert summary.lines["to_send"] == len(rows)
        assert [item.kind for item in books.items()] == ["run"]
        assert summary.charged == {}
        assert {one["state"] for one in books.attempts()} == {"not_taken"}
        assert push_again(api, books, rows).lines["accepted"] == len(rows)


def test_a_token_that_is_refused_plans_nothing_and_sends_nothing(tmp_path):
    from automatum.core.errors import CredentialsRefused

    with Api() as api:
        api.say("/oauth/token", error(401, "Invalid client credentials"))
        books = Books(api.url, tmp_path)
        with pytest.raises(CredentialsRefused) as refused:
            books.push(usage())
        assert refused.value.exit_code == 77
        assert (api.bodies, books.states()) == ([], {})


def test_a_token_without_the_scope_sends_nothing(tmp_path):
    from automatum.core.errors import ScopeMissing

    with Api(scope="read:customers") as api:
        books = Books(api.url, tmp_path)
        with pytest.raises(ScopeMissing, match="write:metering"):
            books.push(usage())
        assert (api.bodies, books.states()) == ([], {})


@pytest.mark.parametrize(
    "answer",
    [
        error(429, "Rate limit exceeded", headers={"Retry-After": "17"}),
        error(429, "Rate limit exceeded", retryAfter=17),
        Say(200, {"code": 429, "message": "Rate limit exceeded", "retryAfter": 17}),
    ],
    ids=["header", "body", "envelope"],
)
def test_after_a_429_the_push_waits_as_the_server_asks_and_sends_again(answer, tmp_path):
    rows = usage(2)
    with Api(first(False, answer, times=2)) as api:
        books = Books(api.url, tmp_path)
        summary = books.push(rows)
        assert summary.lines["accepted"] == len(rows)
        assert 34 <= books.clock.slept < 34 + 2 * 3 + 1
        assert summary.requests == len(api.bodies) == 4
        assert keys_of_bodies(api.taken) == keys_of(rows)
        assert sorted(one["state"] for one in books.attempts()) == ["accepted"] * 4 + ["not_taken"] * 4
        check_money(books, summary)


def test_a_429_beyond_the_longest_wait_ends_the_push_with_75(tmp_path):
    rows = usage(2)
    with Api(first(False, error(429, "Rate limit exceeded", headers={"Retry-After": "170"}))) as api:
        books = Books(api.url, tmp_path)
        summary = books.push(rows, max_wait=10)
        assert (summary.exit_code, summary.verdict) == (75, "more_to_do")
        assert summary.to_json()["resume_at"] >= (NOON + timedelta(seconds=170)).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert books.states() == {}
        books.clock.advance(400)
        assert push_again(api, books, rows).lines["accepted"] == 4


def test_a_push_that_needs_several_windows_of_the_limit_ends_with_75_each_time(tmp_path):
    """65 would tell a scheduler to stop: only another push of this usage can close what the earlier ones have left."""
    rows, late = usage(3), error(429, "Rate limit exceeded", headers={"Retry-After": "170"})
    with Api(lambda number, body: (number % 2 == 0, Say(202, YES) if number % 2 == 0 else late)) as api:
        books = Books(api.url, tmp_path)
        ended = []
        while not ended or ended[-1] == 75:
            ended.append(books.push(rows, max_wait=10).exit_code)
            books.clock.advance(400)
        assert ended == [75, 75, 75, 0]
        assert keys_of_bodies(api.taken) == keys_of(rows)


def test_i5_a_push_that_is_not_finished_says_first_what_needs_a_person(tmp_path):
    """75 means "run again", which nobody reads; 65 means that money waits for a decision."""
    says = [error(400, "Bad"), error(429, "Rate limit exceeded", headers={"Retry-After": "170"})]
    with Api(lambda number, body: (number > 2, says[number - 1] if number <= 2 else Say(202, YES))) as api:
        books = Books(api.url, tmp_path)
        summary = books.push(usage(3), max_wait=10)
        assert (summary.exit_code, summary.verdict) == (65, "more_to_do")
        assert summary.to_json()["resume_at"]
        books.clock.advance(400)
        last = books.push(usage(3)[2:])
        assert (last.lines["accepted"], last.exit_code, last.unresolved) == (4, 65, {"unbilled": 2}), "left by another"


def test_a_refused_connection_takes_nothing_and_nothing_is_in_the_ledger(tmp_path):
    """Nobody listens any more once the token has been given."""
    rows = usage(2)
    with Api() as api:

        def close():
            api._http.shutdown()
            api._http.server_close()

        api._scripts["/oauth/token"][0].then = close
        books = Books(api.url, tmp_path)
        summary = books.push(rows)
        assert (summary.exit_code, summary.verdict) == (69, "incomplete")
        assert "refused" in summary.errors[0].message.lower()
        assert books.states() == {}
        assert {one["state"] for one in books.attempts()} == {"not_taken"}
        assert summary.charged == {}
        assert books.clock.slept > 0, "it is tried again, after a wait"
    with Api() as api:
        books.settings["base_url"] = api.url
        assert push_again(api, books, rows).lines["accepted"] == 4


@pytest.mark.sample(1)
@pytest.mark.parametrize("answer", [Say(reset=True), error(500, "Internal"), Say(200, b"<html>")], ids=str)
def test_three_unknown_calls_in_a_row_stop_the_push(answer, tmp_path):
    rows = usage(6)
    with Api(first(True, answer, times=10**6)) as api:
        books = Books(api.url, tmp_path)
        summary = books.push(rows)
        assert (summary.exit_code, summary.verdict, len(api.bodies)) == (69, "incomplete", 3)
        assert "3 calls in a row" in summary.errors[0].message
        assert states_of(books, rows) == ["unknown"] * 6 + ["not sent"] * 6
        assert (summary.lines["unknown"], summary.lines["to_send"]) == (6, 6)
        books.clock.advance(UNKNOWN_PAUSE.total_seconds())
        again = push_again(api, books, rows)
        assert (again.lines["accepted"], again.lines["unknown"], again.exit_code) == (6, 6, 65)


def test_a_yes_between_two_unknown_calls_starts_the_count_anew(tmp_path):
    rows = usage(8)

    def decide(number, body):
        return True, Say(202, YES) if number % 3 == 0 else Say(reset=True)

    with Api(decide) as api:
        books = Books(api.url, tmp_path)
        summary = books.push(rows)
        assert len(api.bodies) == 8
        assert summary.exit_code == 65
        assert books.states() == {"accepted": 4, "unknown": 12}


@pytest.mark.slow
def test_i5_the_brake_holds_for_the_next_pushes_until_half_an_hour_is_over(tmp_path):
    """A scheduler repeats a push at once: each repetition would add three unknown bodies."""
    rows = usage(8)
    with Api(first(True, Say(reset=True), times=10**6)) as api:
        books = Books(api.url, tmp_path)
        books.push(rows)
        for _ in range(3):
            summary = books.push(rows)
            assert (summary.exit_code, summary.requests, len(api.bodies)) == (69, 0, 3)
            assert "push settle" in summary.errors[0].next_step
        books.clock.advance(UNKNOWN_PAUSE.total_seconds())
        assert (books.push(rows).exit_code, len(api.bodies)) == (69, 4), "one body is tried"
        books.clock.advance(UNKNOWN_PAUSE.total_seconds() - 1)
        assert (books.push(rows).exit_code, len(api.bodies)) == (69, 4)


def test_m16_a_clock_that_was_ahead_once_does_not_stop_pushes_until_its_time_has_come(tmp_path):
    rows = usage(4)
    with Api(first(True, Say(reset=True), times=3)) as api:
        books = Books(api.url, tmp_path)
        books.clock.set_wall(3600)
        books.push(rows)
        books.clock.set_wall(-3600)
        assert books.push(rows).lines["accepted"] == 2
        assert len(api.bodies) == 4


def test_i5_unknown_bodies_of_several_pushes_add_up(tmp_path):
    """A dlt pipeline pushes file by file."""
    rows = usage(8)
    with Api(first(True, Say(reset=True), times=10**6)) as api:
        books = Books(api.url, tmp_path)
        for customer in range(3):
            summary = books.push(rows[2 * customer : 2 * customer + 2])
        assert len(api.bodies) == 3
        assert "3 calls in a row" in summary.errors[0].message
        assert (books.push(rows).requests, len(api.bodies)) == (0, 3)


def test_i5_a_person_who_settles_the_unknown_lines_releases_the_brake(tmp_path):
    rows = usage(5)
    with Api(first(True, Say(reset=True), times=3)) as api:
        books = Books(api.url, tmp_path)
        books.push(rows)
        assert books.push(rows).requests == 0
        books.settle([entry.id for entry in books.entries().values() if entry.state == "unknown"], "billed")
        assert books.push(rows).lines["accepted"] == 4
        check_once(api, rows)


CUSTOMER_REFUSALS = [error(404, "No such customer"), error(403, "Not your customer"), error(410, "Gone")]


def only_for(refused, answer):
    """An API that refuses these customers."""

    def decide(number, body):
        bad = body["details"]["customer"]["id"] in refused
        return (False, answer) if bad else (True, Say(202, YES))

    return decide


@pytest.mark.sample(3)
@pytest.mark.parametrize("answer", CUSTOMER_REFUSALS, ids=["404", "403", "410"])
@pytest.mark.parametrize("customer", ["cust_1", "cust_3", "cust_5"])
def test_i5_a_refusal_of_one_customer_does_not_stop_the_others(answer, customer, tmp_path):
    rows = usage()
    with Api(only_for([customer], answer)) as api:
        books = Books(api.url, tmp_path)
        summary = books.push(rows)
        refused = [row for row in rows if row["customer_id"] == customer]
        assert (summary.exit_code, summary.verdict, len(api.bodies)) == (65, "incomplete", CUSTOMERS)
        assert set(states_of(books, refused)) == {"unbilled"}
        assert books.states() == {"accepted": len(rows) - 2, "unbilled": 2}
        check_money(books, summary)
        assert push_again(api, books, rows).requests == 0


def test_i5_a_404_of_the_only_customer_marks_nothing(tmp_path):
    """Nothing tells whether the path or the customer is wrong."""
    rows = usage(1)
    with Api(only_for(["cust_1"], error(404, "Not found"))) as api:
        books = Books(api.url, tmp_path)
        assert (books.push(rows).exit_code, books.states()) == (78, {})
        summary = books.push(usage(2))
        assert (summary.exit_code, books.states()) == (65, {"accepted": 2, "unbilled": 2})


def test_i5_a_404_of_many_customers_in_a_row_ends_the_push(tmp_path):
    """Then the path is wrong, or the plan. What was accepted before stays so."""
    rows, dead = usage(8), [f"cust_{number}" for number in range(2, 9)]
    with Api(only_for(dead, error(404, "Not found"))) as api:
        books = Books(api.url, tmp_path)
        summary = books.push(rows)
        assert (summary.exit_code, len(api.bodies), books.states()) == (78, 6, {"accepted": 2})
        assert summary.lines["to_send"] == 14


def test_i5_lines_that_become_too_late_during_a_wait_are_not_sent(tmp_path):
    """Six hours after the hour began, a marketplace drops what it is sent: the line would count as accepted."""
    rows = [{**row, "usage_at": hour_of(NOON, 5).isoformat()} for row in usage(2)]
    wait = error(429, "Rate limit exceeded", headers={"Retry-After": "90"})
    with Api(lambda number, body: (False, wait) if number == 1 else (True, Say(202, YES))) as api:
        books = Books(api.url, tmp_path)
        books.clock.advance(29 * 60)  # 12:59: the deadline is at 13:00
        summary = books.push(rows)
        assert (len(api.bodies), books.states()) == (1, {"unbilled": 4})
        assert (summary.lines["expired"], summary.lines["to_send"], summary.exit_code) == (4, 0, 65)
        assert all("too late" in reason for _, reason in summary.sent.expired)


@pytest.mark.parametrize(("vendor", "hours", "sent"), [("aws", 20, True), ("aws", 25, False), ("azure", 25, False)])
def test_i5_late_ok_ends_at_the_documented_deadline(vendor, hours, sent, tmp_path):
    rows = [{**row, "vendor": vendor, "usage_at": hour_of(NOON, hours).isoformat()} for row in usage(1)]
    with Api() as api:
        books = Books(api.url, tmp_path)
        dry = books.push(rows, dry=True, late_ok=True)
        assert dry.lines["to_send" if sent else "expired"] == 2
        summary = books.push(rows, late_ok=True)
        assert books.states() == ({"accepted": 2} if sent else {"unbilled": 2})
        assert summary.requests == len(api.bodies) == int(sent)
        if not sent:
            assert all("also with --late-ok" in reason for _, reason in summary.plan.expired)


def test_nothing_is_kept_of_an_answer_but_its_words(tmp_path, caplog):
    """I6: an API that repeats the token in its answers does not get it into the ledger, the summary or the log."""
    rows, secret = usage(4), "secret_of_the_test"
    says = [
        Say(202, {"code": 202, "data": {"status": "queued", "message": f"token-one {secret}"}}),
        error(500, f"Bearer token-one; client_secret={secret}"),
        error(400, f"token-one {secret}", errors=[fault("details.usages[0]", f"token-one {secret}")]),
        Say(200, f"<html>token-one {secret}</html>".encode()),
    ]

    def decide(number, body):
        return False, says[number - 1] if number <= len(says) else Say(202, YES)

    with Api(decide) as api:
        books = Books(api.url, tmp_path)
        summary = books.push(rows)
        assert len(api.bodies) == 5
        written = b"".join(one.read_bytes() for one in tmp_path.rglob("*") if one.is_file())
        assert b"dim_00" in written
        shown = str(summary.to_json()) + repr(summary) + caplog.text
        for word in ("token-one", secret):
            assert word not in shown
            assert word.encode() not in written


@pytest.mark.slow
def test_a_ledger_that_is_lost_while_a_call_is_under_way_ends_the_push_before_the_next(postgres, tmp_path):  # noqa: F811
    """Nobody sees any more that this push lives: others may take its lines, so it sends nothing more."""
    rows = usage(3)

    def decide(number, body):
        if number == 2:
            others = f"pid <> pg_backend_pid() AND datname = '{postgres.rpartition('/')[2]}'"
            running().execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
        return True, Say(202, YES)

    with Api(decide) as api:
        books = Books(api.url, tmp_path, ledger_url=postgres)
        summary = books.push(rows)
        assert (len(api.bodies), summary.exit_code, summary.verdict) == (2, 69, "incomplete")
        assert states_of(books, rows) == ["accepted"] * 4 + ["not sent"] * 2
        check_money(books, summary)
        assert push_again(api, books, rows).exit_code == 0
