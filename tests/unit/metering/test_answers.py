"""I5: a 2xx answer accepts lines only if it is known to say yes, and nothing in it says no."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automatum.metering.answers import judge, says_yes
from automatum.metering.payloads import Body
from tests.support.metering_lines import make_line

BODY = Body(tuple(make_line(dimension=name) for name in ("calls", "seats", "storage")))
NAMED = {"code": 202, "data": {"status": "queued"}}


def fault(position, message="no"):
    return {"field": f"details.usages[{position}].units", "message": message}


def results(*words, key="status", name="apiKey"):
    dimensions = (one.dimension for one in BODY.lines)
    return [{name: dimension, key: word} for dimension, word in zip(dimensions, words, strict=False)]


ACCEPTED, REJECTED, CONFLICT, UNKNOWN = "accepted", "rejected", "conflict", "unknown"
ANSWERS = [
    # The documented envelope, and words that are known.
    (200, {"code": 200, "data": {"id": "m_1"}}, ACCEPTED),
    (201, {"code": 201, "data": {}}, ACCEPTED),
    (202, NAMED, ACCEPTED),
    (202, {**NAMED, "message": "Queued without errors"}, ACCEPTED),
    (202, {**NAMED, "errors": []}, ACCEPTED),
    (202, {**NAMED, "errors": None, "error": "", "failed": 0}, ACCEPTED),
    (202, {"code": 202, "message": "Accepted"}, ACCEPTED),
    (200, {"success": True}, ACCEPTED),
    (200, {"status": "success", "data": {"id": 7}}, ACCEPTED),  # JSend
    (200, {"usageEventId": "u", "status": "Accepted", "dimension": "calls"}, ACCEPTED),  # Azure, one event
    (200, {"accepted": 3, "rejected": 0}, ACCEPTED),
    (200, {"Results": results(*["Success"] * 3, key="Status", name="Dimension"), "UnprocessedRecords": []}, ACCEPTED),
    (200, {"count": 3, "result": results(*["Accepted"] * 3, name="dimension")}, ACCEPTED),  # Azure, a batch
    (207, {"data": results("accepted", "queued", "success")}, ACCEPTED),
    (200, {"results": [{"status": "ok"}] * 3}, ACCEPTED),
    (200, {"code": 200, "data": {"usages": [{"apiKey": "calls", "title": "Rejected calls", "units": 1}]}}, ACCEPTED),
    # A known word that says no of the whole body.
    (202, {"code": 202, "data": {"status": "failed"}}, REJECTED),
    (202, {"status": "Rejected "}, REJECTED),
    (200, {"status": "fail", "data": {"customer": "not subscribed"}}, REJECTED),  # JSend
    (200, {"status": "error", "message": "Unable to reach AWS"}, REJECTED),
    (200, {"data": {"status": "expired"}}, REJECTED),
    (200, {"status": "CustomerNotSubscribed"}, REJECTED),
    (202, {"data": {"status": "duplicate"}}, CONFLICT),
    (200, {"Status": "DuplicateRecord"}, CONFLICT),
    # A no whose extent is not known, or beside a yes.
    (202, {"code": 202, "success": False}, UNKNOWN),
    (202, {"code": 202, "data": {"success": "false"}}, UNKNOWN),
    (200, {"ok": 0, "code": 200, "data": {}}, UNKNOWN),
    (202, {**NAMED, "errors": [{"field": "what", "message": "no"}]}, UNKNOWN),
    (202, {**NAMED, "errors": ["bad"]}, UNKNOWN),
    (202, {**NAMED, "errors": {"usages": ["bad"]}}, UNKNOWN),
    (202, {**NAMED, "error": "bad"}, UNKNOWN),
    (202, {"code": 202, "data": {"status": "queued", "errors": [{"message": "no"}]}}, UNKNOWN),
    (202, {"code": 202, "data": {"status": "queued", "failedRecords": [1]}}, UNKNOWN),
    (200, {"data": None, "errors": [{"message": "no", "path": ["meter"]}]}, UNKNOWN),  # GraphQL
    (200, {"data": {"meter": {"ok": True}}, "errors": [{"message": "no"}]}, UNKNOWN),  # GraphQL
    (200, {"Results": [], "UnprocessedRecords": [{"Quantity": 1}]}, UNKNOWN),  # AWS
    (200, {"code": 200, "data": {"unprocessed_records": [{}, {"x": 1}]}}, UNKNOWN),
    (200, {"code": 200, "data": {"code": 400}}, UNKNOWN),
    (200, {"code": 200, "data": {"statusCode": 422}}, UNKNOWN),
    (200, {"code": "ERR_17", "data": {}}, UNKNOWN),
    (200, {"code": 200, "data": {}, "message": "Validation failed"}, UNKNOWN),
    (200, {"title": "Bad Request", "code": 200, "data": {}}, UNKNOWN),
    (200, {"status": 400, "title": "Bad Request"}, UNKNOWN),
    (200, {"status": "success", "data": {"status": "failed"}}, UNKNOWN),
    (200, {"status": "failed", "accepted": 2}, UNKNOWN),
    (200, {"accepted": 2, "rejected": 1}, UNKNOWN),
    (200, {"status": "partial_success"}, UNKNOWN),
    (200, {"results": [{"status": "ok"}] * 2}, UNKNOWN),
    (200, {"results": [{"status": "ok"}, {"status": "ok"}, {"status": "failed"}]}, UNKNOWN),
    (200, {"code": 200, "data": ["queued", "queued", "rejected"]}, UNKNOWN),
    # Neither yes nor no.
    (200, {}, UNKNOWN),
    (200, {"id": "m_1"}, UNKNOWN),
    (200, {"message": "Soon back"}, UNKNOWN),
    (200, {"code": 200}, UNKNOWN),
    (200, {"code": 200, "data": None}, UNKNOWN),
    (200, {"code": 200, "data": []}, UNKNOWN),
    (200, {"code": 200, "data": {"status": "under review"}}, UNKNOWN),
    (200, {"status": "not accepted"}, UNKNOWN),
    (207, {"code": 207, "data": {"status": "queued"}}, UNKNOWN),
    (203, NAMED, UNKNOWN),
    (206, NAMED, UNKNOWN),
]


@pytest.mark.parametrize(("status", "answer", "state"), ANSWERS, ids=[f"{one[0]}-{one[1]}"[:90] for one in ANSWERS])
def test_i5_each_2xx_answer_leads_to_its_state(status, answer, state):
    found = judge(answer, status, BODY)
    states = {found.lines.get(place, (found.state, ""))[0] for place in range(3)}
    assert states == {state}
    assert found.lines or bool(found.reason) == (state != "accepted")


@pytest.mark.parametrize(("status", "state"), [(200, UNKNOWN), (201, ACCEPTED), (202, ACCEPTED), (204, ACCEPTED)])
def test_i5_an_empty_answer_is_a_yes_only_where_its_status_says_so(status, state):
    assert judge({}, status, BODY, empty=True).state == state


BY_LINE = [
    ({**NAMED, "errors": [fault(1)]}, [ACCEPTED, REJECTED, ACCEPTED]),
    ({"code": 202, "data": {"status": "queued", "errors": [fault(0), fault(2)]}}, [REJECTED, ACCEPTED, REJECTED]),
    ({"errors": [fault(1)]}, [UNKNOWN, REJECTED, UNKNOWN]),
    ({**NAMED, "errors": [fault(1)], "success": False}, [UNKNOWN, REJECTED, UNKNOWN]),
    ({"results": results("Accepted", "Error", "Duplicate")}, [ACCEPTED, REJECTED, CONFLICT]),
    ({"status": "partial", "results": results("accepted", "failed", "accepted")}, [ACCEPTED, REJECTED, ACCEPTED]),
    ({"code": 200, "data": results("accepted", "held back", "ok")}, [ACCEPTED, UNKNOWN, ACCEPTED]),
    ({"results": results("accepted", "accepted")}, [ACCEPTED, ACCEPTED, UNKNOWN]),
    ({"results": results(400, 202, 202)}, [UNKNOWN, ACCEPTED, ACCEPTED]),
    (
        {
            "Results": [{"UsageRecord": {"Dimension": "seats"}, "Status": "Success"}],
            "UnprocessedRecords": [{"Dimension": "calls"}, {"Dimension": "storage"}],
        },
        [UNKNOWN, ACCEPTED, UNKNOWN],
    ),
    ({"success": False, "results": results("accepted", "failed", "accepted")}, [UNKNOWN, REJECTED, UNKNOWN]),
    ({"results": results("ok", "ok", "ok"), "failures": results("no")}, [REJECTED, ACCEPTED, ACCEPTED]),
    ({"status": "failed", "results": results("accepted", "failed", "failed")}, [UNKNOWN, REJECTED, REJECTED]),
]


@pytest.mark.parametrize(("answer", "states"), BY_LINE, ids=range(len(BY_LINE)))
def test_i5_each_line_that_an_answer_names_gets_its_own_state(answer, states):
    found = judge(answer, 200, BODY)
    assert [found.lines.get(place, (found.state, ""))[0] for place in range(3)] == states


def test_a_setting_adds_words_that_say_yes():
    answer = {"code": 200, "data": {"status": "Under-Review"}}
    assert judge(answer, 200, BODY).state == "unknown"
    assert judge(answer, 200, BODY, words=["under review"]).state == "accepted"
    assert judge({"status": "failed"}, 200, BODY, words=["Failed"]).state == "rejected"


def test_plain_text_says_yes_only_with_a_word_of_the_setting():
    assert says_yes(" Queued\n", ["queued"])
    assert not says_yes("queued", [])
    assert not says_yes("OK", ["queued"])
    assert not says_yes("", [""])


YES_PARTS = st.sampled_from(
    [
        {"code": 200},
        {"status": "queued"},
        {"success": True},
        {"message": "Accepted"},
        {"errors": []},
        {"accepted": 3},
        {"results": [{"status": "ok"}] * 3},
        {"data": {"status": "accepted", "id": "m_1"}},
        {"UnprocessedRecords": []},
        {"result": {"ok": True}},
    ]
)
NO_PARTS = st.sampled_from(
    [
        {"status": "failed"},
        {"State": "REJECTED"},
        {"success": False},
        {"ok": "false"},
        {"error": {"message": "no"}},
        {"errors": [{"message": "no"}]},
        {"Errors": "no"},
        {"failed": 1},
        {"rejected_count": 2},
        {"UnprocessedRecords": [{"Quantity": 1}]},
        {"failures": {"calls": "no"}},
        {"message": "The customer is not subscribed"},
        {"detail": "Invalid dimension"},
        {"statusCode": 500},
        {"results": [{"status": "ok"}, {"status": "ok"}, {"status": "error"}]},
        {"outcome": "duplicate"},
        {"exception": "IllegalState"},
    ]
)


def _under(part, path):
    for name, in_list in reversed(path):
        part = {name: [part] if in_list else part}
    return part


def _merge(one, other):
    """Both objects in one; of two values that cannot be merged, the second."""
    merged = dict(one)
    for name, value in other.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _merge(merged[name], value) if both else value
    return merged


PATHS = st.lists(st.tuples(st.sampled_from(["data", "result", "body", "items", "meta"]), st.booleans()), max_size=3)


@given(st.lists(st.tuples(YES_PARTS, PATHS), max_size=4), NO_PARTS, PATHS, st.sampled_from([200, 201, 202, 207]))
def test_i5_whatever_says_yes_a_body_with_a_refusal_is_never_accepted(yes, refusal, path, status):
    answer = {}
    for part, at in yes:
        answer = _merge(answer, _under(part, at))
    answer = _merge(answer, _under(refusal, path))
    found = judge(answer, status, BODY)
    assert found.state != "accepted"
    assert "accepted" not in {state for state, _ in found.lines.values()}


@given(st.lists(YES_PARTS, min_size=1, max_size=4))
def test_a_body_of_parts_that_say_yes_is_not_refused(parts):
    answer = {}
    for part in parts:
        answer = _merge(answer, part)
    assert judge(answer, 200, BODY).state in ("accepted", "unknown")


SPELLINGS = [
    ("code", "Code", "CODE"),
    ("resultcode", "resultCode", "result_code", "Result-Code"),
    ("responsecode", "responseCode", "response_code"),
    ("returncode", "returnCode", "return_code"),
    ("statuscode", "statusCode", "status_code", "StatusCode"),
    ("httpstatuscode", "httpStatusCode", "http_status_code"),
    ("httpstatus", "httpStatus", "http_status"),
]


@pytest.mark.parametrize("names", SPELLINGS, ids=[names[0] for names in SPELLINGS])
@pytest.mark.parametrize("wrap", [lambda answer: answer, lambda answer: {"data": answer}], ids=["whole", "in data"])
def test_i5_a_number_says_the_same_however_its_field_is_written(names, wrap):
    """The number of an HTTP status says yes; another code, whose numbers may mean anything, does not."""
    states = {name: judge(wrap({name: 200}), 200, BODY).state for name in names}
    assert states == dict.fromkeys(names, ACCEPTED if "status" in names[0] else UNKNOWN)
