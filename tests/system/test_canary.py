"""I6: no secret leaves. Every command, in many kinds of trouble, with every logger at DEBUG: no canary is anywhere.

Each secret holds the word `c4nary`, among characters that URLs, JSON and shells treat in their own ways. The settings
come from the environment, so no file may hold the word, either.
"""

import base64
import logging
import os

import pytest

from tests.support.loopback import Loopback, Say, closed_port, error, token
from tests.support.metering_rows import ROW

pytestmark = pytest.mark.slow

WORD = "c4nary"
SECRET = "secret_c4naryA@/\"'x%"
TOKEN = "tok.c4naryB/+=x"
ALL = ("check", "sync customers", "sync customers --dry-run", "apps list", "apps rotate --yes --store-in toml")
PUSHES = ("push --usage usage.csv", "push --usage usage.csv --confirm --new-ledger --unchecked", "push status")
LEDGERS = ("push ledger info", "push export")
OFFLINE = ("status", "status --verify", "discover")


def forms():
    """The word, and what is in every base64 text that holds it."""
    yield WORD
    for before in range(3):
        text = base64.b64encode(b"\0" * before + WORD.encode()).decode()
        yield text[-(-8 * before // 6) : 8 * (before + len(WORD)) // 6]


FORMS = tuple(forms())


class Everything(logging.Handler):
    """Formats each record of each logger, as a handler of the user would."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))


@pytest.fixture
def logged(desk):
    """All records of all loggers that there are, at DEBUG."""
    handler, root = Everything(), logging.getLogger()
    changed = []
    for name in [None, *logging.root.manager.loggerDict]:
        one = logging.getLogger(name)
        changed.append((one, one.level))
        one.setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)
    for one, level in changed:
        one.setLevel(level)


@pytest.fixture
def api():
    with Loopback() as one:
        one.say("/oauth/token", token(TOKEN, scope="read:customers write:metering"))
        one.say("/api/v1/customers", Say(body={"code": 200, "data": [{"id": "cust_1"}], "pagination": {"total": 1}}))
        one.say("/api/v1/metering", Say(body={"code": 200, "data": {"accepted": True}}))
        one.say("/oauth/applications", Say(body={"code": 200, "data": [{"id": "app_1", "clientId": "app_1"}]}))
        yield one


def echo(status):
    """A server that repeats what it was sent."""
    return error(status, f"Refused {SECRET} and Bearer {TOKEN}", errors=[{"field": "client_secret", "message": SECRET}])


def nothing(desk, api, monkeypatch):
    pass


def refused_token(desk, api, monkeypatch):
    api.say("/oauth/token", echo(401))


def forbidden_token(desk, api, monkeypatch):
    api.say("/oauth/token", echo(403))


def odd_token(desk, api, monkeypatch):
    api.say("/oauth/token", Say(200, f'{{"access_token": 5, "was": "{TOKEN}"}}'.encode()))


def echoing(desk, api, monkeypatch):
    for path in ("/api/v1/customers", "/api/v1/metering", "/oauth/applications"):
        api.say(path, echo(403))


def failing(desk, api, monkeypatch):
    for path in ("/api/v1/customers", "/api/v1/metering", "/oauth/applications"):
        api.say(path, Say(502, f"<html>{SECRET} {TOKEN}</html>".encode()))


def rotated(desk, api, monkeypatch):
    api.say("/oauth/applications/app_1/regenerate-secret", Say(body={"data": {"clientSecret": "secret_c4naryNEW1"}}))


def closed(desk, api, monkeypatch):
    desk.set(base_url=f"http://127.0.0.1:{closed_port()}")


def no_tls(desk, api, monkeypatch):
    desk.set(base_url=api.url.replace("http:", "https:"))


def malformed(desk, api, monkeypatch):
    desk.set(base_url=f"https://user:{WORD}@api.example.com")


def bad_quota(desk, api, monkeypatch):
    desk.set(quota_url="redis://:p@ss/c4naryC?x@127.0.0.1:notaport/0")


def closed_quota(desk, api, monkeypatch):
    desk.set(quota_url=f"redis://:c4naryD%40x@127.0.0.1:{closed_port()}/0")


def bad_ledger(desk, api, monkeypatch):
    desk.set(ledger_url="postgresql+nonsense://u:p@ss/c4naryE@127.0.0.1:x/y")


def closed_ledger(desk, api, monkeypatch):
    desk.set(ledger_url=f"postgresql://u:p@c4naryF/x@127.0.0.1:{closed_port()}/ledger")


def encoded_ledger(desk, api, monkeypatch):
    desk.set(ledger_url=f"postgresql://u:c4naryG%40%2Fx@127.0.0.1:{closed_port()}/ledger?password=c4naryH")


def closed_vault(desk, api, monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", "hvs.c4naryI")
    desk.set(client_id=None, client_secret=None, secrets_from=f"vault+http://127.0.0.1:{closed_port()}/secret/x")


def refusing_vault(desk, api, monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", "hvs.c4naryJ")
    desk.set(client_id=None, client_secret=None, secrets_from=api.url.replace("http", "vault+http") + "/secret/x")
    api.say("/v1/secret/data/x", Say(403, {"errors": ["permission denied for hvs.c4naryJ"]}))


def closed_webhook(desk, api, monkeypatch):
    desk.set(notify_url=f"http://127.0.0.1:{closed_port()}/h/c4naryK?token=c4naryL")


def failing_webhook(desk, api, monkeypatch):
    desk.set(notify_url=f"{api.url}/h/c4naryM?x=c4naryN")
    api.say("/h/c4naryM", Say(500, b"no c4naryM"))
    api.say("/api/v1/customers", Say(500, b"broken"))


def bad_destination(desk, api, monkeypatch):
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", "postgresql://loader:p@ss/c4naryO?x@127.0.0.1:5x/db")
    desk.destination = ("--destination", "postgres")


def closed_destination(desk, api, monkeypatch):
    url = f"postgresql://loader:p@c4naryP@127.0.0.1:{closed_port()}/db"
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)
    desk.destination = ("--destination", "postgres")


SITUATIONS = {
    nothing: (*ALL, *PUSHES, *LEDGERS, *OFFLINE),
    refused_token: (*ALL, *PUSHES[:2]),
    forbidden_token: ("check", "sync customers", PUSHES[1]),
    odd_token: ("check", "sync customers"),
    echoing: (*ALL, *PUSHES),
    failing: (*ALL, *PUSHES),
    rotated: ("apps rotate --yes --store-in toml",),
    closed: ("check", "sync customers", "apps list", PUSHES[1]),
    no_tls: ("check", "sync customers", PUSHES[1]),
    malformed: ("check", "sync customers", "status"),
    bad_quota: ("check", "sync customers"),
    closed_quota: ("check", "sync customers"),
    bad_ledger: (*PUSHES, *LEDGERS),
    closed_ledger: (*PUSHES, *LEDGERS),
    encoded_ledger: (*PUSHES[1:], *LEDGERS),
    closed_vault: ("check", "sync customers"),
    refusing_vault: ("check", "sync customers"),
    closed_webhook: ("sync customers", PUSHES[0]),
    failing_webhook: ("sync customers", PUSHES[1]),
    bad_destination: ("sync customers", "status", "status --verify", "sync customers --dry-run"),
    closed_destination: ("sync customers", "status", "status --verify"),
}


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.__name__)
def test_no_secret_is_anywhere(situation, desk, api, logged, monkeypatch, tmp_path):
    desk.set(base_url=api.url, client_id="app_1", client_secret=SECRET)
    desk.attempts(1)
    (desk.folder / "usage.csv").write_text(",".join(ROW) + "\n" + ",".join(map(str, ROW.values())) + "\n")
    desk.destination = ()
    situation(desk, api, monkeypatch)
    for command in SITUATIONS[situation]:
        places = desk.destination if command.split()[0] in ("sync", "status") else ()
        for more in ((), ("--debug",), ("--json",)):
            made = desk.run(*command.split(), *places, *more)
            said = f"{made.out}\n{made.err}\n" + "\n".join(logged.lines)
            found = [one for one in FORMS if one in said]
            assert not found, [line for line in said.splitlines() if any(one in line for one in FORMS)][:5]
            logged.lines.clear()
    assert hits(tmp_path) == []


def hits(folder):
    """Files that hold a canary, those apart in which the secret belongs."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "secrets.toml":
            content = path.read_bytes()
            if any(one.encode() in content for one in FORMS):
                found.append(os.fspath(path.relative_to(folder)))
    return found


def test_the_search_would_find_one(tmp_path):
    for number, before in enumerate(("", "a", "ab")):
        (tmp_path / str(number)).write_text(base64.b64encode(f"{before}x {SECRET}".encode()).decode())
    assert len(hits(tmp_path)) == 3
