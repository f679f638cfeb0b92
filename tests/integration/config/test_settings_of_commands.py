"""Settings as a user of the command line meets them: broken files, misspelt names, wrong types, missing credentials.

Each ends with exit 78 before a request, and the message says what is wrong, where it stands, and what to write.
"""

import os
import re

import dlt
import pytest
from dlt.common.configuration.specs import BaseConfiguration

from automatum import automatum_source
from automatum.api.overrides import resolve_endpoints
from automatum.config.lookup import CREDENTIALS
from automatum.config.removed_settings import REMOVED_SETTINGS
from automatum.config.settings import check_configuration, resolve_settings
from automatum.config.source_section import resolve_source_settings
from automatum.core.errors import ConfigurationError
from automatum.core.redaction import redact
from tests.support.desk import SMALL, Ran, api_requests, forget
from tests.support.loopback import closed_port

CANARY = "secret_canary_in_a_file"
COMMANDS = [
    ("sync",),
    ("check",),
    ("sync", "--dry-run"),
    ("discover",),
    ("status",),
    ("status", "--verify"),
    ("push", "--usage", "usage.csv"),
    ("push", "status"),
    ("push", "export"),
    ("apps", "list"),
    ("apps", "rotate", "--yes"),
]


def write(desk, text, name="config.toml"):
    """Write a file of dlt's settings; returns its path."""
    path = desk.folder / ".dlt" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(made, *words):
    """The message of a command that ended with 78, and holds these words."""
    assert made.code == 78, made
    assert "defect" not in made.says
    assert CANARY not in made.says
    for word in words:
        assert str(word) in made.says, made
    return made.says


@pytest.fixture
def discover(desk):
    """Read the settings as the command `discover` does, without its printing, which takes a quarter of a second."""

    def read():
        forget()
        try:
            check_configuration()
            resolve_endpoints(resolve_settings(with_credentials=False))
        except ConfigurationError as error:
            return Ran(error.exit_code, "", redact(f"error: {error.message} next: {error.next_step}"))
        return Ran(0, "", "")

    return read


@pytest.fixture
def ready(desk):
    """Credentials are set; nothing listens at the address."""
    desk.set(base_url="http://127.0.0.1:9", client_id="app_1", client_secret=CANARY)


@pytest.mark.usefixtures("ready")
class TestFiles:
    """A TOML file that cannot be read: the path, what is wrong, where tomlkit knows it, and never the content."""

    @pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
    def test_each_command_names_file_line_and_column(self, desk, command):
        path = write(desk, "[sources.automatum]\nhistory = = true\n")
        refused(desk.run(*command), path, "line 2, column 11")

    @pytest.mark.parametrize("name", ["config.toml", "secrets.toml"])
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (f"[sources.automatum]\nclient_secret = {CANARY}\n", "line 2, column 17"),
            (f'[sources.automatum]\nclient_secret = "{CANARY}\n', "line 2"),
            ("[sources.automatum]\nhistory = True\n", "line 2, column 11"),
            ("[sources.automatum\nhistory = true\n", "line 1"),
            ("[sources.automatum]\ntables = [\n", "line 2, column 1"),
            ("history", "not valid TOML"),
            ("[sources.automatum]\nhistory = true\nhistory = false\n", 'Key "history" already exists'),
            ("[sources.automatum]\n[sources.automatum]\n", "line 2"),
            ("a = 1\nb = { x = 1, x = 2 }\n", 'Key "x" already exists'),
            (b"\xef\xbb\xbf[sources.automatum]\n", "byte order mark"),
            ("[sources.automatum]\n".encode("utf-16"), "is not UTF-8"),
            (b"[sources.automatum]\n# caf\xe9\n", "is not UTF-8"),
        ],
    )
    def test_what_is_wrong_with_it(self, desk, discover, name, text, words):
        path = write(desk, text, name)
        refused(discover(), path, words)

    def test_a_folder_a_loop_and_a_dead_link(self, desk, discover):
        path = write(desk, "", "secrets.toml")
        path.unlink()
        path.mkdir()
        refused(discover(), path, "Is a directory")
        path.rmdir()
        path.symlink_to("nowhere.toml")
        refused(discover(), path, "link to nowhere.toml")
        path.unlink()
        path.symlink_to(path)
        refused(discover(), path, "symbolic links")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
    def test_a_file_of_another_user(self, desk, discover):
        path = write(desk, "", "secrets.toml")
        path.chmod(0)
        refused(discover(), path, "Permission denied")

    @pytest.mark.parametrize("text", ["", "\n", "# nothing\r\n[sources.automatum]\r\nhistory = true\r\n"])
    def test_an_empty_file_and_windows_line_ends_are_fine(self, desk, discover, text):
        write(desk, text)
        assert discover().code == 0

    def test_no_folder_and_no_file(self, discover):
        assert discover().code == 0


@pytest.mark.usefixtures("ready")
class TestNames:
    """A name that nothing reads is refused with the nearest name and its place."""

    @pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
    def test_each_command_refuses_a_misspelt_key(self, desk, command):
        path = write(desk, "[sources.automatum]\n\nhistroy = true\n")
        refused(desk.run(*command), path, "sources.automatum.histroy", "Did you mean history?")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("[sources.automatum]\nTables = []\n", "Did you mean tables?"),
            ("[sources.automatum]\nlookback-days = 5\n", "Did you mean lookback_days?"),
            ("[sources]\nautomatum = { histroy = true }\n", "Did you mean history?"),
            ('[sources."automatum"]\n"histroy" = true\n', "Did you mean history?"),
            ("sources.automatum.histroy = true\n", "Did you mean history?"),
            ("[sources.automatum.endpionts.customers]\npath = 'x'\n", "Did you mean endpoints?"),
            ("[sources.automatum.customers]\npath = 'x'\n", "docs/configuration.md"),
            ("[[sources.automatum.organisations]]\nname = 'acme'\n", "Did you mean organizations?"),
            ("[sources.automatum]\norganization_id = 'x'\n", "Did you mean organizations?"),
            ("[sources.automatum.acme]\nhistory = true\n", "docs/configuration.md"),
            ("[sources.automatum]\nzzz = 1\n", "docs/configuration.md"),
            ("[sources.Automatum]\nhistory = true\n", "Did you mean sources.automatum.history?"),
            ("[sources.automatun]\nhistroy = true\n", "Did you mean sources.automatum.history?"),
            ("[sources.automatom.endpoints.customers]\npath = 'x'\n", "Did you mean sources.automatum.endpoints?"),
            ("[source.automatum]\nhistory = true\n", "Did you mean sources.automatum.history?"),
            ("[automatum]\nhistory = true\n", "Did you mean sources.automatum.history?"),
            ('["sources.automatum"]\nhistory = true\n', "Did you mean sources.automatum.history?"),
        ],
    )
    def test_in_a_file(self, desk, discover, text, words):
        path = write(desk, text)
        refused(discover(), path, words)

    @pytest.mark.parametrize(
        ("inside", "words"),
        [
            ("histroy = true", "Did you mean history?"),
            ("notify_url = 'x'", "no such setting"),
            ("secrets_from = 'x'", "no such setting"),
        ],
    )
    def test_in_the_section_of_an_organization(self, desk, discover, inside, words):
        path = write(desk, f"[[sources.automatum.organizations]]\nname = 'acme'\n[sources.automatum.acme]\n{inside}\n")
        refused(discover(), path, "sources.automatum.acme", words)

    def test_in_the_entry_of_an_organization(self, desk, discover):
        write(desk, "[[sources.automatum.organizations]]\nname = 'acme'\norganisation_id = 'x'\n")
        refused(discover(), "sources.automatum.organizations[0].organisation_id", "Did you mean organization_id?")

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"endpoints": {"entitlement": {"path": "x"}}}, "Did you mean entitlements?"),
            ({"endpoints": {"customers": {"paht": "x"}}}, "Did you mean path?"),
            ({"endpoints": {"customers": {"parameters": {"pages": "x"}}}}, "Did you mean page?"),
            ({"reports": [{"name": "usage", "colums": {}}]}, "Did you mean columns?"),
        ],
    )
    def test_in_the_overrides_of_endpoints(self, desk, discover, settings, words):
        desk.set(**settings)
        refused(discover(), words)

    @pytest.mark.parametrize(
        ("variable", "words"),
        [
            ("SOURCES__AUTOMATUM__HISTROY", "SOURCES__AUTOMATUM__HISTORY"),
            ("SOURCES__AUTOMATUM__ENDPOINTS__CUSTOMERS__PATH", "no such setting"),
            ("SOURCES__AUTOMATUM__ORGANIZATION_ID", "SOURCES__AUTOMATUM__ORGANIZATIONS"),
            ("SOURCES__AUTOMATUM__ACME__HISTROY", "docs/configuration.md"),
            ("SOURCES__AUTOMATUN__HISTORY", "Did you mean SOURCES__AUTOMATUM__HISTORY?"),
            ("SOURCES_AUTOMATUM__HISTORY", "Did you mean SOURCES__AUTOMATUM__HISTORY?"),
            ("SOURCES__AUTOMATUM_HISTORY", "Did you mean SOURCES__AUTOMATUM__HISTORY?"),
            ("SOURCE__AUTOMATUM__HISTROY", "Did you mean SOURCES__AUTOMATUM__HISTORY?"),
            ("AUTOMATUM_BASE_URL", "Did you mean SOURCES__AUTOMATUM__BASE_URL?"),
            ("AUTOMATUM_WEBHOOK_SECERT", "Did you mean SOURCES__AUTOMATUM__WEBHOOK_SECRET?"),
            ("AUTOMATUM__CLIENT_ID", "Did you mean SOURCES__AUTOMATUM__CLIENT_ID?"),
        ],
    )
    def test_in_the_environment(self, monkeypatch, discover, variable, words):
        monkeypatch.setenv(variable, CANARY)
        refused(discover(), variable, words)

    def test_variables_of_organizations(self, desk, monkeypatch, discover):
        desk.set(organizations=[{"name": "acme"}, {"name": "globex"}])
        monkeypatch.setenv("SOURCES__AUTOMATUM__ACME__HISTORY", "true")
        monkeypatch.setenv("SOURCES__AUTOMATUM__GLOBEX__CLIENT_ID", "app_2")
        assert discover().code == 0
        monkeypatch.setenv("SOURCES__AUTOMATUM__ACME__HISTROY", "true")
        refused(discover(), "Did you mean SOURCES__AUTOMATUM__ACME__HISTORY?")

    def test_what_is_left_alone(self, desk, monkeypatch, discover):
        """Other sources, dlt's own keys, organizations of other projects, variables of Kubernetes and of the vendor."""
        write(
            desk,
            "max_table_nesting = 2\n[sources.rest_api]\nhistory = true\n[sources.automatum]\nmax_table_nesting = 1\n"
            "[sources.automatum.data_writer]\nfile_max_items = 5\n[sources.automatum.other]\nclient_id = 'a'\n"
            "[normalize]\nworkers = 1\n[automatum.sources.automatum]\nhistory = true\n"
            "[sources.automatum_eu]\nhistory = true\n",
        )
        for name in ("AUTOMATUM_SERVICE_HOST", "AUTOMATUM_PORT", "AUTOMATUM_PORT_80_TCP_ADDR", "AUTOMATUM_CLIENT_ID"):
            monkeypatch.setenv(name, "x")
        for name in ("SOURCES__REST_API__STATUS", "SOURCES__AUTOMATUM_EU__HISTORY", "AUTOMATUM_DUCKDB_MEMORY"):
            monkeypatch.setenv(name, "x")
        made = discover()
        assert made.code == 0, made

    @pytest.mark.parametrize("name", REMOVED_SETTINGS)
    def test_a_removed_setting_is_refused_with_what_to_do_instead(self, monkeypatch, name):
        """In a variable and in a program."""
        with pytest.raises(ConfigurationError, match=re.escape(REMOVED_SETTINGS[name])):
            resolve_settings({"client_id": "app_1", "client_secret": CANARY, name: "x"})
        monkeypatch.setenv(f"SOURCES__AUTOMATUM__{name.upper()}", "x")
        with pytest.raises(ConfigurationError, match=re.escape(REMOVED_SETTINGS[name])):
            resolve_settings({"client_id": "app_1", "client_secret": CANARY})

    @pytest.mark.parametrize("section", [None, "automatum", "acme"])
    def test_variables_with_common_names_are_not_settings(self, desk, monkeypatch, section):
        """I1: SINCE and TABLES of a shell do not bound a sync. I6: no other program's secret is sent."""
        for name, value in {"SINCE": "2026-01-01", "TABLES": '["nope"]', "LOOKBACK_DAYS": "many"}.items():
            monkeypatch.setenv(name, value)

        for key in CREDENTIALS:
            monkeypatch.setenv(f"SOURCES__ACME__{key.upper()}", CANARY)

        def resolve():
            if section is None:
                return resolve_settings()
            found = []

            @dlt.source(name="automatum", section=section, spec=BaseConfiguration)
            def source():
                found.append(resolve_source_settings(None))
                return []

            source()
            return found[0]

        found = resolve()
        assert (found.since, found.tables, found.lookback_days) == (None, None, 35)
        desk.set(client_secret=None)
        monkeypatch.delenv("SOURCES__ACME__CLIENT_SECRET")
        monkeypatch.setenv("CLIENT_SECRET", CANARY)
        monkeypatch.setenv("SOURCES__CLIENT_SECRET", CANARY)
        with pytest.raises(ConfigurationError, match="client_secret: is not set"):
            resolve()

    def test_a_misspelt_key_ends_before_a_request_and_is_reported_as_json(self, desk, start):
        served = start(**SMALL)
        desk.use(served)
        desk.set(histroy="true")
        made = desk.sync()
        assert made.code == 78
        assert made.json["errors"][0]["exit_code"] == 78 if "errors" in made.json else made.json
        assert not api_requests(served.sandbox)

    def test_a_dlt_source_refuses_it_too(self, desk):
        desk.set(histroy="true")
        with pytest.raises(ConfigurationError, match="HISTROY"):
            automatum_source()


@pytest.mark.usefixtures("ready")
class TestTypes:
    """A value of a wrong type: its place, the type that is expected, and an example in the form of that place."""

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ('history = "sometimes"', "history = true"),
            ("history = 2", "true or false"),
            ('tables = "customers"', "a list as docs/configuration.md shows it"),
            ("tables = [1, 2]", "a list of texts"),
            ("lookback_days = 1.5", "a whole number"),
            ("lookback_days = true", "a whole number"),
            ('lookback_days = "many"', "lookback_days = 5"),
            ("request_timeout = nan", "request_timeout"),
            ("metering_grace_minutes = -1", "metering_grace_minutes: -1.0 is below 0"),
            ("metering_max_amount = -0.5", "metering_max_amount: -0.5 is below 0"),
            ("metering_grace_minutes = inf", "100,000 or more"),
            ("metering_grace_minutes = 3e9", "100,000 or more"),
            ("metering_max_amount = nan", "no number"),
            ("lookback_days = 3000000000", "100,000 or more"),
            ("report_window_days = 3000000000", "100,000 or more"),
            ("request_timeout = 1e300", "100,000 or more"),
            ("application_limits = [[50, 1e300]]", "[requests, seconds]"),
            ("application_limits = [[50, nan]]", "[requests, seconds]"),
            ("application_limits = [[inf, 60]]", "[requests, seconds]"),
            ("deletes = ['soft']", "a text"),
            ('endpoints = "x"', 'endpoints = {"key" = "value"}'),
            ('organizations = "acme"', "a list"),
            ("application_limits = 50", "a list"),
        ],
    )
    def test_in_a_file(self, desk, discover, line, words):
        path = write(desk, f"[sources.automatum]\n{line}\n")
        refused(discover(), f"sources.automatum.{line.split(' ')[0]}", words)
        assert path

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("history", "sometimes", "SOURCES__AUTOMATUM__HISTORY=true"),
            ("tables", "customers,entitlements", 'SOURCES__AUTOMATUM__TABLES=["text"]'),
            ("endpoints", CANARY, 'SOURCES__AUTOMATUM__ENDPOINTS={"key"'),
            ("lookback_days", "1e3", "SOURCES__AUTOMATUM__LOOKBACK_DAYS=5"),
        ],
    )
    def test_in_the_environment(self, desk, discover, name, value, words):
        desk.set(**{name: value})
        refused(discover(), f"the variable SOURCES__AUTOMATUM__{name.upper()}", words)

    def test_an_empty_variable_counts_as_not_set(self, desk, discover):
        """A shell and a compose file pass an empty text for a variable that they do not know."""
        write(desk, '[sources.automatum]\ntables = ["nope"]\n')
        desk.set(history="", tables="", base_url="")
        assert discover().code == 0


class TestCredentials:
    """Missing credentials: every place that was looked in, with absolute paths."""

    def test_where_it_looked(self, desk, tmp_path):
        path = write(desk, "[sources.automatum]\nclient_id = 'app_1'\n", "secrets.toml")
        says = refused(desk.run("check"), "sources.automatum.client_secret", "not set")
        for place in (
            "SOURCES__AUTOMATUM__CLIENT_SECRET",
            "AUTOMATUM_CLIENT_SECRET",
            f"{path} (has no client_secret",
            f"{path.with_name('config.toml')} (does not exist)",
        ):
            assert place in says, place

    def test_a_secret_in_config_toml(self, desk):
        path = write(desk, f"[sources.automatum]\nclient_id = 'app_1'\nclient_secret = '{CANARY}'\n")
        refused(desk.run("check"), path, "secrets.toml")

    @pytest.mark.parametrize("padding", [" {} ", "{}\r\n", '"{}"'])
    def test_padding_and_quotes(self, desk, start, padding):
        served = start(**SMALL)
        desk.use(served)
        known = served.sandbox.apps[0]
        desk.set(client_id=padding.format(known.client_id), client_secret=padding.format(known.secret))
        made = desk.run("check", "--json")
        assert made.code == 0, made

    @pytest.mark.parametrize("elsewhere", [False, True])
    def test_one_application_of_two_organizations(self, desk, elsewhere):
        """I5: one application reads and bills one organization; at another host it is another application."""
        desk.set(organizations=[{"name": "acme"}, {"name": "globex"}])
        desk.set(globex__base_url="https://eu.example.com" if elsewhere else None)
        for name in ("acme", "globex"):
            desk.set(**{f"{name}__client_id": "app_1", f"{name}__client_secret": CANARY})
        if elsewhere:
            assert resolve_settings(organization="globex").client_id == "app_1"
            return
        for command in (("sync",), ("check", "--organization", "globex")):
            refused(desk.run(*command), "app_1 is the OAuth application of the organization")

    def test_a_file_that_others_can_read(self, desk, start):
        """I6: `check` says how to close it."""
        served = start(**SMALL)
        desk.use(served)
        path = write(desk, "[sources.automatum]\n", "secrets.toml")
        path.chmod(0o640)
        assert f"chmod 600 {path}" in desk.run("check").says
        path.chmod(0o600)
        assert "chmod" not in desk.run("check").says
        path.chmod(0o644)
        desk.attempts(1)
        desk.set(base_url=f"http://127.0.0.1:{closed_port()}")
        unreachable = desk.run("check")
        assert unreachable.code == 69, unreachable
        assert f"chmod 600 {path}" in unreachable.says

    def test_a_misspelt_table(self, desk, start):
        served = start(**SMALL)
        desk.use(served)
        refused(desk.run("sync", "custommers"), "argument TABLE", "Did you mean customers?")
        desk.set(tables=["entitlement"])
        refused(desk.run("check"), "sources.automatum.tables", "Did you mean entitlements?")

    def test_of_an_organization(self, desk):
        desk.set(organizations=[{"name": "acme"}])
        refused(
            desk.run("check", "--organization", "acme"), "sources.automatum.acme.client_id", "[sources.automatum.acme]"
        )
        refused(desk.run("check", "--organization", "amce"), "Did you mean acme?")
