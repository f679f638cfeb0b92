"""O2: the local variables of a traceback, which Sentry and rich show, do not have the secret at any stage (I6)."""

import sys

import pytest

from automatum import automatum_source
from automatum.api.session import connect
from automatum.cli.webhook import Webhook
from automatum.config.credentials import open_store, reload_credentials
from automatum.config.settings import find_notify_url, find_webhook_secret, resolve_settings
from automatum.core.errors import AutomatumError, MoreToDo
from automatum.metering.webhook_signature import verified_events
from tests.support.desk import forget
from tests.support.loopback import Loopback, Say, closed_port, error
from tests.support.vaulting import aws, aws_server, bao, bao_server, kept  # noqa: F401

CANARY = "opaque-canary-5f2e9a"
BOTH = f"client_id = 'app_1'\nclient_secret = '{CANARY}'\n"


def shown(caught):
    """What a tool that shows local variables would show of an error and of those that it came from.

    Frames of the tests themselves are left out: they have the secret that they hand over.
    """
    found, current = [], caught
    while current is not None:
        frame = current.__traceback__
        while frame is not None:
            name = frame.tb_frame.f_globals.get("__name__", "")
            if not name.startswith(("tests", "_pytest")):
                found += [
                    f"{name}:{frame.tb_lineno} {key}={show(value)}" for key, value in frame.tb_frame.f_locals.items()
                ]
            frame = frame.tb_next
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return found


def show(value):
    try:
        return repr(value)
    except AttributeError:  # An object that was not made to its end.
        return ""


def check(fail, *kinds):
    with pytest.raises(kinds or AutomatumError) as caught:
        fail()
    frames = shown(caught.value)
    assert frames
    assert [one for one in frames if CANARY in one] == []
    assert CANARY not in str(caught.value)


def configure(desk, text, name="secrets.toml"):
    (desk.folder / ".dlt").mkdir(exist_ok=True)
    (desk.folder / ".dlt" / name).write_text(text)
    forget()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("secrets.toml", f"[sources.automatum]\n{BOTH}histroy = true\n"),
        ("secrets.toml", f"[sources.automatom]\n{BOTH}history = true\n"),
        ("secrets.toml", f"[sources.automatum]\n{BOTH}since = 'soon'\n"),
        ("secrets.toml", f"[sources.automatum]\n{BOTH}tables = 5\n"),
        ("secrets.toml", f"[sources.automatum]\nclient_secret = '{CANARY}'\n"),
        ("secrets.toml", f"[sources.automatum]\nclient_id = 'app_1'\nclient_secret = ['{CANARY}']\n"),
        ("secrets.toml", f"[sources.automatum]\nclient_secret = {CANARY}\n"),
        ("config.toml", f"[sources.automatum]\n{BOTH}"),
    ],
)
def test_while_the_configuration_is_read(desk, file, text):
    configure(desk, text, file)
    check(resolve_settings)
    if "= opaque" not in text:  # dlt reads the files before it calls a source, and its own error has their text.
        check(automatum_source)


def test_of_values_that_a_program_passes(desk):
    check(lambda: resolve_settings({"client_id": "app_1", "client_secret": CANARY, "since": "soon"}))
    check(lambda: resolve_settings({"client_id": "app_1", "client_secret": CANARY, "sinse": "soon"}))


@pytest.mark.parametrize("answer", ["refused", "unreachable", "no token", "html"])
def test_while_a_token_is_requested(desk, monkeypatch, answer):
    configure(desk, f"[sources.automatum]\n{BOTH}")
    desk.attempts(1)
    with Loopback() as server:
        desk.set(base_url=server.url if answer != "unreachable" else f"http://127.0.0.1:{closed_port()}")
        answers = {"refused": error(401, "no"), "no token": Say(body={}), "html": Say(200, b"<html>")}
        server.say("/oauth/token", answers.get(answer, Say(500)))
        session = connect(resolve_settings({"quota_url": "memory://"}))
        check(session.client.tokens.token)


def test_of_an_access_token_while_a_request_is_made(desk):
    """O11: a full disk of the ledger, or the end of the run's budget, ends a request that has its token."""
    configure(desk, "[sources.automatum]\nclient_id = 'app_1'\nclient_secret = 'secret_other'\n")

    def stop():
        raise MoreToDo("stopped.")

    with Loopback() as server:
        desk.set(base_url=server.url)
        server.say("/oauth/token", Say(body={"access_token": CANARY, "expires_in": 3600}))
        server.say("/api/v1/customers", error(403, "no"))
        client = connect(resolve_settings({"quota_url": "memory://"})).client
        check(lambda: client.get("customers"))
        check(lambda: client.post("metering", b"{}", before=stop))
        assert server.to("/api/v1/customers")[0].headers["Authorization"] == f"Bearer {CANARY}"


def test_of_a_webhook(desk):
    """Its URL lets anybody post to the channel, and its secret lets anybody sign events."""
    configure(desk, f"[sources.automatum]\nnotify_url = 'http://example.com/{CANARY}'\nwebhook_secret = '{CANARY}'\n")
    check(lambda: Webhook(find_notify_url()))
    call = {"headers": {"x-automatum-signature": "00"}, "body": "{}"}
    check(lambda: list(verified_events([call], find_webhook_secret())))


@pytest.mark.parametrize("kind", ["bao", "aws"])
def test_while_a_vault_is_read_and_written(desk, request, kind, monkeypatch):
    secret = kept(request, kind)
    secret.put({"client_id": "app_1", "clientSecret": CANARY})
    desk.set(secrets_from=secret.address)
    check(resolve_settings)
    secret.put({"client_id": "app_1", "client_secret": CANARY, "since": "soon"})
    desk.set(since="soon")
    forget()
    check(resolve_settings)
    store = open_store(secret.address, None)
    assert store.read()["client_secret"].reveal() == CANARY
    for name in (
        "hvac.api.secrets_engines.kv_v2.KvV2.create_or_update_secret",
        "botocore.client.BaseClient._make_api_call",
    ):
        monkeypatch.setattr(name, lambda *_, **__: sys.exit(3))
    check(lambda: store.write({"client_id": "app_2"}), SystemExit, AutomatumError)


def test_while_a_file_is_written_and_read_again(desk):
    configure(desk, f"[sources.automatum]\n{BOTH}")
    store = open_store("toml", None)
    (desk.folder / ".dlt/secrets.toml").chmod(0o400)
    settings = resolve_settings()
    store.path = store.path.parent
    check(store.check_writable)
    (desk.folder / ".dlt/secrets.toml").chmod(0o600)
    (desk.folder / ".dlt/secrets.toml").write_text(f"[sources.automatum]\n{BOTH}x = = 1\n")
    check(lambda: reload_credentials(settings.credentials_from))
