"""A webhook call is believed only with a signature over the bytes as they arrived (I5)."""

import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automatum.core.errors import ConfigurationError
from automatum.metering.webhook_signature import SIGNATURE_HEADER, verified_events, verify_webhook

SECRET = "whs_canary_1234567890"


def digest(content, key=SECRET):
    return hmac.new(key.encode(), content, hashlib.sha256).digest()


@given(body=st.binary(), more=st.binary(min_size=1))
def test_each_form_is_read_and_any_other_body_is_refused(body, more):
    signed = digest(body)
    for text in (signed.hex(), f"sha256={signed.hex()}", base64.b64encode(signed).decode()):
        assert verify_webhook(body, {"X-Automatum-Signature": text}, SECRET)
        assert not verify_webhook(body + more, {"X-Automatum-Signature": text}, SECRET)
        assert not verify_webhook(body, {"X-Automatum-Signature": text}, "another")


@pytest.mark.parametrize("secret", ["", " "])
def test_an_empty_secret_is_refused_because_anybody_can_sign_with_it(secret):
    with pytest.raises(ConfigurationError, match="webhook_secret"):
        verify_webhook(b"{}", {SIGNATURE_HEADER: digest(b"{}", secret).hex()}, secret)


@pytest.mark.parametrize(
    "headers", [{}, {SIGNATURE_HEADER: ""}, {SIGNATURE_HEADER: "sha256="}, {SIGNATURE_HEADER: "ü\udc80"}]
)
def test_no_signature_is_none(headers):
    assert not verify_webhook(b"{}", headers, SECRET)


def test_one_forged_event_refuses_all():
    body = json.dumps({"event": "metering.confirmed", "price": 0.1})
    good = {"headers": {SIGNATURE_HEADER: digest(body.encode()).hex()}, "body": body}
    table_row = {**good, "headers": json.dumps(good["headers"])}
    assert [str(one["price"]) for one in verified_events([good, table_row], SECRET)] == ["0.1", "0.1"]
    assert list(verified_events([{"event": "x"}], None)) == [{"event": "x"}]
    assert len(list(verified_events([good], None))) == 1
    forged = {**good, "body": body.replace("confirmed", "failed")}
    for bad in (forged, {"event": "x"}, {**good, "headers": {}}, {**good, "headers": "{"}):
        with pytest.raises(ConfigurationError, match="event 2"):
            list(verified_events([good, bad], SECRET))
