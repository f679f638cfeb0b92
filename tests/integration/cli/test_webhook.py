"""`notify_url`: what is posted, when, and that nothing a webhook does touches the run. On real sockets."""

import json
import threading
import time

import pytest
from filelock import FileLock

from automatum.cli import webhook
from automatum.cli.webhook import Webhook
from automatum.config.settings import resolve_settings
from automatum.core.clock import SystemClock
from automatum.core.errors import (
    ConfigurationError,
    CredentialsRefused,
    DestinationError,
    QuotaExhausted,
    RequestRefused,
    ScopeMissing,
)
from automatum.core.redaction import Secret
from automatum.core.result_line import format_changes, result_line, without_server_text
from automatum_sandbox import AppConfig, OrganizationConfig
from tests.support.clocks import FakeClock
from tests.support.desk import SMALL
from tests.support.loopback import Loopback, Say, closed_port
from tests.support.pushing import rows_of, write_csv

PATH = "/services/T0001/B0001/canary-of-the-channel"
TEXT = "automatum sync: complete"


@pytest.fixture
def hook():
    """A webhook that takes everything."""
    with Loopback() as server:
        server.say(PATH, Say(body=b"ok"))
        yield server


@pytest.fixture
def posted(hook, desk, monkeypatch):
    """The desk is set up to notify; returns the lines that have arrived since."""
    desk.set(notify_url=hook.url + PATH)
    monkeypatch.setattr(webhook, "PAUSE", 0.0)

    def texts():
        bodies = [json.loads(one.body) for one in hook.to(PATH)]
        assert all(body.keys() == {"text"} for body in bodies)
        return [body["text"] for body in bodies]

    return texts


class Unwaiting(SystemClock):
    """The machine's clock, but nobody waits."""

    def sleep(self, seconds):
        return


# One webhook


def test_it_arrives_as_json(hook):
    assert Webhook(Secret(hook.url + PATH)).post(TEXT) is None
    (seen,) = hook.to(PATH)
    assert json.loads(seen.body) == {"text": TEXT}
    assert (seen.method, seen.headers["Content-Type"]) == ("POST", "application/json")


def test_a_failing_server_is_asked_twice(hook):
    """The second that works is enough."""
    clock = FakeClock()
    hook.say(PATH, Say(reset=True), Say(204, b""))
    assert Webhook(Secret(hook.url + PATH), clock=clock).post(TEXT) is None
    assert len(hook.to(PATH)) == 2
    assert clock.sleeps == [1.0]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Say(500), "answered 500"),
        (Say(404, b"no_service"), "answered 404"),
        (Say(reset=True), "ConnectionResetError"),
    ],
)
def test_what_does_not_arrive_is_said(hook, answer, said):
    hook.say(PATH, answer)
    problem = Webhook(Secret(hook.url + PATH), clock=FakeClock()).post(TEXT)
    assert said in problem
    assert "canary" not in problem
    assert len(hook.to(PATH)) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(hook, status):
    """I6: what is posted goes where the user said, and nowhere else."""
    with Loopback() as other:
        hook.say(PATH, Say(status, b"", {"Location": other.url + "/elsewhere"}))
        assert Webhook(Secret(hook.url + PATH), clock=FakeClock()).post(TEXT) == f"answered {status}"
        assert other.seen == []


def test_a_closed_port_is_no_mishap():
    problem = Webhook(Secret(f"http://127.0.0.1:{closed_port()}{PATH}"), clock=FakeClock()).post(TEXT)
    assert "refused" in problem
    assert "canary" not in problem


@pytest.mark.parametrize("answer", [Say(hang=True), Say(trickle=0.02)])
def test_a_slow_server_is_given_up(hook, answer):
    """Neither silence nor an answer that never ends holds the run: half a second an attempt here."""
    hook.say(PATH, answer)
    began = time.monotonic()
    assert "answer" in Webhook(Secret(hook.url + PATH), clock=Unwaiting(), timeout=0.5).post(TEXT)
    assert time.monotonic() - began < 6
    assert len(hook.to(PATH)) == 2


def test_everything_together_is_bounded(hook, monkeypatch):
    """Whatever else is slow, such as the look-up of a name: after so many seconds the run ends."""
    monkeypatch.setattr(webhook, "LONGEST", 0.2)
    hook.say(PATH, Say(hang=True))
    began = time.monotonic()
    assert Webhook(Secret(hook.url + PATH), timeout=60).post(TEXT) == "no answer within 0.2 s"
    assert time.monotonic() - began < 3


def test_no_exception_leaves(hook, monkeypatch):
    """A defect in here is no reason for a traceback at the end of a run."""
    monkeypatch.setattr("automatum.api.http.send", lambda *arguments, **named: 1 / 0)
    assert Webhook(Secret(hook.url + PATH)).post(TEXT) == "ZeroDivisionError"


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/canary-of-the-channel",
        "ftp://hooks.example.com/canary-of-the-channel",
        "https:///canary-of-the-channel",
        "https://someone:canary-of-the-channel@hooks.example.com/",
        "https://[canary-of-the-channel/",
        "canary-of-the-channel",
    ],
)
def test_a_wrong_url_is_refused_without_being_shown(url):
    """I6: exit 78 names the key alone."""
    with pytest.raises(ConfigurationError) as caught:
        Webhook(Secret(url))
    assert "sources.automatum.notify_url" in str(caught.value)
    assert "canary" not in str(caught.value)


# Its text


def test_one_line_says_it_all():
    tables = {
        "customers": {"inserted": 3, "updated": 2, "deleted": 1},
        "entitlements": {"inserted": 0, "updated": 0, "deleted": 0},
        "analytics": {"inserted": 0, "updated": 36, "deleted": 0},
    }
    line = result_line("sync", "complete", 0, changes=format_changes(tables), cost="11 requests, 4.2 s")
    assert line == "automatum sync: complete; customers +3 ~2 -1, analytics ~36; 11 requests, 4.2 s"


def test_trouble_comes_with_its_next_step_in_one_line():
    errors = [
        ("", RequestRefused("GET", "/api/v1/customers", 400, "no\nsuch thing", "Ask them.")),
        ("acme", DestinationError("The load step failed: x", "Look.")),
    ]
    line = result_line("sync", "incomplete", 69, cost="3 requests, 1.0 s", errors=errors)
    assert line == (
        "automatum sync: incomplete (exit 69); 3 requests, 1.0 s; GET /api/v1/customers answered 400: no such thing; "
        "1 more (acme: DestinationError); next: Ask them"
    )
    later = QuotaExhausted("The hour is full.", "Come back.", 1_700_000_000.0)
    line = result_line("sync", "more_to_do", 75, errors=[("", later)], resume_at=later.resume_at)
    assert line.endswith("next: Come back; run again at 2023-11-14T22:13:20Z")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RequestRefused("GET", "/api/v1/customers/cust_7", 400, "Acme is odd"), "GET /api/v1/customers answered 400"),
        (RequestRefused("GET", "/api/v1/customers", None, "Acme"), "GET /api/v1/customers gave no answer"),
        (DestinationError("The load step failed: ConversionException: 'Acme'"), "The load step failed"),
        (ConfigurationError("usage", "the destination refuses the query: 'Acme'"), "usage: the destination refuses"),
        (CredentialsRefused("POST /oauth/token answered 401: Acme."), "The API refuses the credentials."),
        (QuotaExhausted("GET /x answered 429: Acme"), "GET /x answered 429"),
        (ScopeMissing({"customers": "read:customers"}, frozenset()), "customers needs read:customers"),
    ],
)
def test_what_others_said_is_left_out(error, said):
    """A server or a database may repeat customers' data."""
    assert said in without_server_text(error)
    line = result_line("sync", "incomplete", 69, errors=[("", error)], brief=True)
    assert "Acme" not in line and "cust_7" not in line


# From the command line


@pytest.mark.slow
def test_nothing_but_counts_leaves(small, desk, posted):
    """No value of any row, no id, no money, no secret; also when the server repeats a row in an error."""
    desk.attempts(1)
    name = small.rows.all("customers")[0]["companyName"]
    small.faults.add("status", "/api/v1/entitlements", status=400, message=f"{name} is odd", count=None)
    made = desk.run("sync")
    assert made.code == 69
    assert name in made.says
    (told,) = posted()
    assert told.startswith("automatum sync: incomplete (exit 69); customers +12, ")
    assert "GET /api/v1/entitlements answered 400" in told
    values = {
        str(value)
        for table in ("customers", "entitlements", "private_offers")
        for row in small.rows.all(table)
        for value in row.values()
        if isinstance(value, str) and len(value) > 8
    }
    assert name in values
    assert [value for value in values if value in told] == []
    assert not any(word in told for word in (small.client_secret, small.client_id, "canary"))


@pytest.mark.slow
def test_when_it_is_posted(small, desk, posted):
    """Trouble always; a change unless only trouble is asked for; a run without either when all is."""

    def post(occasion):
        before = len(posted())
        desk.sync("customers", "--notify-on", occasion)
        return [text.split()[2].rstrip(";") for text in posted()[before:]]

    assert post("trouble") == []  # the first sync: everything is new
    assert post("change") == []  # nothing is
    assert post("always") == ["complete"]
    small.rows.change("customers", small.rows.ids("customers")[0], {"status": "inactive"})
    assert post("change") == ["complete"]
    desk.set(client_secret="another_secret")
    assert [post(one) for one in ("trouble", "change", "always")] == [["incomplete"]] * 3


def test_an_unknown_occasion_is_refused(small, desk, posted):
    made = desk.sync("--notify-on", "sundays")
    assert made.code == 78
    assert "--notify-on" in made.says
    assert small.requests.all() == []


@pytest.mark.slow
@pytest.mark.parametrize(("trouble", "code"), [("500", 0), ("500", 77), ("closed", 77), ("redirect", 77)])
def test_a_lost_notification_is_one_line_and_changes_nothing(small, desk, hook, monkeypatch, trouble, code):
    """The exit code is the run's own, and I6: the URL is not in the warning, nor with --debug in the log."""
    monkeypatch.setattr(webhook, "PAUSE", 0.0)
    url = f"http://127.0.0.1:{closed_port()}{PATH}" if trouble == "closed" else hook.url + PATH
    hook.say(PATH, Say(500) if trouble == "500" else Say(302, b"", {"Location": "/" + "x" * 20}))
    desk.set(notify_url=url, **({"client_secret": "another_secret"} if code else {}))
    made = desk.run("sync", "customers", "--json", "--debug")
    assert made.code == code
    assert made.json["verdict"] == ("incomplete" if code else "complete")
    warnings = [line for line in made.err.splitlines() if "notification did not arrive" in line]
    assert len(warnings) == 1
    assert "canary" not in made.out + made.err


def test_a_wrong_webhook_ends_the_run_before_it_begins(small, desk):
    """A webhook that cannot be is a mistake to mend, not one to find out when it is needed."""
    desk.set(notify_url="http://hooks.example.com/canary-of-the-channel")
    made = desk.sync()
    assert (made.code, small.requests.all()) == (78, [])
    assert "canary" not in made.out + made.err


def test_mistakes_in_other_settings_are_told(small, desk, posted):
    desk.set(deletes="perhaps")
    made = desk.sync()
    (text,) = posted()
    assert made.code == 78 and "(exit 78)" in text
    assert "sources.automatum.deletes" in text
    desk.set(deletes=None, client_id=None)
    assert desk.sync().code == 78
    assert "client_id" in posted()[1]


def test_a_start_that_finds_another_at_work_is_told(small, desk, posted):
    """I7: before it sends a request."""
    with FileLock(desk.database.with_name(f"{desk.database.name}.lock")):
        made = desk.run("sync", "--quiet", "--lock-wait", "0")
    (text,) = posted()
    assert made.code == 75 and "not finished (exit 75)" in text
    assert "The DuckDB file marketplace.duckdb is in use by" in text
    assert small.requests.all() == []


def test_only_runs_are_told(small, desk, posted):
    """What somebody types to look at something concerns nobody else, whether it goes well or not."""
    desk.set(client_secret="another_secret")
    assert [desk.run(name).code for name in ("check", "status")] == [77, 78]
    assert posted() == []
    desk.set(notify_url="not a URL")
    assert desk.run("discover").code == 0


def test_a_push_posts_its_lines(small, desk, posted):
    """Lines by what became of them; rows that are not billed stay here, and so does money."""
    rows = rows_of(small, back=(1,), most=3)
    usage = write_csv([*rows, {**rows[0], "customer_id": "cust_canary", "units": "-1"}])
    made = desk.run("push", "--usage", usage, "--json", "--unchecked", "--confirm", "--new-ledger")
    (text,) = posted()
    assert made.code == 65
    assert text.startswith("automatum push: incomplete (exit 65); accepted 3, refused 1; ")
    assert [one["rows"] for one in made.json["refused"]] == [[5]]
    assert not [row for row in rows if row["customer_id"] in text]
    assert "canary" not in text


@pytest.mark.slow
def test_several_organizations_are_one_notification(start, desk, posted):
    """Counts by table, summed, and which organization failed; the other was synced all the same."""
    served = start(
        **SMALL,
        organizations=(OrganizationConfig(), OrganizationConfig()),
        apps=(AppConfig(), AppConfig(organization=1)),
    )
    desk.use(served)
    first, second = served.sandbox.apps
    desk.set(organizations=[{"name": "acme"}, {"name": "globex"}])
    desk.set(acme__client_id=first.client_id, acme__client_secret=first.secret)
    desk.set(globex__client_id=second.client_id, globex__client_secret="another_secret")
    made = desk.run("sync", "customers", "--quiet")
    (text,) = posted()
    assert made.code == 77 and "(exit 77)" in text
    (line,) = made.err.splitlines()
    assert "customers +12; 1 of 2 organizations changed" in line
    assert "globex: POST /oauth/token answered 401" in line
    assert "globex: The API refuses the credentials" in text


def test_a_defect_is_told_by_its_name_alone(small, desk, posted, monkeypatch):
    def broken(*arguments, **named):
        raise RuntimeError("canary of a row")

    monkeypatch.setattr("automatum.sync.run.run_sync", broken)
    made = desk.sync()
    (text,) = posted()
    assert made.code == 70 and "(exit 70)" in text
    assert "RuntimeError" in text
    assert "canary" not in text


def test_the_secret_of_the_application_is_blotted_out_of_everything(start, desk, hook):
    """I6: also where a word of ours would hold it."""
    secret = "canary+secret/with=signs"
    served = start(**SMALL, apps=(AppConfig(client_secret=secret),))
    desk.use(served)
    assert resolve_settings().client_secret.reveal() == secret
    assert Webhook(Secret(hook.url + PATH)).post(f"x {secret}") is None
    assert b"canary" not in hook.to(PATH)[0].body
    assert "canary" not in result_line("sync", "complete", 0, cost=f"x {secret}")
    assert "canary" not in repr(Webhook(Secret("https://example.com/canary-of-the-channel")))


def test_it_waits_for_nothing_of_the_run(hook):
    """A run that was told to stop still tells how it has ended."""
    stop = threading.Event()
    stop.set()
    hook.say(PATH, Say(500), Say(200, b"ok"))
    assert Webhook(Secret(hook.url + PATH), clock=SystemClock(stop)).post(TEXT) is None
