"""Credentials from AWS Secrets Manager and from HashiCorp Vault (OpenBao), and what happens when they give none."""

import json
import logging
import sys

import dlt
import pytest
from dlt.common.runtime.run_context import active

from automatum import automatum_source
from automatum.config.credentials import reload_credentials
from automatum.config.settings import resolve_settings
from automatum.config.vaults.store import NAME, VaultSecret, parse_vault_address, register_vault_provider
from automatum.core.errors import ConfigurationError, ServerUnreachable, VaultDenied
from automatum.core.redaction import Secret, redact, register_secret
from tests.support.loopback import Loopback, Say, closed_port
from tests.support.vaulting import aws, aws_server, bao, bao_server, kept  # noqa: F401

CANARY = "opaque-canary-5f2e9a"
BOTH = {"client_id": "app_vaulted", "client_secret": CANARY}
READ = {"client_id": "app_vaulted", "client_secret": Secret(CANARY)}


@pytest.fixture(params=["bao", "aws"])
def secret(request):
    """A secret in each of the vaults; not there yet."""
    return kept(request, request.param)


@pytest.fixture
def asked(monkeypatch):
    """Names of the secrets that have been asked for, in their order."""
    seen, real = [], VaultSecret.read
    monkeypatch.setattr(VaultSecret, "read", lambda self: seen.append(str(self)) or real(self))
    return seen


@pytest.mark.slow
def test_credentials_come_from_the_vault_by_one_lookup(secret, desk, asked):
    secret.put({**BOTH, "quota_url": "memory://", "personal_key": "key-of-the-hashes"})
    desk.set(secrets_from=secret.address)
    settings = resolve_settings()
    assert (settings.client_id, settings.client_secret) == ("app_vaulted", Secret(CANARY))
    assert (settings.quota_url, settings.personal_key) == (Secret("memory://"), Secret("key-of-the-hashes"))
    resolve_settings()
    assert asked == [secret.address]
    assert redact(f"x {CANARY} y") == "x *** y"


@pytest.mark.parametrize("written", [list, json.dumps], ids=["list", "text"])
def test_further_applications_come_from_the_vault_too(secret, desk, asked, written):
    """As a list or, as the AWS console stores every value, as its text. A rotated secret is read again (I6)."""
    more = [{"client_id": "app_2", "client_secret": f"{CANARY}-2"}]
    secret.put({**BOTH, "applications": written(more)})
    desk.set(secrets_from=secret.address)
    settings = resolve_settings()
    assert settings.pool() == (("app_2", Secret(f"{CANARY}-2")),)
    assert asked == [secret.address]
    assert CANARY not in repr(vars(settings))
    more[0]["client_secret"] = f"{CANARY}-3"
    secret.put({**BOTH, "applications": written(more)})
    assert reload_credentials(settings.credentials_from, "app_2") == ("app_2", Secret(f"{CANARY}-3"))
    assert redact(f"x {CANARY}-3 y") == "x *** y"


def test_the_environment_and_secrets_toml_come_first(secret, desk):
    secret.put(BOTH)
    desk.set(secrets_from=secret.address, client_id="app_of_the_environment")
    (desk.folder / ".dlt").mkdir()
    (desk.folder / ".dlt/secrets.toml").write_text('[sources.automatum]\nclient_secret = "secret_of_the_file"\n')
    active().reload()  # as a new process would find the file
    settings = resolve_settings()
    assert (settings.client_id, settings.client_secret) == ("app_of_the_environment", Secret("secret_of_the_file"))


def test_the_placeholders_of_dlt_init_do_not_hide_the_vault(secret, desk):
    secret.put(BOTH)
    desk.set(secrets_from=secret.address)
    (desk.folder / ".dlt").mkdir()
    text = '[sources.automatum]\nclient_id = "<configure me>"\nclient_secret = "<configure me>"\n'
    (desk.folder / ".dlt/secrets.toml").write_text(text)
    active().reload()
    settings = resolve_settings()
    assert (settings.client_id, settings.client_secret) == ("app_vaulted", Secret(CANARY))


def test_a_key_in_another_spelling_is_named_without_its_value(secret, desk):
    """I6: other keys of the secret are other programs' and stay."""
    secret.put({"client_id": "app_1", "clientSecret": CANARY, "owner": "someone"})
    desk.set(secrets_from=secret.address)
    with pytest.raises(ConfigurationError, match="Did you mean client_secret") as caught:
        resolve_settings()
    assert "clientSecret" in str(caught.value)
    assert CANARY not in str(caught.value)


def test_a_plain_dlt_script_gets_them_too(secret, desk, start):
    served = start(customers=3, entitlements=0, private_offers=0, days=1)
    secret.put({"client_id": served.client_id, "client_secret": served.client_secret})
    desk.set(secrets_from=secret.address, base_url=served.base_url)
    (table,) = list(automatum_source().customers)
    assert table.num_rows == 3
    assert dlt.secrets["sources.automatum.client_secret"] == served.client_secret


def test_each_organization_has_a_secret_of_its_own(secret, desk, asked):
    secret.put({"client_id": "app_a", "client_secret": "secret_of_acme_1"}, "acme")
    secret.put({"client_id": "app_g", "client_secret": "secret_of_globex"}, "globex")
    desk.set(secrets_from=secret.address)
    desk.set(organizations=[{"name": "acme"}, {"name": "globex"}])
    found = {name: resolve_settings(organization=name) for name in ("acme", "globex", "acme")}
    assert {name: (one.client_id, one.client_secret.reveal()) for name, one in found.items()} == {
        "acme": ("app_a", "secret_of_acme_1"),
        "globex": ("app_g", "secret_of_globex"),
    }
    assert asked == [f"{secret.address}/acme", secret.address, f"{secret.address}/globex"]


def test_organizations_share_what_is_no_credential(secret, desk):
    """A `personal_key` there was refused as not set, and the URLs were not used."""
    shared = {"personal_key": "key-of-the-hashes", "quota_url": "memory://"}
    secret.put({**BOTH, **shared})
    secret.put({"client_id": "app_a", "client_secret": "secret_of_acme_1"}, "acme")
    secret.put({"client_id": "app_g", "client_secret": "secret_of_globex", "quota_url": "memory://own"}, "globex")
    desk.set(secrets_from=secret.address, organizations=[{"name": "acme"}, {"name": "globex"}])
    acme, globex = resolve_settings(organization="acme"), resolve_settings(organization="globex")
    assert (acme.client_id, globex.client_id) == ("app_a", "app_g")
    assert acme.personal_key == globex.personal_key == Secret("key-of-the-hashes")
    assert (acme.quota_url, globex.quota_url) == (Secret("memory://"), Secret("memory://own"))


def test_a_policy_may_grant_the_secret_of_an_organization_alone(bao, desk, monkeypatch):  # noqa: F811
    bao.put("alone/acme", BOTH)
    monkeypatch.setenv("VAULT_TOKEN", bao.token_for("alone/acme", "read"))
    desk.set(secrets_from=f"vault+http://{bao.host}/secret/alone", organizations=[{"name": "acme"}])
    assert resolve_settings(organization="acme").client_id == "app_vaulted"


def test_an_organization_never_gets_the_credentials_of_another(secret, desk):
    secret.put(BOTH)
    desk.set(secrets_from=secret.address, organizations=[{"name": "acme"}])
    with pytest.raises(ConfigurationError, match=r"there is no secret .*/acme") as caught:
        resolve_settings(organization="acme")
    assert caught.value.exit_code == 78


@pytest.mark.slow
def test_an_organization_without_a_secret_does_not_stop_the_others(secret, desk, start):
    served = start(customers=3, entitlements=0, private_offers=0, days=1)
    secret.put({"client_id": served.client_id, "client_secret": served.client_secret}, "globex")
    desk.set(
        secrets_from=secret.address, base_url=served.base_url, organizations=[{"name": "acme"}, {"name": "globex"}]
    )
    ran = desk.sync("customers")
    assert ran.code == 78
    assert f"there is no secret {secret.address}/acme" in ran.says
    assert [count for _, count in desk.query("SELECT organization_id, count(*) FROM customers GROUP BY ALL")] == [3]


def test_what_needs_no_credentials_asks_no_vault(desk, asked):
    desk.set(secrets_from="vault://vault.invalid/secret/automatum")
    assert desk.run("discover").code == 0
    assert desk.run("status").code == 78  # no database, and nothing else
    assert asked == []


def test_given_credentials_ask_no_vault(desk, asked):
    desk.set(secrets_from="vault://vault.invalid/secret/automatum", client_id="app_1", client_secret="secret_123456")
    assert resolve_settings().client_id == "app_1"
    assert asked == []


@pytest.mark.slow
def test_a_secret_that_is_not_there_is_a_matter_of_configuration(secret, desk):
    desk.set(secrets_from=secret.address)
    ran = desk.run("check", "--json")
    assert ran.code == 78
    assert f"there is no secret {secret.address}" in ran.json["errors"][0]["message"]


def test_dlt_names_the_vault_in_its_traces(secret, desk):
    secret.put(BOTH)
    desk.set(secrets_from=secret.address)
    resolve_settings()
    provider = register_vault_provider()
    assert provider.name == NAME
    assert secret.address in repr(provider)
    assert CANARY not in repr(provider)


@pytest.mark.parametrize(
    "address",
    [
        "s3://bucket/key",
        "automatum",
        "aws-secretsmanager://eu-central-1",
        "aws-secretsmanager://eu_central/x",
        "aws-secretsmanager://eu-central-1/a/../b",
        "vault://vault.example.com",
        "vault://vault.example.com/secret",
        "vault://u:vault-canary@vault.example.com/secret/x",
        "vault+http://vault.example.com/secret/x",
        "vault://vault.example.com:port/secret/x",
        "vault://vault.example.com/secret/x?version=1",
        "vault://[/secret/x",
    ],
)
def test_what_is_no_address_is_refused_with_an_example(desk, address):
    desk.set(secrets_from=address)
    ran = desk.run("check", "--json")
    assert ran.code == 78
    (error,) = ran.json["errors"]
    assert error["message"].startswith("sources.automatum.secrets_from: ")
    assert "https" in error["next_step"] or "vault://HOST/MOUNT/PATH" in error["next_step"]
    assert "vault-canary" not in ran.out + ran.err


@pytest.mark.parametrize(
    "address",
    [
        "aws-secretsmanager://eu-central-1/a/b",
        "vault://v.example:8200/kv/a/b",
        "vault+http://[::1]:1/kv/a",
        "vault:///kv/a",
    ],
)
def test_an_address_reads_as_it_was_written(address):
    assert str(parse_vault_address(address)) == address


# What a vault may do instead of answering.


@pytest.mark.slow
def test_a_vault_that_is_down_is_unreachable_after_bounded_attempts(desk, monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", "vault-token-canary")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "aws-canary-0123456789")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed_port()}")
    for address in (f"vault+http://127.0.0.1:{closed_port()}/secret/x", "aws-secretsmanager://eu-central-1/x"):
        desk.set(secrets_from=address)
        ran = desk.run("check", "--json", "--debug")
        assert ran.code == 69, ran
        assert ran.json["errors"][0]["type"] == "ServerUnreachable"
        assert "canary" not in ran.out + ran.err


def vault_says(status, errors):
    return Say(status, {"errors": errors}, headers={"Content-Type": "application/json"})


@pytest.mark.parametrize(
    ("answer", "raised", "requests"),
    [
        (vault_says(503, ["Vault is sealed"]), ServerUnreachable, 1),
        (vault_says(500, [f"oops {CANARY}"]), ServerUnreachable, 1),
        (Say(200, b"<html>login</html>"), ServerUnreachable, 1),
        (Say(307, b"", headers={"Location": "http://127.0.0.2:1/v1/secret/data/x"}), ServerUnreachable, 1),
        (Say(reset=True), ServerUnreachable, 1),
        (vault_says(403, ["permission denied"]), VaultDenied, 1),
        (vault_says(400, ["missing client token"]), ConfigurationError, 1),
        (vault_says(404, ["no handler for route"]), ConfigurationError, 1),
        (Say(404, b"<html>not found</html>"), ConfigurationError, 1),
        (Say(200, {"data": {"client_secret": CANARY}}), ConfigurationError, 1),
    ],
)
def test_whatever_vault_answers_is_told_without_secrets(monkeypatch, answer, raised, requests):
    monkeypatch.setenv("VAULT_TOKEN", "vault-token-canary")
    with Loopback() as server:
        server.say("/v1/secret/data/x", answer)
        place = parse_vault_address(server.url.replace("http", "vault+http") + "/secret/x")
        redact_known = pytest.importorskip("automatum.core.redaction")
        redact_known.register_secret(CANARY)
        register_secret(CANARY)
        with pytest.raises(raised) as caught:
            place.read()
        assert len(server.seen) == requests
    assert caught.value.next_step
    assert caught.value.__context__ is None
    assert "canary" not in str(caught.value)


def test_the_vault_token_does_not_follow_a_redirect(monkeypatch):
    """I6: a standby that names another host does not get the token there."""
    monkeypatch.setenv("VAULT_TOKEN", "vault-token-canary")
    with Loopback() as server, Loopback() as thief:
        elsewhere = thief.url.replace("127.0.0.1", "localhost")
        server.say("/v1/secret/data/x", Say(307, b"", headers={"Location": f"{elsewhere}/v1/secret/data/x"}))
        place = parse_vault_address(server.url.replace("http", "vault+http") + "/secret/x")
        with pytest.raises(ServerUnreachable, match="a redirect, which is not followed"):
            place.read()
        assert thief.seen == []


def test_a_write_to_vault_is_never_sent_twice(monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", "vault-token-canary")
    found = {"data": {"data": dict(BOTH), "metadata": {"version": 3}}}
    with Loopback() as server:
        server.say("/v1/secret/data/x", Say(200, found), vault_says(503, ["busy"]))
        place = parse_vault_address(server.url.replace("http", "vault+http") + "/secret/x")
        with pytest.raises(ServerUnreachable):
            place.write({"client_secret": "another-canary"})
        assert [one.method for one in server.seen] == ["GET", "POST"]
        assert b'"cas": 3' in server.seen[1].body


def test_without_a_token_vault_is_not_asked(bao, monkeypatch):  # noqa: F811
    monkeypatch.delenv("VAULT_TOKEN")
    with pytest.raises(VaultDenied, match="no Vault token was found") as caught:
        parse_vault_address(f"vault+http://{bao.host}/secret/x").read()
    assert caught.value.exit_code == 77
    assert "vault login" in caught.value.next_step


def test_vault_is_logged_in_to_in_its_usual_ways(bao, monkeypatch, tmp_path):  # noqa: F811
    bao.put("ways", BOTH)
    address = parse_vault_address("vault:///secret/ways")
    monkeypatch.setenv("VAULT_ADDR", f"http://{bao.host}")
    assert address.read() == READ
    monkeypatch.delenv("VAULT_TOKEN")
    (tmp_path / "home/.vault-token").write_text(bao.token_for("ways", "read") + "\n")
    assert address.read() == READ
    (tmp_path / "home/.vault-token").unlink()
    role, secret_id = bao.role_for("ways", "read")
    monkeypatch.setenv("VAULT_ROLE_ID", role)
    monkeypatch.setenv("VAULT_SECRET_ID", secret_id)
    assert address.read() == READ
    assert redact(secret_id) == "***"
    monkeypatch.setenv("VAULT_SECRET_ID", "wrong-canary-1234")
    with pytest.raises((VaultDenied, ConfigurationError)) as caught:
        address.read()
    assert "wrong-canary" not in str(caught.value)


def test_a_vault_policy_that_names_another_path_denies(bao, desk, monkeypatch):  # noqa: F811
    bao.put("closed", BOTH)
    monkeypatch.setenv("VAULT_TOKEN", bao.token_for("open", "read"))
    desk.set(secrets_from=f"vault+http://{bao.host}/secret/closed")
    ran = desk.run("check", "--json")
    assert ran.code == 77
    assert "permission denied" in ran.json["errors"][0]["message"]


def test_a_deleted_vault_secret_is_not_there(bao):  # noqa: F811
    bao.put("deleted", BOTH)
    bao.root.secrets.kv.v2.delete_latest_version_of_secret(path="deleted")
    place = parse_vault_address(f"vault+http://{bao.host}/secret/deleted")
    assert place.read() is None
    place.write(BOTH)
    assert place.read() == READ


def test_aws_needs_botocore_and_not_boto3(aws, monkeypatch):  # noqa: F811
    """boto3 pins botocore, and would bind whoever uses another version of it."""
    aws.put("alone", BOTH)
    address = parse_vault_address("aws-secretsmanager://eu-central-1/alone")
    monkeypatch.setitem(sys.modules, "boto3", None)  # the import fails, as if it was not installed
    assert address.read() == READ
    monkeypatch.setitem(sys.modules, "botocore", None)
    monkeypatch.delitem(sys.modules, "automatum.config.vaults.aws")
    with pytest.raises(ConfigurationError, match="needs botocore") as caught:
        address.read()
    assert "pip install 'botocore>=1.35'" in caught.value.next_step


@pytest.mark.slow
def test_a_refusal_of_aws_is_in_the_message(aws, desk, monkeypatch):  # noqa: F811
    aws.put("not-json", CANARY)
    desk.set(secrets_from="aws-secretsmanager://eu-central-1/not-json")
    ran = desk.run("check", "--json")
    assert ran.code == 78
    assert "is not a JSON object" in ran.json["errors"][0]["message"]
    assert CANARY not in ran.out + ran.err
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    ran = desk.run("check", "--json")
    assert ran.code == 77
    assert "Unable to locate credentials" in ran.json["errors"][0]["message"]
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert desk.run("check").code == 78


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("code", "status", "exit_code"),
    [
        ("AccessDeniedException", 400, 77), ("ExpiredTokenException", 400, 77), ("DecryptionFailure", 400, 77),
        ("InvalidRequestException", 400, 78), ("InternalServiceError", 500, 69),
    ],
)  # fmt: skip
def test_each_refusal_of_aws_has_its_exit_code(aws, monkeypatch, code, status, exit_code):  # noqa: F811
    with Loopback() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        server.say("/", Say(status, {"__type": code, "message": "no secret_canary123456 for you"}))
        with pytest.raises(Exception) as caught:  # the kinds are told apart by their codes
            parse_vault_address("aws-secretsmanager://eu-central-1/x").read()
        assert len(server.seen) <= 3
    assert caught.value.exit_code == exit_code
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.slow
def test_nothing_of_a_secret_is_logged_however_much_is(secret, desk, caplog):
    secret.put(BOTH)
    desk.set(secrets_from=secret.address)
    place = parse_vault_address(secret.address)
    with caplog.at_level(logging.DEBUG):
        resolve_settings()
        place.write({"client_secret": "stored-canary-77"})
        assert place.read() == {**BOTH, "client_secret": Secret("stored-canary-77")}
    logs = "\n".join(f"{record.getMessage()} {record.exc_text} {vars(record)}" for record in caplog.records)
    assert "canary" not in logs
    assert "root-" not in logs


# Writing.


def test_storing_keeps_what_else_is_there(secret):
    secret.put({**BOTH, "note": "ours", "nested": {"a": [1, None]}})
    place = parse_vault_address(secret.address)
    place.check_writable()
    assert secret.get() == {**BOTH, "note": "ours", "nested": {"a": [1, None]}}
    place.write({"client_secret": "new"})
    assert secret.get() == {**BOTH, "client_secret": "new", "note": "ours", "nested": {"a": [1, None]}}


def test_vault_keeps_the_version_before(bao):  # noqa: F811
    bao.put("versions", BOTH)
    place = parse_vault_address(f"vault+http://{bao.host}/secret/versions")
    place.write({"client_secret": "new"})
    assert bao.version("versions") == 2


def test_aws_keeps_the_version_before_and_a_proof_leaves_the_current_one(aws):  # noqa: F811
    aws.put("versions", BOTH)
    place = parse_vault_address("aws-secretsmanager://eu-central-1/versions")
    place.check_writable()
    assert aws.get("versions") == BOTH
    place.write({"client_secret": "new"})
    assert aws.get("versions", "AWSPREVIOUS") == BOTH


def test_a_proof_fails_where_storing_would(bao, monkeypatch):  # noqa: F811
    bao.put("read-only", BOTH)
    monkeypatch.setenv("VAULT_TOKEN", bao.token_for("read-only", "read"))
    place = parse_vault_address(f"vault+http://{bao.host}/secret/read-only")
    with pytest.raises(VaultDenied):
        place.check_writable()
    assert bao.version("read-only") == 1


def test_dlts_own_aws_provider_serves_reading(aws, desk, monkeypatch):  # noqa: F811
    aws.put("dlt/sources/automatum", '[sources.automatum]\nclient_id = "app_x"\nclient_secret = "secret_by_dlt_1"\n')
    monkeypatch.setenv("PROVIDERS__ENABLE_AWS_SECRETS", "true")
    monkeypatch.setenv("PROVIDERS__AWS_SECRETS__CREDENTIALS__REGION_NAME", "eu-central-1")
    active().reload()  # as a new process would find the providers
    with pytest.raises(ConfigurationError):
        resolve_settings()  # its client_id is no secret to dlt, and not looked for there
    desk.set(client_id="app_x")
    assert resolve_settings().client_secret == Secret("secret_by_dlt_1")
