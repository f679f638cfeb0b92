"""A secret that was rotated is taken up without a restart, in the middle of a sync, by one more look (I1, I4, I6)."""

import json
import logging
import random
import threading

import dlt
import pytest
from dlt.common.runtime.run_context import active

from automatum import automatum_source
from automatum.api.connections import Connections
from automatum.api.oauth import TokenSource
from automatum.api.rate_limit import NO_WAIT, RateLimiter
from automatum.api.retry import Sender
from automatum.config.settings import AutomatumSettings, resolve_settings
from automatum.core.budget import Budget
from automatum.core.errors import CredentialsRefused, QuotaExhausted, ServerUnreachable
from automatum.core.redaction import Secret
from tests.support.clocks import FakeClock
from tests.support.desk import VOLUME, api_requests
from tests.support.loopback import Loopback, error, token
from tests.support.vaulting import aws, aws_server, bao, bao_server, kept  # noqa: F401

REFUSED = error(401, "Invalid client credentials")
OLD, NEW, NEWER = "secret_old_canary_1", "secret_new_canary_2", "secret_newer_canary_3"
URL = "/oauth/token"


@pytest.fixture
def server():
    with Loopback() as one:
        yield one


class Asked:
    """Stands where the configuration is asked again: the tests below hold what the token source makes of answers."""

    def __init__(self, *answers):
        self.answers, self.times = list(answers), 0

    def __call__(self):
        self.times += 1
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def source(server):
    with Connections() as connections:

        def build(*answers, limits=((1000, 60.0),)):
            clock = FakeClock()
            asked, budget = Asked(*answers), Budget(clock)
            limiter = RateLimiter(limits, ((1000, 60.0),), clock)
            settings = AutomatumSettings()
            settings.base_url, settings.client_id, settings.client_secret = server.url, "app_1", Secret(OLD)
            settings.request_timeout = 5.0
            one = TokenSource(Sender(settings, clock, limiter, budget, connections, random.Random(1)), asked)
            one.asked, one.budget = asked, budget
            return one

        yield build


@pytest.mark.parametrize("status", [400, 401])
def test_a_newer_secret_is_tried_once_and_charged(server, source, status):
    """I4: the second token request is charged like the first."""
    server.say(URL, error(status, "Invalid client credentials"), token("fresh"))
    one = source(("app_1", Secret(NEW)))
    assert one.token() == Secret("fresh")
    assert one.asked.times == 1
    assert [NEW.encode() in seen.body for seen in server.seen] == [False, True]
    assert one.budget.token_requests == 2
    one.invalidate(Secret("fresh"))
    one.token()
    assert NEW.encode() in server.seen[-1].body


def test_a_newer_secret_is_not_tried_if_the_rate_limit_is_used_up(server, source):
    """I4: nothing is sent that the quota does not allow."""
    server.say(URL, REFUSED, token("fresh"))
    one = source(("app_1", Secret(NEW)), limits=((1, 3600.0),))
    one.max_wait = NO_WAIT
    with pytest.raises(QuotaExhausted):
        one.token()
    assert len(server.seen) == 1


@pytest.mark.parametrize("answer", [("app_1", Secret(OLD)), None])
def test_the_same_secret_is_not_sent_again(server, source, answer):
    server.say(URL, REFUSED)
    one = source(answer)
    with pytest.raises(
        CredentialsRefused, match=r"^POST /oauth/token answered 401: Invalid client credentials\. Verify"
    ):
        one.token()
    assert (len(server.seen), one.asked.times) == (1, 1)


def test_a_secret_that_came_back_is_not_sent_again(server, source):
    server.say(URL, REFUSED)
    one = source(("app_1", Secret(NEW)), ("app_1", Secret(NEWER)), ("app_1", Secret(OLD)))
    with pytest.raises(CredentialsRefused):
        one.token()
    assert (len(server.seen), one.asked.times) == (3, 3)


def test_a_vault_that_is_down_is_named_beside_the_refusal(server, source):
    server.say(URL, REFUSED)
    one = source(ServerUnreachable("vault://x: no usable answer from Vault: VaultDown.", "Is it sealed?"))
    with pytest.raises(
        CredentialsRefused, match=r"credentials\. The configuration could not be read again: .*VaultDown"
    ) as caught:
        one.token()
    assert caught.value.__context__ is None
    assert len(server.seen) == 1


def test_another_application_is_not_taken_up(server, source):
    """Each application has its own rate limit."""
    server.say(URL, REFUSED)
    one = source(("app_2", Secret(NEW)))
    with pytest.raises(CredentialsRefused, match="names another application, app_2"):
        one.token()
    assert len(server.seen) == 1


def test_other_failures_do_not_read_the_configuration_again(server, source):
    server.say(URL, error(403, "Forbidden"))
    one = source()
    with pytest.raises(CredentialsRefused):
        one.token()
    assert one.asked.times == 0


def test_many_threads_ask_once(server, source):
    server.say(URL, REFUSED, token("fresh"))
    one = source(("app_1", Secret(NEW)))
    got = []
    threads = [threading.Thread(target=lambda: got.append(one.token())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [Secret("fresh")] * 8
    assert (one.asked.times, len(server.seen)) == (1, 2)


# The same with the real configuration.


def in_toml(desk):
    (desk.folder / ".dlt").mkdir(exist_ok=True)

    def put(document, organization=None):
        section = "sources.automatum" + (f".{organization}" if organization else "")
        lines = [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in document.items())]
        (desk.folder / ".dlt/secrets.toml").write_text("\n".join(lines) + "\n")

    return put


@pytest.fixture(params=["toml", "bao", "aws"])
def put(request, desk):
    """Puts credentials where the configuration finds them."""
    if request.param == "toml":
        return in_toml(desk)
    secret = kept(request, request.param)
    desk.set(secrets_from=secret.address)
    return secret.put


def ready(start, desk, put, organization=None):
    served = start(**VOLUME)
    desk.use(served)
    desk.set(client_id=None, client_secret=None)
    desk.attempts(2)
    put({"client_id": served.client_id, "client_secret": served.client_secret}, organization)
    active().reload()
    return served.sandbox


def new_secret(sandbox):
    app = sandbox.apps[0]
    return {"client_id": app.client_id, "client_secret": sandbox.tokens.new_secret(app, sandbox.calendar())}


def token_requests(sandbox):
    return len(sandbox.requests.to("/oauth/token"))


@pytest.mark.slow
def test_a_rotation_in_the_middle_of_a_sync_goes_unnoticed(start, desk, put, tmp_path):
    """I1: all rows arrive. I6: neither secret shows, nor is it in any file that the sync has written."""
    sandbox = ready(start, desk, put)
    old = sandbox.client_secret
    sandbox.schedule.after(2, lambda: put(new_secret(sandbox)), path="/api/v1/")
    ran = desk.sync("customers", "--debug")
    assert ran.code == 0, ran
    assert desk.counts() == {"customers": VOLUME["customers"]}
    assert api_requests(sandbox) == {"customers": 4}  # three pages, one of them twice
    assert token_requests(sandbox) == 3  # the first, the one with the dead secret, the one with the new
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "secrets.toml"]
    assert desk.database in written
    for secret in (old, sandbox.client_secret):
        assert secret not in ran.out + ran.err
        assert [path for path in written if secret.encode() in path.read_bytes()] == []


@pytest.mark.slow
def test_a_dead_secret_that_nobody_replaced_ends_the_sync_as_before(start, desk):
    sandbox = ready(start, desk, in_toml(desk))
    sandbox.schedule.after(2, lambda: new_secret(sandbox), path="/api/v1/")
    ran = desk.sync("customers")
    assert ran.code == 77
    assert "Invalid client credentials" in ran.says
    assert token_requests(sandbox) == 2


@pytest.mark.sample(1)
def test_an_organizations_own_secret_is_asked_for(start, desk, put):
    desk.set(organizations=[{"name": "acme"}])
    sandbox = ready(start, desk, put, "acme")
    settings = resolve_settings(organization="acme")
    put(new_secret(sandbox), "acme")
    from automatum.api.session import connect

    assert connect(settings).client.tokens.token()
    assert token_requests(sandbox) == 2


@pytest.mark.sample(1)
def test_a_plain_dlt_script_takes_it_up_too(start, desk, put):
    sandbox = ready(start, desk, put)
    source = automatum_source()
    assert sum(table.num_rows for table in source.customers) == VOLUME["customers"]
    put(new_secret(sandbox))
    assert sum(table.num_rows for table in source.entitlements) > 0
    assert token_requests(sandbox) == 3


def test_a_mounted_secret_is_read_again(start, desk, monkeypatch, tmp_path):
    """Docker and Kubernetes replace the file; dlt reads it, and it ends with a line break."""
    served = start(customers=3, entitlements=0, private_offers=0, days=1)
    monkeypatch.setattr("dlt.common.configuration.providers.environ.SECRET_STORAGE_PATH", str(tmp_path / "%s"))
    mounted = tmp_path / "sources--automatum--client-secret"
    mounted.write_text(served.client_secret + "\n")
    desk.use(served)
    desk.set(client_secret=None)
    source = automatum_source()
    mounted.write_text(new_secret(served.sandbox)["client_secret"] + "\n")
    assert sum(table.num_rows for table in source.customers) == 3
    assert token_requests(served.sandbox) == 2
    assert desk.run("apps", "rotate", "--yes").code == 78


def test_what_a_program_has_set_by_hand_stays(start, desk):
    sandbox = ready(start, desk, in_toml(desk))
    dlt.secrets["destination.postgres.credentials.password"] = "set-by-hand"
    source = automatum_source()
    list(source.customers)
    in_toml(desk)(new_secret(sandbox))
    list(source.entitlements)
    assert dlt.secrets["destination.postgres.credentials.password"] == "set-by-hand"
    assert dlt.secrets["sources.automatum.client_secret"] == sandbox.client_secret


def test_credentials_given_by_hand_are_not_replaced(start, desk):
    served = start(customers=3, entitlements=0, private_offers=0, days=1)
    wrong = automatum_source(client_id=served.client_id, client_secret="secret_wrong_canary", base_url=served.base_url)
    with pytest.raises(Exception, match="Invalid client credentials") as caught:  # dlt wraps it
        list(wrong.customers)
    assert "could not be read again" not in str(caught.value)
    assert token_requests(served.sandbox) == 1


@pytest.mark.slow
def test_dlts_own_vaults_are_asked_again(aws, start, desk, monkeypatch):  # noqa: F811
    served = start(customers=3, entitlements=0, private_offers=0, days=1)
    desk.use(served)
    desk.set(client_secret=None)

    def put(secret):
        aws.put("dlt/sources/automatum", f'[sources.automatum]\nclient_secret = "{secret}"\n')

    put(served.client_secret)
    monkeypatch.setenv("PROVIDERS__ENABLE_AWS_SECRETS", "true")
    monkeypatch.setenv("PROVIDERS__AWS_SECRETS__CREDENTIALS__REGION_NAME", "eu-central-1")
    active().reload()
    source = automatum_source()
    put(new_secret(served.sandbox)["client_secret"])
    assert sum(table.num_rows for table in source.customers) == 3
    assert token_requests(served.sandbox) == 2


def test_no_secret_is_logged_on_the_way(start, desk, put, caplog):
    """I6: old and new, at DEBUG, from all loggers."""
    sandbox = ready(start, desk, put)
    source = automatum_source()
    old = sandbox.client_secret
    put(new_secret(sandbox))
    logging.getLogger("automatum").propagate = True
    with caplog.at_level(logging.DEBUG):
        list(source.customers)
    logs = "\n".join(f"{record.getMessage()} {record.exc_text} {vars(record)}" for record in caplog.records)
    assert "new secret from the configuration" in logs
    assert old not in logs
    assert sandbox.client_secret not in logs
