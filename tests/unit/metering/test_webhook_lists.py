"""I5: public lists of cases for signatures of webhooks, as far as they apply to the vendor's form.

- RFC 4231: HMAC-SHA256. Case 2 alone: the other keys are bytes that are no text, or white space, which is refused.
- GitHub, "Validating webhook deliveries": `sha256=` and hex, over the body alone, which is one of the forms read.
- Standard Webhooks: each case of its libraries, with what becomes of it here.
"""

import base64
import hashlib
import hmac

import pytest

from automatum.core.errors import ConfigurationError
from automatum.metering.webhook_signature import SIGNATURE_HEADER, verify_webhook

SECRET, BODY = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
"""Of the cases of Standard Webhooks."""
SIGNED = hmac.new(SECRET.encode(), BODY, hashlib.sha256).digest()
GOOD = base64.b64encode(SIGNED).decode()
NOT_APPLICABLE = {
    "missing id": "the vendor documents no header with an id; an event is told from another by its call id",
    "missing timestamp": "the vendor documents no time in what is signed",
    "invalid timestamp": "as above",
    "old timestamp": "as above; an event that comes twice changes nothing twice",
    "new timestamp": "as above",
    "valid unbranded signature": "there is one documented header",
    "secret with the prefix whsec_": "the vendor's secret is taken as it is shown",
    "sign": "the connector signs nothing",
}
"""Cases of Standard Webhooks that say nothing of the documented form, and why."""


@pytest.mark.parametrize(
    ("key", "message", "wanted"),
    [
        (
            "Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            "It's a Secret to Everybody",
            b"Hello, World!",
            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        ),
    ],
    ids=["RFC 4231", "GitHub"],
)
def test_published_signatures_are_recognized(key, message, wanted):
    for form in (wanted, f"sha256={wanted}", base64.b64encode(bytes.fromhex(wanted)).decode()):
        assert verify_webhook(message, {SIGNATURE_HEADER: form}, key)
        assert not verify_webhook(message + b"\n", {SIGNATURE_HEADER: form}, key)


@pytest.mark.parametrize(
    ("case", "given", "valid"),
    [
        ("valid signature", GOOD, True),
        ("missing signature", None, False),
        ("invalid signature", "v1,dawfeoifkpqwoekfpqoekf", False),
        ("partial signature", GOOD[:8], False),
        ("empty signature", "v1,", False),
        ("version before the signature", f"v1,{GOOD}", False),  # The vendor documents no version.
        ("several signatures", f"v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v1,{GOOD}", False),  # Nor several.
    ],
)
def test_the_cases_of_standard_webhooks(case, given, valid):
    headers = {} if given is None else {SIGNATURE_HEADER: given}
    assert verify_webhook(BODY, headers, SECRET) == valid
    assert case not in NOT_APPLICABLE


def test_a_signature_of_standard_webhooks_is_refused():
    """It covers an id and a time, and decodes its secret: not the documented form, so it says nothing of the body."""
    key = base64.b64decode(SECRET)
    for secret in (SECRET, key.decode("latin-1")):
        signed = hmac.new(key, b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330." + BODY, hashlib.sha256).digest()
        assert base64.b64encode(signed) == b"g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        assert not verify_webhook(BODY, {SIGNATURE_HEADER: base64.b64encode(signed).decode()}, secret)


@pytest.mark.parametrize("secret", ["", "\x0b" * 20], ids=["Standard Webhooks", "RFC 4231, case 1"])
def test_an_empty_secret_raises(secret):
    with pytest.raises(ConfigurationError, match="webhook_secret"):
        verify_webhook(BODY, {SIGNATURE_HEADER: GOOD}, secret)
