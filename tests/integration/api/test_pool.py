"""Several applications of one organization: a quarter of the time, no 429, and the same rows as with one."""

import logging

import pytest

from automatum.api.session import connect
from automatum.config.settings import resolve_settings
from automatum.core.errors import ConfigurationError, CredentialsRefused
from automatum.metering.send import METERING_SCOPE
from automatum.operations.applications import delete_application, find_application
from automatum.operations.check import check
from automatum.operations.rotate_secret import rotate
from automatum.sync.summary import OrganizationSummary
from automatum_sandbox import AppConfig, Limits, OrganizationConfig
from tests.support.syncing import Site
from tests.support.valkey import valkey, valkey_server  # noqa: F401  fixtures

READ = ("read:customers", "read:entitlements", "read:private-offers")
FEW = Limits(app_minute=20)
"""Lists may be shorter with them."""
LIMITED = {"application_limits": [[20, 60], [1000, 3600]]}
SLIDING = {"limits": FEW, "window_kind": "sliding", "traps": False}
ROWS = "SELECT COLUMNS('^[a-z].*')::VARCHAR FROM customers ORDER BY ALL"
LIST = "/api/v1/customers"


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as made:
        made.settings = dict(LIMITED)
        yield made


def pooled(site, *places):
    """The setting: the applications of the sandbox besides the first, or those at these places."""
    apps = site.served.sandbox.apps[1:] if not places else [site.served.sandbox.apps[at] for at in places]
    site.settings["applications"] = [{"client_id": one.client_id, "client_secret": one.secret} for one in apps]
    return [one.client_id for one in apps]


def serve(site, count=4, **options):
    """A sandbox with so many applications that read, and the setting that names them."""
    apps = tuple(AppConfig(f"App {number}", READ) for number in range(count))
    sandbox = site.serve(**{**SLIDING, "apps": apps, **options})
    return sandbox, [sandbox.client_id, *(pooled(site) if count > 1 else ())]


def requests_of(sandbox, *names):
    """Number of API requests of each application."""
    entries = sandbox.requests.to("/api/v1/")
    return [sum(entry.app == name for entry in entries) for name in names]


def throttled(sandbox):
    return sandbox.requests.stats()["rate_limited"]


def tokens(sandbox):
    return [entry.app for entry in sandbox.requests.to("/oauth/token") if entry.status == 200]


def seconds(site, *names, **settings):
    """How long a sync takes."""
    started = site.clock.monotonic() + 60
    assert site.sync(*names, **settings).code == 0
    return site.clock.monotonic() - started


# ---- speed


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sliding", "fixed"])
def test_a_list_is_read_in_a_quarter_of_the_time_without_a_429(tmp_path, site, kind):
    """I1, I4: four applications; 20,000 rows are 200 pages."""
    site.settings = {}  # the documented limits
    sandbox, names = serve(site, customers=20_000, window_kind=kind, limits=Limits())
    with_four = seconds(site, "customers")
    assert throttled(sandbox) == 0
    each = requests_of(sandbox, *names)
    assert sum(each) == 201 + 3, "one page of each further application shows whose records it reads"
    assert sorted(tokens(sandbox)) == sorted(names)
    assert min(each) >= 45, "they take turns"
    rows = site.query(ROWS)
    site.clock.advance(3700)
    (tmp_path / "alone").mkdir()
    with Site(tmp_path / "alone") as alone:
        alone.served, alone.clock, alone.settings = site.served, site.clock, {}
        with_one = seconds(alone, "customers")
        assert alone.query(ROWS) == rows
    assert len(rows) == 20_000
    assert with_four <= with_one / 3.9


def test_once_the_first_has_to_wait_all_take_turns(site):
    sandbox, names = serve(site, customers=4_000)
    session = connect(site.resolved(), clock=site.clock)
    for page in range(1, 32):
        session.client.get("customers", {"page": str(page), "limit": "100"}, "read:customers")
    # A token and 19 pages of the first; then a token, a page that shows whose it is, and a third of 12 pages.
    assert requests_of(sandbox, *names) == [19, 5, 5, 5]


def test_a_small_sync_costs_what_it_costs_with_one(site):
    """I3: a further application costs a token and a page, so it is used when the first would have to wait."""
    sandbox, names = serve(site, customers=450)
    site.sync("customers")
    assert tokens(sandbox) == names[:1]
    assert requests_of(sandbox, *names)[1:] == [0, 0, 0]


def test_the_dry_run_counts_on_all(site):
    site.settings = {}
    serve(site, customers=2_000)
    session = connect(site.resolved(), clock=site.clock)
    limiter = session.client.limiter
    assert limiter.wait_for(199) > 180, "until it is known whose applications they are"
    session.client.get("customers", {"page": "1", "limit": "100"}, "read:customers")
    assert limiter.wait_for(199) < 61
    assert limiter.keeps_up(4000, 0.0, 3700.0)
    assert not limiter.keeps_up(4001, 0.0, 3600.0)


# ---- one that fails


def gone(served, place):
    served.tokens.delete_app(served.apps[place])


@pytest.mark.parametrize("place", [0, 1, 3])
def test_one_that_is_gone_is_left_out_and_named(site, caplog, place):
    sandbox, names = serve(site, customers=9_500)
    gone(sandbox, place)
    with caplog.at_level(logging.WARNING, "automatum"):
        synced = site.sync("customers")
    assert synced.code == 0
    assert len(site.live("customers")) == 9_500
    assert [one for one in caplog.messages if "is left out" in one and names[place] in one]
    assert throttled(sandbox) == 0
    refused = [entry for entry in sandbox.requests.to("/oauth/token") if entry.status == 401]
    assert len(refused) == 1
    site.clock.advance(3600)
    for run in (synced, site.sync("customers")):
        assert list(run.summary.to_json()["left_out"]) == [names[place]], "the result of each run names it"


def test_a_later_turn_keeps_who_was_left_out():
    """One of several organizations is synced in turns, and the last one may not get as far as its applications."""
    earlier, later = OrganizationSummary(left_out={"app_2": "revoked"}), OrganizationSummary()
    later.take_over(earlier)
    assert later.to_json()["left_out"] == {"app_2": "revoked"}


@pytest.mark.parametrize("place", [0, 2])
def test_one_that_is_revoked_in_the_middle_is_left_out(site, caplog, place):
    """Its page is asked for by another one, and it costs two requests."""
    sandbox, names = serve(site, customers=9_500)
    sandbox.schedule.after(40, lambda: gone(sandbox, place))
    synced = site.sync("customers")
    assert synced.code == 0
    assert len(site.live("customers")) == 9_500
    assert sum(f"the application {names[place]} is left out" in one for one in caplog.messages) == 1
    assert sum(entry.status == 401 for entry in sandbox.requests.all()) == 2, "its token, and the next it asks for"


def test_one_whose_every_token_is_refused_is_left_out(site, caplog):
    sandbox, names = serve(site, customers=9_500)
    sandbox.schedule.after(40, lambda: revoke_for_ever(sandbox, names[2]))
    assert site.sync("customers").code == 0
    assert len(site.live("customers")) == 9_500
    assert sum(f"the application {names[2]} is left out" in one for one in caplog.messages) == 1
    assert sum(entry.status == 401 for entry in sandbox.requests.all()) == 2


def revoke_for_ever(sandbox, name):
    """Tokens of this application are issued, and refused."""
    issue = sandbox.tokens.issue

    def issued(app, *arguments):
        text = issue(app, *arguments)
        if app.client_id == name:
            sandbox.tokens.revoke(name)
        return text

    sandbox.tokens.issue = issued
    sandbox.tokens.revoke(name)


def test_tokens_that_expire_or_are_revoked_once_are_renewed(site, caplog):
    sandbox, _ = serve(site, customers=16_000, token_seconds=90)
    sandbox.schedule.after(50, lambda: sandbox.tokens.revoke())
    assert site.sync("customers").code == 0
    assert not [one for one in caplog.messages if "left out" in one]
    assert throttled(sandbox) == 0


def test_if_all_are_gone_the_error_is_that_of_one(site):
    sandbox, _ = serve(site, customers=9_500)
    for place in range(4):
        gone(sandbox, place)
    with pytest.raises(CredentialsRefused):
        site.sync("customers")


def test_if_all_are_gone_in_the_middle_the_run_ends_as_with_one(site):
    sandbox, _ = serve(site, customers=9_500)
    sandbox.schedule.after(40, lambda: [gone(sandbox, place) for place in range(4)])
    synced = site.sync("customers")
    assert synced.code == 77
    assert [table["verdict"] for table in synced.tables.values()] == ["incomplete"]


def test_one_without_a_scope_reads_the_other_tables(site, caplog):
    apps = (AppConfig("all", READ), AppConfig("few", ("read:customers",)))
    sandbox = site.serve(**SLIDING, apps=apps, customers=3_500, entitlements=1_500)
    (few,) = pooled(site)
    assert site.sync("customers", "entitlements").code == 0
    asked = [entry.path for entry in sandbox.requests.to("/api/v1/") if entry.app == few and entry.status == 200]
    assert set(asked) == {LIST}
    assert sum(entry.status == 403 for entry in sandbox.requests.all()) <= 1
    assert sum(f"{few} reads nothing with read:entitlements" in one for one in caplog.messages) == 1


def test_a_scope_that_none_has_is_refused_as_with_one(site):
    apps = (AppConfig("one", READ[:1]), AppConfig("two", READ[:1]))
    site.serve(**SLIDING, apps=apps, customers=300, entitlements=300)
    pooled(site)
    synced = site.sync("customers", "entitlements")
    assert synced.code == 77
    assert "read:entitlements" in str(synced.summary.errors[0])


# ---- limits


def test_a_429_of_one_blocks_that_one(site):
    """Another program uses one of them: the others go on."""
    sandbox, names = serve(site, customers=7_000)
    sandbox.schedule.after(25, lambda: [use(sandbox, names[1]) for _ in range(20)])
    started = site.clock.monotonic() + 60
    assert site.sync("customers").code == 0
    assert throttled(sandbox) <= 1
    assert site.clock.monotonic() - started < 130
    assert min(requests_of(sandbox, *names)) >= 1


def use(sandbox, name):
    """A request of another program."""
    app = sandbox.tokens.apps[name]
    sandbox.limiter.admit((name, app.organization_id), FEW, sandbox.config, sandbox.time())


def test_an_organization_that_is_used_up_stops_all(site):
    """I4: the header about the organization is believed for all, and a second 429 in a row is taken for its limit."""
    sandbox, _ = serve(site, customers=7_000, limits=Limits(app_minute=20, organization_minute=30), window_kind="fixed")
    assert site.sync("customers").code == 0
    assert len(site.live("customers")) == 7_000
    assert throttled(sandbox) <= 2 * 2, "two in each minute that the organization has used up"


# ---- whose they are


def test_an_application_of_another_organization_is_refused(site):
    """I1: before one of its rows is loaded."""
    apps = (AppConfig("own"), AppConfig("foreign", organization=1))
    sandbox = site.serve(
        **SLIDING, apps=apps, organizations=(OrganizationConfig(), OrganizationConfig()), customers=3_000
    )
    (foreign,) = pooled(site)
    synced = site.sync("customers")
    assert synced.code == 78
    (error,) = synced.summary.errors
    assert isinstance(error, ConfigurationError)
    assert foreign in str(error)
    assert requests_of(sandbox, foreign) == [1]
    owners = site.query("SELECT DISTINCT organization_id FROM customers")
    assert owners == [(sandbox.organization_id,)]


def test_one_that_cannot_show_whose_it_is_is_left_out(site, caplog):
    apps = (AppConfig("all", READ), AppConfig("reports", ("read:analytics",)))
    site.serve(**SLIDING, apps=apps, customers=3_000)
    (name,) = pooled(site)
    synced = site.sync("customers")
    assert synced.code == 0
    assert "names its organization" in synced.summary.to_json()["left_out"][name]
    (said,) = [one for one in caplog.messages if name in one]
    assert "names its organization" in said
    assert "read:customers" in said


# ---- ends and new beginnings


@pytest.mark.slow
@pytest.mark.parametrize("bound", [17, 60])
def test_runs_that_end_early_are_resumed(site, bound):
    """I3: nothing about the applications outlasts a run, and no page that was loaded is asked for twice."""
    sandbox, _ = serve(site, customers=9_500)
    pages, runs, synced = [], 0, None
    while synced is None or synced.code != 0:
        synced = site.sync("customers", max_requests=bound, chunk_rows=1_000)
        pages += [entry.page for entry in synced.entries]
        runs += 1
        assert runs < 9
    assert len(site.live("customers")) == 9_500
    assert throttled(sandbox) == 0
    assert len(set(pages)) == 96
    assert len(pages) - 96 <= 4 * runs + 3


@pytest.mark.slow
def test_the_next_run_knows_what_each_has_sent(site):
    """I4: the state of each application is on the machine."""
    sandbox, _ = serve(site, customers=7_500)
    for _ in range(3):
        assert site.sync("customers").code == 0
    assert throttled(sandbox) == 0


def test_another_machine_knows_what_each_has_sent(site, valkey):  # noqa: F811
    """I4: the state of each application is on the server that the machines share. Two runs, which need no wait."""
    sandbox, names = serve(site, customers=1_500)
    site.settings["quota_url"] = valkey.url
    for _ in range(2):
        assert site.sync("customers").code == 0
    assert throttled(sandbox) == 0
    assert all(requests_of(sandbox, *names))


def test_what_is_written_is_the_first_ones(site):
    """An application that only reads cannot bill, and one ledger knows one application."""
    sandbox, names = serve(site, customers=2_800, apps=(AppConfig("push"), AppConfig("read", READ)))
    names = [sandbox.client_id, *pooled(site)]
    session = connect(site.resolved(), clock=site.clock)
    for page in range(1, 28):
        session.client.get("customers", {"page": str(page), "limit": "100"}, "read:customers")
    assert min(requests_of(sandbox, *names)) > 5
    with pytest.raises(Exception, match="400"):
        session.client.post("metering", b"{}", scope=METERING_SCOPE)
    session.client.get("/oauth/applications")
    assert {entry.app for entry in sandbox.requests.all() if "customers" not in entry.path} == set(names[:1]) | {
        entry.app for entry in sandbox.requests.to("/oauth/token")
    }
    assert [entry.app for entry in sandbox.requests.to("/api/v1/metering")] == names[:1]


# ---- commands


def test_check_shows_each(site):
    sandbox, names = serve(site, customers=10)
    gone(sandbox, 2)
    report = check(connect(site.resolved(), clock=site.clock))
    assert list(report.applications) == names
    assert [bool(one) for one in report.applications.values()] == [False, False, True, False]
    assert report.exit_code == 77
    assert [one["scope"] for one in report.windows] == ["application"] * 2 + ["organization"] * 2
    assert report.windows[2]["used"] == report.requests + report.token_requests


def test_rotate_and_delete_name_what_they_refuse(site):
    _, names = serve(site, customers=10)
    session = connect(site.resolved(), clock=site.clock)
    with pytest.raises(ConfigurationError, match=names[2]):
        rotate(session, names[2])
    with pytest.raises(ConfigurationError, match=names[2]):
        delete_application(session, find_application(session, names[2]))


def test_a_secret_that_was_rotated_is_read_again(site, tmp_path, monkeypatch, desk):
    """As for the first application: without a restart, and only from where it was configured."""
    sandbox, _ = serve(site, customers=4_500)
    secrets = desk.folder / ".dlt" / "secrets.toml"

    def write():
        first, *more = sandbox.apps
        text = f'[sources.automatum]\nclient_id = "{first.client_id}"\nclient_secret = "{first.secret}"\n'
        for one in more:
            text += "[[sources.automatum.applications]]\n"
            text += f'client_id = "{one.client_id}"\nclient_secret = "{one.secret}"\n'
        secrets.parent.mkdir(exist_ok=True)
        secrets.write_text(text)

    def rotated():
        sandbox.tokens.new_secret(sandbox.apps[2], sandbox.calendar())
        write()

    write()
    session = connect(resolve_settings({"base_url": site.served.base_url, **LIMITED}), clock=site.clock)
    sandbox.schedule.after(25, rotated)
    for page in range(1, 46):
        session.client.get("customers", {"page": str(page), "limit": "100"}, "read:customers")
    assert session.client.pool.left_out == {}
    assert tokens(sandbox).count(sandbox.apps[2].client_id) == 2
