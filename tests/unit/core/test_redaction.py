"""I6: no secret leaves in any form, and nothing else is redacted."""

import base64
import html
import json
import logging
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automatum.core.redaction import (
    REDACTED,
    RedactingFilter,
    first_line,
    redact,
    redact_logging,
    register_secret,
    register_url,
)

SECRET = "secret_c4n4ry+with/odd=chars"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhcHAifQ.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def kept(monkeypatch):
    monkeypatch.setattr("automatum.core.redaction._secrets", set())


@pytest.fixture
def logged(caplog):
    """Logs through a guarded logger; what it says."""
    logger = logging.getLogger("automatum")
    redact_logging()
    caplog.set_level(logging.DEBUG, "automatum")
    formatter = logging.Formatter("%(message)s")
    return logger, lambda: "\n".join(formatter.format(record) for record in caplog.records)


def test_a_registered_secret_is_redacted_plain_and_encoded():
    register_secret("p@ss word/1")
    for form in ("p@ss word/1", quote("p@ss word/1", safe=""), "p%40ss+word%2F1"):
        assert redact(f"x {form} y") == f"x {REDACTED} y"


@pytest.mark.parametrize("short", [None, "", "a", "abcde"])
def test_a_text_that_is_too_short_is_not_registered(short):
    register_secret(short)
    assert redact("a abcde") == "a abcde"


def test_a_secret_within_a_secret_leaves_no_rest():
    register_secret("canary")
    register_secret("canary-and-more")
    assert redact("canary-and-more") == REDACTED


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {JWT}",
        f"{{'Authorization': 'Bearer {JWT}'}}",
        f"bearer {JWT}",
        JWT,
        f"token={JWT}&x=1",
        f'{{"access_token": "{JWT}"}}',
    ],
)
def test_tokens_are_recognized_unasked(text):
    assert JWT not in redact(text)
    assert "eyJ" not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "client_secret=opaque-thing-1",
        "client_secret=opaque-thing-1&grant_type=client_credentials",
        '"clientSecret": "opaque-thing-1"',
        "client_secret: opaque-thing-1",
        "access_token=opaque-thing-1",
        "webhook_secret = 'opaque-thing-1'",
        "Authorization: opaque-thing-1",
        "sent with Bearer opaque-thing-1",
    ],
)
def test_fields_that_carry_secrets_are_recognized_unasked(text):
    clean = redact(text)
    assert "opaque-thing-1" not in clean
    assert REDACTED in clean
    assert ("grant_type=client_credentials" in text) == ("grant_type=client_credentials" in clean)


def test_the_vendors_secrets_are_recognized_by_their_prefix():
    assert redact("key secret_7g8h9i0j1k2l3m4n5o6p.") == f"key {REDACTED}."


@pytest.mark.parametrize(
    "text",
    [
        '{"apiKey": "api_calls", "units": 10}',
        "GET /api/v1/customers page=3: 200, 45 ms",
        "the client_secret is missing",
        "app_1a2b3c4d5e6f",
        "cust_1 bought secretly",
    ],
)
def test_what_is_no_secret_is_left_alone(text):
    assert redact(text) == text


def test_a_log_line_is_redacted_with_its_arguments(logged):
    logger, said = logged
    register_secret(SECRET)
    logger.info("sent %s as %s", {"client_secret": SECRET}, SECRET)
    assert SECRET not in said()
    assert "sent" in said()


def test_a_traceback_is_redacted_with_its_chain(logged):
    logger, said = logged
    register_secret(SECRET)
    try:
        try:
            raise ValueError(f"inner {SECRET}")
        except ValueError as inner:
            raise RuntimeError(f"outer {SECRET}") from inner
    except RuntimeError:
        logger.exception("went wrong")
    assert SECRET not in said()
    assert "inner" in said()
    assert "outer" in said()


def test_a_harmless_line_keeps_its_arguments(logged, caplog):
    logger, said = logged
    logger.info("page %d of %d", 3, 7)
    assert said() == "page 3 of 7"
    assert caplog.records[0].args == (3, 7)


def test_redacting_a_logger_twice_does_no_harm():
    redact_logging()
    redact_logging()
    for name in ("automatum", "dlt", "urllib3", "urllib3.connectionpool"):
        filters = logging.getLogger(name).filters
        assert sum(isinstance(one, RedactingFilter) for one in filters) == 1


AWKWARD = ["c4nary-p@ss/w?rd#1", "c4nary\"quo'te", "c4nary\nline-two", "c4nary&<html>", "c4nary-ünï-密码"]


@given(
    secret=st.sampled_from(AWKWARD) | st.text(st.characters(codec="utf-8"), min_size=9, max_size=30),
    before=st.binary(max_size=5),
    after=st.binary(max_size=5),
)
def test_no_form_of_a_secret_is_left(secret, before, after):
    """I6: plain, in a URL, in JSON, in HTML, as Python shows it, and in base64, whatever is beside it there."""
    register_secret(secret)
    forms = {quote(secret), quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1], html.escape(secret)}
    for form in forms:
        assert redact(f"x {form} y") == f"x {REDACTED} y"
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        shown = redact(encode(before + secret.encode() + after).decode())
        assert REDACTED in shown
        left = shown.replace(REDACTED, "")
        assert len(left) <= len(encode(before + after)) + 8  # The ends, whose characters hold its neighbours, too.


@pytest.mark.parametrize(
    "password", ["c4nary@ss-rest", "c4nary/path-rest", "c4nary?query-rest", "c4nary#mark-rest", "123456"]
)
@pytest.mark.parametrize("form", ["{}", "{}?sslmode=require", "{}/x?password=qu3ry-canary"])
def test_of_a_url_no_piece_of_the_password_is_left(password, form):
    """Drivers take a piece of a password that was not encoded for host, port or path, and name that."""
    url = form.format(f"postgresql://loader:{password}@db.example.com:5432/warehouse")
    register_url(url)
    pieces = [one for one in re.split("[@/?#]", password) if len(one) > 5]
    for shown in (url, *(f'could not translate host name "{one}@db.example.com"' for one in pieces), *pieces):
        said = redact(shown)
        assert not [one for one in (*pieces, "qu3ry-canary") if one in said], said
    assert "db.example.com:5432" in redact(url)


@pytest.mark.parametrize(
    "text", ["https://host:8080/people?of=a@b.example", "postgresql://loader@db/x", "see http://a:80/b"]
)
def test_an_address_without_a_password_stays_readable(text):
    register_url(text)
    assert redact(text) == text


def test_a_password_in_a_url_is_recognized_unasked():
    said = redact('cannot parse "postgresql://loader:p@ss:w/rd@db.example.com/x" at 3')
    assert said == f'cannot parse "postgresql://loader:{REDACTED}@db.example.com/x" at 3'


def test_the_path_of_a_webhook_is_secret_however_short():
    register_url("https://hooks.example.com/T1", webhook=True)
    assert redact("POST https://hooks.example.com/T1: 404") == "POST ***: 404"


@pytest.mark.parametrize(("text", "said"), [("", "ValueError"), (" \n", "ValueError"), ("one\ntwo", "one")])
def test_the_first_line_of_any_error(text, said):
    """An error without a text, as some drivers raise, must not fail the message about it."""
    assert first_line(ValueError(text)) == said


def test_a_password_of_a_url_is_redacted_as_a_driver_decodes_it():
    register_url("postgresql://u:c4nary%40decoded@db.example.com/ledger")
    assert "c4nary" not in redact("authentication failed for u with c4nary@decoded")


@pytest.mark.parametrize(
    "text", ["hooks.example.com/T1?of=c4", "POST /T1?of=c4 failed", "https://hooks.example.com/T1?of=c4"]
)
def test_path_and_query_of_a_webhook_are_redacted(text):
    register_url("https://hooks.example.com/T1?of=c4", webhook=True)
    assert "T1" not in redact(text)
    assert "c4" not in redact(text)
