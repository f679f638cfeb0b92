"""`automatum apps`: what the API is asked, where a new secret goes, and that it is neither lost nor shown (I6)."""

import json
import os
import pty
import stat
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
import tomlkit

from automatum.api.session import connect
from automatum.config.settings import resolve_settings
from automatum.config.toml_files import TomlSection
from automatum.core.budget import Budget
from automatum.core.errors import ApiUnreachable, ConfigurationError, SecretNotKept, ServerUnreachable
from automatum.core.redaction import Secret, reveal
from automatum.operations.applications import find_application, list_applications
from automatum.operations.rotate_secret import _find_secrets, rotate
from automatum_sandbox import AppConfig, OrganizationConfig
from tests.support.clocks import FakeClock
from tests.support.desk import SMALL
from tests.support.loopback import Loopback, Say, error
from tests.support.vaulting import aws, aws_server, bao, bao_server, kept  # noqa: F401

APPS = "/oauth/applications"
TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
FILE = """# Kept by hand.
[sources.automatum]
client_id = "{client_id}"   # shown in the dashboard
client_secret = "{client_secret}"

[destination.postgres.credentials]
password = "warehouse-canary"
"""


@pytest.fixture
def served(start):
    return start(**SMALL, apps=(AppConfig(name="Sync"), AppConfig(name="[red]Other[/] app")))


class TomlKept:
    """A section of `.dlt/secrets.toml` by the words of `vaulting.Kept`."""

    def __init__(self, desk):
        self.path = desk.folder / ".dlt/secrets.toml"
        self.address = "toml"

    def put(self, document):
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(FILE.format(**document))

    def get(self):
        return tomlkit.parse(self.path.read_text()).unwrap()["sources"]["automatum"]


@pytest.fixture(params=["toml", "bao", "aws"])
def place(request, desk):
    """Where credentials are, each in turn; not there yet."""
    if request.param == "toml":
        return TomlKept(desk)
    secret = kept(request, request.param)
    desk.set(secrets_from=secret.address)
    return secret


@pytest.fixture
def in_place(served, desk, place):
    """The credentials of the first application are there and nowhere else."""
    desk.use(served)
    desk.set(client_id=None, client_secret=None)
    place.put({"client_id": served.client_id, "client_secret": served.client_secret})
    return place


def regenerations(sandbox):
    return [one.path for one in sandbox.requests.to(APPS) if one.method == "POST"]


def silent(ran, *secrets):
    """I6: nothing of it on either stream."""
    for secret in (*secrets, TOKEN, "warehouse-canary"):
        assert secret not in ran.out + ran.err
    return True


@pytest.mark.slow
def test_a_rotated_secret_is_stored_and_never_shown(served, desk, in_place):
    old = served.client_secret
    ran = desk.run("apps", "rotate", "--yes", "--json", "--debug")
    assert ran.code == 0, ran
    new = served.client_secret
    assert new != old
    assert in_place.get() == {"client_id": served.client_id, "client_secret": new}
    assert ran.json["rotated"] is True
    assert silent(ran, old, new)
    # I3: a token, one list, one regeneration.
    assert [(one.method, one.path) for one in served.sandbox.requests.to("/oauth/")] == [
        ("POST", "/oauth/token"),
        ("GET", APPS),
        ("POST", f"{APPS}/{served.client_id}/regenerate-secret"),
    ]
    assert desk.run("check").code == 0
    assert served.sandbox.tokens.authenticate(served.client_id, old) is None


def test_secrets_toml_keeps_its_comments_its_keys_and_its_mode(served, desk):
    place = TomlKept(desk)
    desk.use(served)
    desk.set(client_id=None, client_secret=None)
    before = {"client_id": served.client_id, "client_secret": served.client_secret}
    place.put(before)
    place.path.chmod(0o640)
    other = desk.folder / "linked.toml"
    place.path.rename(other)
    place.path.symlink_to(other)
    assert desk.run("apps", "rotate", "--yes").code == 0
    after = {**before, "client_secret": served.client_secret}
    assert place.path.read_text() == FILE.format(**after)
    assert place.path.is_symlink()
    assert stat.S_IMODE(other.stat().st_mode) == 0o640
    assert [one.name for one in place.path.parent.iterdir()] == ["secrets.toml"]


def test_a_new_secrets_toml_is_for_its_owner_alone(served, desk):
    desk.use(served)
    ran = desk.run("apps", "rotate", "--yes", "--store-in", "toml")
    path = desk.folder / ".dlt/secrets.toml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert TomlKept(desk).get() == {"client_id": served.client_id, "client_secret": served.client_secret}
    assert path.read_text().startswith("[sources.automatum]\n")
    assert ran.code == 0
    desk.set(client_id=None, client_secret=None)
    assert desk.run("check").code == 0


def test_the_vendors_variable_does_not_win_over_a_file(served, desk, monkeypatch):
    desk.use(served)
    desk.set(client_secret=None)
    monkeypatch.setenv("AUTOMATUM_CLIENT_SECRET", served.client_secret)
    (desk.folder / ".dlt").mkdir()
    (desk.folder / ".dlt/secrets.toml").write_text('[sources.automatum]\nclient_secret = "<configure me>"\n')
    ran = desk.run("apps", "rotate", "--yes")
    assert ran.code == 78
    assert "the environment variable AUTOMATUM_CLIENT_SECRET, which cannot be written" in ran.says
    ran = desk.run("apps", "rotate", "--yes", "--json", "--store-in", desk.folder / ".dlt/secrets.toml")
    assert ran.code == 0
    assert desk.run("check").code == 0


def test_the_environment_cannot_be_written_so_nothing_is_rotated(served, desk):
    desk.use(served)
    ran = desk.run("apps", "rotate", "--yes", "--json")
    assert ran.code == 78
    assert "SOURCES__AUTOMATUM__CLIENT_SECRET, which cannot be written" in ran.json["errors"][0]["message"]
    assert "--store-in toml" in ran.json["errors"][0]["next_step"]
    assert regenerations(served.sandbox) == []


@pytest.mark.slow
def test_a_secret_goes_from_the_environment_to_a_vault(served, desk, place):
    desk.use(served)
    if place.address != "toml":
        place.put({"note": "made beforehand"})
    assert desk.run("apps", "rotate", "--yes", "--store-in", place.address).code == 0
    desk.set(client_id=None, client_secret=None)
    assert place.get()["client_id"] == served.client_id
    assert desk.run("check").code == 0


def test_the_secret_of_another_application_needs_a_place_of_its_own(served, desk):
    desk.use(served)
    other = served.sandbox.apps[1]
    before = other.secret
    ran = desk.run("apps", "rotate", other.client_id, "--yes", "--store-in", "toml")
    assert ran.code == 0
    assert TomlKept(desk).get() == {"client_id": other.client_id, "client_secret": other.secret}
    assert other.secret != before
    assert silent(ran, before, other.secret)
    # A place that holds the credentials of one application is not given those of another.
    for arguments in ((), (other.client_id,)):
        ran = desk.run("apps", "rotate", *arguments, "--yes", *(() if arguments else ("--store-in", "toml")))
        assert ran.code == 78
        assert "Nothing was changed" in ran.says
    assert len(regenerations(served.sandbox)) == 1


def test_an_organization_has_its_own_place(bao, start, desk):  # noqa: F811
    served = start(
        **SMALL,
        organizations=(OrganizationConfig(), OrganizationConfig()),
        apps=(AppConfig(), AppConfig(organization=1)),
    )
    desk.use(served)
    desk.set(client_id=None, client_secret=None, secrets_from=f"vault+http://{bao.host}/secret/all")
    desk.set(organizations=[{"name": "acme"}, {"name": "globex"}])
    apps = served.sandbox.apps
    for name, app in zip(("acme", "globex"), apps, strict=True):
        bao.put(f"all/{name}", {"client_id": app.client_id, "client_secret": app.secret})
    kept_before = bao.get("all/acme")
    assert desk.run("apps", "rotate", "--yes").code == 78  # which one?
    assert desk.run("apps", "rotate", "--yes", "--organization", "globex").code == 0
    assert bao.get("all/globex") == {"client_id": apps[1].client_id, "client_secret": apps[1].secret}
    assert bao.get("all/acme") == kept_before
    assert regenerations(served.sandbox) == [f"{APPS}/{apps[1].client_id}/regenerate-secret"]
    ran = desk.run("apps", "list", "--organization", "acme", "--json")
    assert [one["id"] for one in ran.json["applications"]] == [apps[0].client_id]


# Before anything is changed.


def test_a_place_that_cannot_be_written_is_found_out_before(bao, served, desk, monkeypatch):  # noqa: F811
    desk.use(served)
    desk.set(client_id=None, client_secret=None, secrets_from=f"vault+http://{bao.host}/secret/read-only-app")
    bao.put("read-only-app", {"client_id": served.client_id, "client_secret": served.client_secret})
    monkeypatch.setenv("VAULT_TOKEN", bao.token_for("read-only-app", "read"))
    ran = desk.run("apps", "rotate", "--yes")
    assert ran.code == 77
    assert "permission denied" in ran.says
    assert regenerations(served.sandbox) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("store_in", "words"),
    [
        ("occupied/secrets.toml", "cannot be"),
        ("broken.toml", "is not valid TOML"),
        ("s3://bucket", "not the address of a secret"),
        ("secrets.tmol", "Write toml, the path of a .toml file, or the address of a vault"),
        ("aws-secretsmanager://eu-central-1/never-made", "Create the secret first"),
    ],
)
def test_a_place_that_is_none_is_found_out_before(aws, served, desk, store_in, words):  # noqa: F811
    (desk.folder / "occupied").write_text("a file, not a folder")
    (desk.folder / "broken.toml").write_text('client_secret = "canary-of-a-broken-file\n')
    desk.use(served)
    ran = desk.run("apps", "rotate", "--yes", "--store-in", store_in)
    assert ran.code == 78
    assert words in ran.says
    assert "canary-of" not in ran.says
    assert regenerations(served.sandbox) == []


def test_without_a_yes_and_nobody_to_ask_nothing_is_changed(served, desk):
    desk.use(served)
    ran = desk.run("apps", "rotate", "--store-in", "toml")
    assert ran.code == 78
    assert "--yes" in ran.says
    assert regenerations(served.sandbox) == []


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 78)])
def test_a_person_is_asked(served, desk, monkeypatch, capsys, answer, code):
    from automatum.cli.main import app as command

    desk.use(served)
    person, terminal = pty.openpty()
    with os.fdopen(terminal) as stdin, os.fdopen(person, "wb", buffering=0) as keyboard:
        monkeypatch.setattr(sys, "stdin", stdin)
        keyboard.write(answer)
        assert command(["apps", "rotate", "--store-in", "toml"], standalone_mode=False) == code
    said = capsys.readouterr()
    assert f"Regenerate the secret of {served.client_id} Sync" in said.err
    assert len(regenerations(served.sandbox)) == (code == 0)
    assert served.client_secret not in said.out + said.err


def test_a_no_changes_nothing(served, desk):
    desk.use(served)
    asked = []

    def confirm(application, where):
        asked.append((application.title, where))
        raise ConfigurationError("--yes", "nothing was changed.")

    with pytest.raises(ConfigurationError, match="nothing was changed"):
        rotate(connect(resolve_settings()), store_in="toml", confirm=confirm)
    assert asked == [(f"{served.client_id} Sync", str(Path(".dlt/secrets.toml")) + " [sources.automatum]")]
    assert regenerations(served.sandbox) == []
    assert not (desk.folder / ".dlt").exists()


def test_the_vault_behind_a_placeholder_is_where_the_new_one_goes(bao, served, desk):  # noqa: F811
    desk.use(served)
    desk.set(client_id=None, client_secret=None, secrets_from=f"vault+http://{bao.host}/secret/behind")
    bao.put("behind", {"client_id": served.client_id, "client_secret": served.client_secret})
    (desk.folder / ".dlt").mkdir()
    (desk.folder / ".dlt/secrets.toml").write_text('[sources.automatum]\nclient_secret = "<configure me>"\n')
    assert desk.run("apps", "rotate", "--yes").code == 0
    assert bao.get("behind")["client_secret"] == served.client_secret


def test_of_two_rotations_at_once_the_second_leaves(served, desk):
    """I7: otherwise the first would store a secret that the second has killed."""
    desk.use(served)
    second = []

    def confirm(application, where):
        second.append(desk.run("apps", "rotate", "--yes", "--store-in", "toml"))

    done = rotate(connect(resolve_settings()), store_in="toml", confirm=confirm)
    assert second[0].code == 75
    assert "in use by automatum apps rotate" in second[0].says and "--lock-wait" not in second[0].says
    assert done.exit_code == 0
    assert len(regenerations(served.sandbox)) == 1


def test_an_application_that_is_not_there_is_named(served, desk):
    desk.use(served)
    assert "no application 'app_nobody'" in desk.run("apps", "rotate", "app_nobody", "--yes", "--store-in", "toml").says
    assert desk.run("apps", "show", "app_nobody").code == 78
    assert regenerations(served.sandbox) == []


# What the API may answer.


@pytest.fixture
def api():
    with Loopback() as one:
        yield one


@pytest.fixture
def rotating(api, desk, tmp_path):
    """A rotation against a server that says what it is told, with time that does not pass."""
    path = desk.folder / "kept.toml"
    desk.set(base_url=api.url, client_id="app_1", client_secret="secret_old_canary_1")
    desk.attempts(2)
    clock = FakeClock()

    def run(*answers, records=({"id": "app_1"},)):
        api.say(APPS, Say(body={"code": 200, "data": list(records)}))
        api.say(f"{APPS}/{quote(str(records[0]['id']), safe='')}/regenerate-secret", *answers)
        session = connect(resolve_settings({"quota_url": "memory://"}), clock=clock, budget=Budget(clock))
        return rotate(session, store_in=str(path))

    run.clock, run.path = clock, path
    run.stored = lambda: reveal((TomlSection(path, ("sources", "automatum")).read() or {}).get("client_secret"))
    return run


NEW = "secret_new_canary_2"
OPAQUE = "opaque-new-canary-3"


@pytest.mark.parametrize(
    ("answer", "secret"),
    [
        (Say(body={"code": 200, "data": {"clientId": "app_1", "clientSecret": OPAQUE}}), OPAQUE),
        (Say(body={"clientSecret": OPAQUE}), OPAQUE),
        (Say(201, {"client_secret": OPAQUE, "client_id": "app_1"}), OPAQUE),
        (Say(200, {"code": 500, "message": "audit log", "data": {"clientSecret": OPAQUE}}), OPAQUE),
        (Say(500, {"code": 500, "data": {"clientSecret": OPAQUE}}), OPAQUE),
    ],
)
def test_the_secret_is_found_in_its_field_wherever_that_is(rotating, api, answer, secret):
    done = rotating(answer)
    assert rotating.stored() == secret
    assert "canary" not in repr(done) + str(done.to_json())


@pytest.mark.parametrize(
    "data",
    [
        {"cipher": "b3BhcXVlLWNhbmFyeQ"},
        {"secret": "b3BhcXVlLWNhbmFyeQ", "clientSecret": OPAQUE},
        {"clientSecret": "secret_****b3BhcXVlLWNhbmFyeQ"},
    ],
)
def test_an_answer_without_one_secret_is_kept(rotating, data):
    with pytest.raises(SecretNotKept, match="no single field clientsecret") as caught:
        rotating(Say(body={"code": 200, "data": data}))
    assert caught.value.exit_code == 69
    held = Path(caught.value.kept_at)
    assert "b3BhcXVlLWNhbmFyeQ" in held.read_text()
    assert stat.S_IMODE(held.stat().st_mode) == 0o600
    assert "b3Bh" not in str(caught.value)


def test_an_empty_yes_is_said_to_be_one(rotating):
    with pytest.raises(SecretNotKept, match="no single field"):
        rotating(Say(204, b""))


@pytest.mark.parametrize("answer", [Say(reset=True), Say(cut=5), Say(502, b"<html>bad gateway</html>")])
def test_a_lost_answer_says_that_nothing_is_known(rotating, api, answer):
    with pytest.raises(SecretNotKept, match="is not known") as caught:
        rotating(answer)
    assert "dashboard" in caught.value.next_step
    assert len(api.to(f"{APPS}/app_1/regenerate-secret")) == 1  # never sent twice
    assert not rotating.path.exists()


@pytest.mark.parametrize(
    "answer", [error(403, "Forbidden"), error(404, "No such thing"), error(409, "secret_is_locked_x")]
)
def test_a_refusal_changes_nothing(rotating, answer):
    with pytest.raises(Exception, match="answered 4") as caught:
        rotating(answer)
    assert not isinstance(caught.value, SecretNotKept)
    assert not rotating.path.exists()


def test_a_throttled_regeneration_is_sent_again(rotating, api):
    rotating(error(429, "Rate limit exceeded", retryAfter=7), Say(body={"data": {"clientSecret": OPAQUE}}))
    assert rotating.clock.slept >= 7
    assert rotating.stored() == OPAQUE


def test_an_id_that_is_not_the_client_id_is_found_by_the_list(rotating, api):
    records = ({"id": "9f/8", "clientId": "app_1"}, {"id": "7", "clientId": "app_2"})
    rotating(Say(body={"data": {"clientSecret": OPAQUE}}), records=records)
    assert [one.path for one in api.seen if one.method == "POST" and APPS in one.path] == [
        f"{APPS}/9f%2F8/regenerate-secret"
    ]
    assert rotating.stored() == OPAQUE


# When storing fails after all.


def breaks(monkeypatch, *problems):
    """Storing meets these, one an attempt; None for none."""
    real, left = TomlSection.write, list(problems)

    def write(self, changes):
        problem = left.pop(0) if left else None
        if problem is not None:
            raise problem
        real(self, changes)

    monkeypatch.setattr(TomlSection, "write", write)


def test_storing_is_tried_twice(rotating, monkeypatch):
    breaks(monkeypatch, ServerUnreachable("busy."))
    rotating(Say(body={"data": {"clientSecret": OPAQUE}}))
    assert rotating.stored() == OPAQUE
    assert rotating.clock.sleeps == [2.0]


@pytest.mark.parametrize("problem", [ServerUnreachable("down."), KeyboardInterrupt(), MemoryError()])
def test_a_secret_that_cannot_be_stored_is_kept_in_a_private_file(rotating, monkeypatch, tmp_path, problem):
    breaks(monkeypatch, problem, problem)
    with pytest.raises(SecretNotKept, match=r"could not be stored|was interrupted") as caught:
        rotating(Say(body={"data": {"clientSecret": OPAQUE}}))
    held = Path(caught.value.kept_at)
    assert held.is_relative_to(tmp_path / "home")
    assert str(held) in str(caught.value)
    assert caught.value.to_json()["kept_at"] == str(held)
    assert json.loads(held.read_text())["data"]["clientSecret"] == OPAQUE
    assert held.name.startswith("rotated-app_1-")
    assert stat.S_IMODE(held.stat().st_mode) == 0o600
    assert OPAQUE not in str(caught.value) + repr(caught.value) + str(caught.value.to_json())
    assert caught.value.__context__ is None


def rescued(tmp_path):
    return list((tmp_path / "home").rglob("rotated-*.json"))


def test_a_kill_at_any_step_after_the_answer_leaves_a_file_with_it(rotating, monkeypatch, tmp_path):
    """I6: the answer is on disk, for its owner alone, before it is parsed; it goes once the secret is stored."""
    seen = []

    def look():
        (file,) = rescued(tmp_path)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert OPAQUE in file.read_text()
        seen.append(file)

    write = TomlSection.write
    monkeypatch.setattr(
        TomlSection,
        "write",
        lambda self, changes: (changes["client_secret"] == Secret(OPAQUE) and look(), write(self, changes))[1],
    )
    monkeypatch.setattr(
        "automatum.operations.rotate_secret._find_secrets", lambda *given: (look(), _find_secrets(*given))[1]
    )
    rotating(Say(body={"data": {"clientSecret": OPAQUE}}))
    assert len(seen) == 2
    assert rescued(tmp_path) == []


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), SystemExit(1), RecursionError()])
def test_an_interruption_before_the_secret_is_known_says_where_the_answer_is(
    rotating, monkeypatch, tmp_path, caplog, problem
):
    def interrupted(*given):
        raise problem

    with monkeypatch.context() as patched:
        patched.setattr("automatum.operations.rotate_secret._find_secrets", interrupted)
        with pytest.raises(SecretNotKept, match="was interrupted") as caught:
            rotating(Say(body={"data": {"clientSecret": OPAQUE}}))
    (file,) = rescued(tmp_path)
    assert caught.value.kept_at == str(file)
    assert OPAQUE in file.read_text()
    assert OPAQUE not in str(caught.value)
    rotating(Say(body={"data": {"clientSecret": NEW}}))
    assert str(file) in caplog.text  # The next rotation tells of it.
    assert rescued(tmp_path) == [file]


def test_what_reads_back_differently_is_not_stored(rotating, monkeypatch):
    monkeypatch.setattr(TomlSection, "write", lambda self, changes: None)
    with pytest.raises(SecretNotKept, match="does not read back"):
        rotating(Say(body={"data": {"clientSecret": OPAQUE}}))


def test_the_way_back_from_a_wrong_secret_is_the_dashboard(served, desk, monkeypatch):
    """No token is taken with the new secret: `check` does that, and says where another one comes from."""
    desk.use(served)
    tokens = served.sandbox.tokens
    regenerate = tokens.new_secret
    monkeypatch.setattr(tokens, "new_secret", lambda *given: (regenerate(*given), "secret_of_another_canary")[1])
    ran = desk.run("apps", "rotate", "--yes", "--store-in", "toml")
    assert ran.code == 0 and "Next: automatum check" in ran.says
    desk.set(client_secret="secret_of_another_canary")
    ran = desk.run("check")
    assert ran.code == 77 and "dashboard" in ran.says
    desk.set(client_secret=served.client_secret)  # The dashboard regenerates it once more, and shows it.
    assert desk.run("check").code == 0


def test_a_vault_that_dies_during_the_rotation_loses_no_secret(bao, served, desk, monkeypatch):  # noqa: F811
    """The whole way, by the command: the token is revoked between the proof and the storing."""
    address = f"vault+http://{bao.host}/secret/dying"
    bao.put("dying", {"client_id": served.client_id, "client_secret": served.client_secret})
    monkeypatch.setenv("VAULT_TOKEN", bao.token_for("dying", "read", "create", "update"))
    monkeypatch.setattr("automatum.operations.rotate_secret.PAUSE", 0.0)
    desk.use(served)
    desk.set(client_id=None, client_secret=None, secrets_from=address)
    token_held, tokens = os.environ["VAULT_TOKEN"], served.sandbox.tokens
    regenerate = tokens.new_secret

    def meanwhile(*arguments):
        bao.root.auth.token.revoke(token_held)
        return regenerate(*arguments)

    monkeypatch.setattr(tokens, "new_secret", meanwhile)
    ran = desk.run("apps", "rotate", "--yes", "--json", "--debug")
    assert ran.code == 69
    assert silent(ran, served.client_secret)
    assert served.client_secret in Path(ran.json["errors"][0]["kept_at"]).read_text()


# Lists.


@pytest.mark.slow
def test_an_application_that_is_not_there_is_named_with_the_nearest_one(served, desk):
    """78 with the name that was asked for; the configured application is one letter away."""
    desk.use(served)
    almost = served.client_id[:-1] + "_"
    made = desk.run("apps", "show", almost)
    assert made.code == 78
    assert f"no application '{almost}' among its 2 applications" in made.says
    assert f"Did you mean {served.client_id}?" in made.says


def test_applications_are_listed_and_shown_without_secrets(served, desk):
    desk.use(served)
    ran = desk.run("apps", "list", "--json", "--debug")
    assert [one["name"] for one in ran.json["applications"]] == ["Sync", "[red]Other[/] app"]
    assert silent(ran, served.client_secret)
    ran = desk.run("apps", "list")
    assert "[red]Other[/] app" in ran.says
    assert "write:metering" in ran.out
    ran = desk.run("apps", "show", served.client_id, "--json")
    assert ran.json["application"]["clientId"] == served.client_id
    assert [one.path for one in served.sandbox.requests.to(APPS)] == [APPS, APPS, APPS]


def test_each_request_is_charged_to_the_quota(served, desk):
    """I4: a token and a list are two of two; the next has to wait."""
    desk.use(served)
    desk.set(application_limits=[[2, 3600]])
    assert desk.run("apps", "list").code == 0
    ran = desk.run("apps", "list", "--json")
    assert ran.code == 75
    assert ran.json["resume_at"]
    assert len(served.sandbox.requests.all()) == 2


@pytest.mark.parametrize("body", [{"applications": []}, {"data": {"items": []}}, {"data": None}])
def test_a_list_of_another_shape_is_refused(api, desk, body):
    desk.set(base_url=api.url, client_id="app_1", client_secret="secret_old_canary_1")
    api.say(APPS, Say(body=body))
    with pytest.raises(ApiUnreachable, match="no list at data"):
        find_application(connect(resolve_settings({"quota_url": "memory://"})), "app_1")


def test_a_list_in_pages_is_read_to_its_end(api, desk):
    desk.set(base_url=api.url, client_id="app_1", client_secret="secret_old_canary_1")
    pages = [
        Say(body={"data": [{"id": f"app_{page}"}], "pagination": {"page": page, "pages": 3}}) for page in (1, 2, 3)
    ]
    api.say(APPS, *pages)
    session = connect(resolve_settings({"quota_url": "memory://"}))
    assert [one.id for one in list_applications(session)] == ["app_1", "app_2", "app_3"]
    assert [one.query for one in api.to(APPS)] == [
        {},
        {"page": ["2"], "limit": ["100"]},
        {"page": ["3"], "limit": ["100"]},
    ]
