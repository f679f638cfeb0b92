"""A secret shows itself to `reveal` alone (I6)."""

import copy
import json
import pickle
from dataclasses import asdict

import orjson
import pytest

from automatum.config.settings import AutomatumSettings
from automatum.core.redaction import Secret, redact, reveal, sealed

CANARY = "opaque-canary-5f2e9a"


def test_no_text_of_a_secret_has_it():
    secret = Secret(CANARY)
    for text in (repr(secret), str(secret), f"{secret}", f"{secret:>30}", f"{secret!r}", f"{[secret]}"):
        assert CANARY not in text
    assert CANARY not in repr(vars(AutomatumSettings(client_secret=secret)))
    assert CANARY not in str(asdict(AutomatumSettings(client_secret=secret)))


@pytest.mark.parametrize("dump", [json.dumps, orjson.dumps, pickle.dumps])
def test_nothing_writes_a_secret(dump):
    with pytest.raises(TypeError):
        dump({"client_secret": Secret(CANARY)})


def test_a_secret_is_equal_to_the_same_secret_and_to_no_text():
    secret = Secret(CANARY)
    assert secret == copy.copy(secret) == copy.deepcopy(secret) == Secret(CANARY)
    assert len({secret, Secret(CANARY)}) == 1
    assert secret != CANARY
    assert (bool(secret), bool(Secret(""))) == (True, False)


def test_messages_are_redacted_of_it_in_any_case():
    """O11: servers echo a secret in upper case, and with `<` as HTML or not."""
    Secret("Opaque<Canary>5F2e&9a")
    for text in ("OPAQUE<CANARY>5F2E&9A", "opaque<canary>5f2e&9a", "Opaque&lt;Canary&gt;5F2e&amp;9a"):
        assert redact(f"x {text} y") == "x *** y"


def test_a_secret_url_is_redacted_of_its_password_alone():
    Secret("postgresql://loader:opaque-canary@db.example/market")
    assert redact("postgresql at db.example: opaque-canary") == "postgresql at db.example: ***"


def test_settings_are_sealed_by_the_names_of_their_keys():
    document = {"client_id": "app_1", "nested": [{"password": CANARY, "port": 1}], "client_secret": CANARY}
    found = sealed(document)
    assert CANARY not in repr(found)
    assert "app_1" in repr(found)
    assert orjson.loads(orjson.dumps(found, reveal)) == document
