"""`automatum apps update` and `delete`: what the API is asked, and that a change counts once the API shows it."""

import json

import pytest

from automatum.api.session import connect
from automatum.config.settings import resolve_settings
from automatum.core.budget import Budget
from automatum.core.errors import ApiUnreachable
from automatum.operations.applications import delete_application, find_application, update_application
from automatum_sandbox import AppConfig
from tests.support.clocks import FakeClock
from tests.support.desk import SMALL
from tests.support.loopback import Loopback, Say, error

APPS = "/oauth/applications"
READ = ("read:customers", "read:entitlements", "read:analytics", "read:private-offers")


@pytest.fixture
def served(start):
    return start(**SMALL, apps=(AppConfig(name="Sync", scopes=(*READ, "write:customers")), AppConfig(name="Other")))


@pytest.fixture
def desk_of(served, desk):
    desk.use(served)
    return desk


def app(served, position=0):
    return list(served.sandbox.tokens.apps.values())[position]


def writes(sandbox):
    return [(one.method, one.path) for one in sandbox.requests.to(APPS) if one.method in ("PUT", "DELETE")]


def test_scopes_go_as_an_array_and_the_next_token_has_them(served, desk_of):
    """The body is documented: name, description, scopes (an array); changed scopes need a new token."""
    scopes = [word for scope in READ for word in ("--scope", scope)]
    made = desk_of.run("apps", "update", served.client_id, *scopes, "--yes", "--json")
    assert made.code == 0, made.says
    assert made.json["application"]["scopes"] == list(app(served).scopes) == list(READ)
    assert app(served).name == "Sync"
    assert writes(served.sandbox) == [("PUT", f"{APPS}/{served.client_id}")]
    assert desk_of.run("check", "--json").json["granted_scopes"] == sorted(READ)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(("--scope", "read:costumers"), "Did you mean read:customers?"), ((), "nothing to change was named")],
)
def test_a_mistake_changes_nothing_and_is_named(served, desk_of, arguments, says):
    made = desk_of.run("apps", "update", served.client_id, *arguments, "--yes")
    assert made.code == 78
    assert says in made.says
    assert writes(served.sandbox) == []


@pytest.mark.parametrize("command", [("update", "--name", "New"), ("delete",)])
def test_nobody_to_ask_changes_nothing(served, desk_of, command):
    made = desk_of.run("apps", command[0], app(served, 1).client_id, *command[1:])
    assert made.code == 78
    assert "--yes" in made.says
    assert writes(served.sandbox) == []


def test_an_application_is_deleted_and_its_tokens_with_it(served, desk_of):
    other = app(served, 1)
    made = desk_of.run("apps", "delete", other.client_id, "--yes", "--json")
    assert made.code == 0, made.says
    assert made.json["application"]["clientId"] == other.client_id
    assert list(served.sandbox.tokens.apps) == [served.client_id]


def test_the_application_in_use_is_not_deleted(served, desk_of):
    made = desk_of.run("apps", "delete", served.client_id, "--yes")
    assert made.code == 78
    assert "dashboard" in made.says
    assert len(served.sandbox.tokens.apps) == 2


# What the API may answer.


@pytest.fixture
def api():
    with Loopback() as one:
        yield one


@pytest.fixture
def session(api, desk):
    desk.set(base_url=api.url, client_id="app_1", client_secret="secret_canary_1")
    clock = FakeClock()
    return connect(resolve_settings({"quota_url": "memory://"}), clock=clock, budget=Budget(clock))


def shown(*records):
    return Say(body={"code": 200, "data": list(records)})


OLD = {"clientId": "app_2", "name": "Old", "scopes": ["read:customers"]}
NEW = {**OLD, "name": "New"}
LOST = [Say(reset=True), Say(502, b"<html>bad gateway</html>"), Say(200, b"")]


@pytest.mark.parametrize("answer", [Say(204, b""), Say(body={"success": True})])
def test_a_change_was_made_once_the_api_shows_it(session, api, answer):
    api.say(APPS, shown(OLD), shown(NEW))
    api.say(f"{APPS}/app_2", answer)
    done = update_application(session, find_application(session, "app_2"), {"name": "New"})
    assert done.record["name"] == "New"
    sent = api.to(f"{APPS}/app_2")
    assert [(one.method, json.loads(one.body)) for one in sent] == [
        ("PUT", {"name": "New", "scopes": ["read:customers"]})
    ]


@pytest.mark.parametrize("answer", [*LOST, Say(body={"success": False})])
def test_a_change_that_the_api_does_not_show_is_not_said_to_be_made(session, api, answer):
    api.say(APPS, shown(OLD))
    api.say(f"{APPS}/app_2", answer)
    with pytest.raises(ApiUnreachable):
        update_application(session, find_application(session, "app_2"), {"name": "New"})
    assert len(api.to(f"{APPS}/app_2")) == 1  # Never sent twice.


@pytest.mark.parametrize("answer", LOST)
def test_a_deletion_without_an_answer_is_not_said_to_be_made(session, api, answer):
    api.say(APPS, shown(OLD))
    api.say(f"{APPS}/app_2", answer)
    with pytest.raises(ApiUnreachable):
        delete_application(session, find_application(session, "app_2"))
    assert len(api.to(f"{APPS}/app_2")) == 1


def test_a_refused_change_is_the_apis_error(session, api):
    api.say(APPS, shown(OLD))
    api.say(f"{APPS}/app_2", error(403, "Forbidden"))
    with pytest.raises(Exception, match="answered 403"):
        update_application(session, find_application(session, "app_2"), {"name": "New"})
