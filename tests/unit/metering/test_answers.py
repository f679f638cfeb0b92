"""I5: a 2xx answer accepts lines only in the documented form, with nothing in it that is not in a short list."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automatum.metering.answers import judge, refuses_all
from automatum.metering.payloads import Body
from tests.support.metering_lines import make_line

BODY = Body(tuple(make_line(dimension=name) for name in ("calls", "seats", "storage")))
NAMED = {"code": 202, "data": {"status": "queued"}}
SENT = json.loads(BODY.payload(), parse_float=Decimal)["details"]
ACCEPTED, UNKNOWN = "accepted", "unknown"


def results(*words, key="status", name="apiKey"):
    dimensions = (one.dimension for one in BODY.lines)
    return [{name: dimension, key: word} for dimension, word in zip(dimensions, words, strict=False)]


def state(answer, status=200, **options):
    return judge(answer, status, BODY, **options).state


def data(**fields):
    return {"code": 202, "data": {"id": "m_1", "status": "queued", **fields}}


KNOWN = [
    (200, {"code": 200, "data": {"id": "m_1"}}),
    (201, {"code": 201, "data": {}}),
    (202, NAMED),
    (202, {**NAMED, "message": "Accepted"}),
    (202, {**NAMED, "errors": []}),
    (202, {**NAMED, "errors": None}),
    (202, data(meteringId=7, createdAt="2026-12-01T10:00:00Z", updatedAt=1)),
    (202, data(vendor="aws", listingId="lst_1", customerId="cust_1", reportingDate=SENT["reportingDate"])),
    (202, {"code": 202, "data": {"listing_id": "lst_1", "customer_id": "cust_1", "created_at": "now"}}),
    (202, data(charged=Decimal("0.150"), usages=SENT["usages"])),
    (202, data(details=SENT)),
]
UNEXPLAINED = [
    # Another form, though it says yes.
    # An answer without a body is the same as an empty object.
    *((status, {}) for status in (200, 201, 202, 204)),
    (200, {"success": True}),
    (200, {"status": "success", "data": {"id": 7}}),
    (202, {"code": 202, "message": "Accepted"}),
    (200, {"code": 200, "data": []}),
    (200, {"code": 200, "data": "queued"}),
    (200, {"code": "200", "data": {"status": "queued"}}),
    (207, {"code": 207, "data": {"status": "queued"}}),
    (203, NAMED),
    (206, NAMED),
    # A word, a key or a value that is not known.
    (200, {"code": 200, "data": {"status": "under review"}}),
    (202, {"code": 202, "data": {"status": "failed"}}),
    (202, {**NAMED, "message": "Customer unsubscribed"}),
    (202, {**NAMED, "message": "Queued without errors"}),
    (202, {**NAMED, "errors": [{"field": "what", "message": "no"}]}),
    (202, {**NAMED, "success": False}),
    (202, data(vendor="azure")),
    (202, data(customerId="cust_2")),
    (202, data(charged=Decimal("0.14"))),
    (202, data(charged="0.15")),
    (202, data(details={**SENT, "note": "no"})),
    (202, data(details={**SENT, "usages": []})),
    (202, data(usages=[{**one, "units": True} for one in SENT["usages"]])),
    # Results for each usage are no documented form.
    (200, {"code": 200, "data": {"results": results("accepted", "Queued", "OK")}}),
    (202, data(usages=SENT["usages"][:2])),
    (202, data(usages=[{**one, "units": 4} for one in SENT["usages"]])),
    (202, data(usages=[{**one, "note": "no"} for one in SENT["usages"]])),
    (200, {"code": 200, "data": {"results": results("accepted", "accepted")}}),
    (200, {"code": 200, "data": {"results": results("accepted", "failed", "accepted")}}),
    (200, {"code": 200, "data": {"results": results("DuplicateRecord", "ok", "Rejected")}}),
    (200, {"code": 200, "data": {"results": [*results("ok", "ok", "ok"), *results("ok")]}}),
    (200, {"code": 200, "data": {"results": results("accepted", "accepted", "held back")}}),
    (200, {"code": 200, "data": {"results": results("accepted", "failed", "accepted"), "retrying": True}}),
    (200, {"code": 200, "data": {"results": [{"status": "ok"}] * 3}}),
]


def names(cases):
    return [f"{one[0]}-{one[1]}"[:90] for one in cases]


@pytest.mark.parametrize(("status", "answer"), KNOWN, ids=names(KNOWN))
def test_i5_the_documented_form_with_known_words_accepts_all_lines(status, answer):
    assert state(answer, status) == ACCEPTED
    assert judge(answer, status, BODY).error == ""


@pytest.mark.parametrize(("status", "answer"), UNEXPLAINED, ids=names(UNEXPLAINED))
def test_i5_whatever_is_not_explained_makes_all_lines_unknown(status, answer):
    found = judge(answer, status, BODY)
    assert found.state == UNKNOWN and f"answered {status} with " in found.error


NOS = [
    data(accepted=["calls"]),
    data(queued=2),
    data(meteringStatus="FAILED"),
    data(billed=False),
    {**NAMED, "message": "Customer unsubscribed"},
    data(dryRun=True),
    data(notFound=["seats"]),
    data(status="QUEUED", reason="no such customer"),
    data(usages=[{"apiKey": "calls", "billed": 0}]),
    data(result="NOT_BILLED"),
    data(warnings=["1 record dropped"]),
    data(summary={"ok": 2, "nok": 1}),
    {**NAMED, "meta": {"ignored": 3}},
    {**NAMED, "skipped": 1},
    data(units=0),
    data(status="queued for review"),
]


@pytest.mark.parametrize("answer", NOS, ids=[str(one)[:80] for one in NOS])
def test_m5_a_no_inside_the_documented_envelope_is_never_accepted(answer):
    assert state(answer, 202) == UNKNOWN


def test_a_setting_adds_words_that_say_yes():
    answer = {"code": 200, "data": {"status": "Under-Review"}}
    assert state(answer) == UNKNOWN
    assert "metering_yes_words" in judge(answer, 200, BODY).error
    assert state(answer, words=["under review"]) == ACCEPTED
    assert state({"code": 200, "data": {"status": "failed"}}, words=["Failed", ""]) == UNKNOWN
    assert state({"code": 200, "data": {"status": "--"}}, words=["!"]) == UNKNOWN


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.sampled_from(["", "queued", "failed", "calls", "no"]),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(st.sampled_from(["status", "accepted", "result", "usages", "message", "error"]), inside)
    ),
    max_leaves=6,
)


@given(
    st.sampled_from(["accepted", "billed", "error", "warnings", "count", "state", "Errors", "x"]), ANY, st.booleans()
)
def test_i5_whatever_an_unknown_key_holds_nothing_is_accepted(key, value, inside):
    answer = data(**{key: value}) if inside else {**NAMED, key: value}
    if key == "Errors" and inside and value in (None, "", [], {}):
        return
    assert state(answer, 202) == UNKNOWN


ERROR = {"code": 422, "message": "Validation failed", "errors": [{"field": "usages[1].units", "message": "no"}]}


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (ERROR, True),
        ({"code": 400, "message": "no"}, True),
        ({"code": 400, "message": "no", "details": "usages[1]", "data": None}, True),
        ({**ERROR, "data": {"accepted": 2}}, False),
        ({**ERROR, "accepted": 2}, False),
        ({**ERROR, "results": [{"apiKey": "calls", "status": "queued"}]}, False),
        ({**ERROR, "errors": [{"field": "usages[1]", "message": "no", "others": "queued"}]}, False),
        ({**ERROR, "errors": {"calls": "queued"}}, False),
        ({"error": "no"}, False),
        ([], False),
        ("no", False),
    ],
)
def test_m10_a_422_refuses_the_whole_body_only_if_its_answer_holds_nothing_else(answer, whole):
    assert refuses_all(json.dumps(answer).encode(), 422) == whole


@pytest.mark.parametrize(("status", "whole"), [(400, False), (409, False), (413, True), (404, True)])
def test_a_page_of_a_proxy_says_nothing_about_usage(status, whole):
    assert refuses_all(b"<html>Sorry</html>", status) == whole
    assert refuses_all(b"[" * 100_000, status) == whole
    assert refuses_all(b'{"data": {"accepted": 2}}', status) is False
