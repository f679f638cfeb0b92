"""Clones of the dlt source: each reads a section of its own, and never the credentials of another one.

The sandbox has two organizations with an application each. Whose rows a source yields says whose credentials it read.
"""

import json

import dlt
import pyarrow as pa
import pytest
from dlt.common.runtime.run_context import active
from dlt.extract.exceptions import PipeException
from dlt.extract.reference import SourceReference

from automatum import automatum_source, resolve_settings
from automatum.core.errors import ConfigurationError, CredentialsRefused, NotThere
from automatum_sandbox.config import AppConfig, OrganizationConfig
from tests.support.desk import SMALL

OWN, ACME = 0, 1
CANARY = "secret_canary_of_a_clone"
acme = automatum_source.clone(name="acme", section="acme")


@pytest.fixture
def two(start, desk):
    """Two organizations; the credentials of the first are in `sources.automatum`."""
    served = start(
        **SMALL,
        organizations=(OrganizationConfig(seed=100), OrganizationConfig(seed=101)),
        apps=(AppConfig(organization=0), AppConfig(organization=1)),
    )
    desk.use(served)
    return served


def credentials(two, which):
    app = two.sandbox.apps[which]
    return {"client_id": app.client_id, "client_secret": app.secret}


def whose(two, source):
    """Which organization the customers of a source are."""
    ids = set(pa.concat_tables(source.customers)["id"].to_pylist())
    (found,) = [
        which
        for which in (OWN, ACME)
        if ids == set(two.sandbox.rows.ids("customers", organization=two.sandbox.apps[which].organization_id))
    ]
    return found


@pytest.fixture
def write(desk):
    """Write sections of a TOML file of dlt, which a new process would find."""

    def write(sections, name="secrets.toml"):
        path = desk.folder / ".dlt" / name
        path.parent.mkdir(exist_ok=True)
        lines = []
        for section, values in sections.items():
            lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o600)
        active().reload()
        return path

    return write


def variables(monkeypatch, section, **values):
    for name, value in values.items():
        text = json.dumps(value) if isinstance(value, list) else value
        monkeypatch.setenv(f"{section}__{name.upper()}", text)


def refused(make):
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert CANARY not in str(caught.value)
    return caught.value


class TestSectionOfItsOwn:
    """`clone(name="acme", section="acme")` reads `[sources.acme]` and `SOURCES__ACME__*`, and nothing else."""

    def test_in_files(self, two, write):
        write({"sources.acme": credentials(two, ACME)})
        write({"sources.acme": {"base_url": two.base_url, "tables": ["customers"]}}, "config.toml")
        source = acme()
        assert (source.name, source.section, set(source.resources)) == ("acme", "acme", {"customers"})
        assert whose(two, source) == ACME
        assert whose(two, automatum_source()) == OWN

    def test_in_the_environment(self, two, monkeypatch):
        variables(monkeypatch, "SOURCES__ACME", base_url=two.base_url, tables=["customers"], **credentials(two, ACME))
        assert whose(two, acme()) == ACME

    def test_the_section_of_its_name_comes_first(self, two, write):
        write(
            {
                "sources.acme": {"base_url": two.base_url, "client_id": "app_x", "client_secret": CANARY},
                "sources.acme.acme": credentials(two, ACME),
            }
        )
        assert whose(two, acme()) == ACME

    @pytest.mark.parametrize("lacking", ["client_id", "client_secret", "both"])
    def test_missing_credentials_are_not_those_of_another_section(self, two, write, monkeypatch, lacking):
        """D5. Neither those of `sources.automatum` nor the vendor's variables."""
        given = {key: value for key, value in credentials(two, ACME).items() if lacking not in (key, "both")}
        path = write({"sources.acme": {"base_url": two.base_url, **given}})
        for key, value in credentials(two, OWN).items():
            monkeypatch.setenv(f"AUTOMATUM_{key.upper()}", value)
        error = refused(acme)
        key = "client_id" if lacking == "both" else lacking
        assert error.key == f"sources.acme.{key}"
        for words in (
            f"the variable SOURCES__ACME__{key.upper()}",
            f"{path} (has no {key} in [sources.acme])",
            "The credentials of [sources.automatum] are not used in its place",
        ):
            assert words in error.message, error.message
        assert f"Set SOURCES__ACME__{key.upper()}" in error.next_step
        assert "under [sources.acme]" in error.next_step
        assert not two.sandbox.requests.all()

    def test_wrong_credentials_are_refused_and_not_replaced(self, two, write):
        """D5. The configuration is read again after a refusal, from the same section."""
        write({"sources.acme": {"base_url": two.base_url, "client_id": "app_x", "client_secret": CANARY}})
        with pytest.raises(PipeException) as caught:
            list(acme().customers)
        error = cause(caught.value, CredentialsRefused)
        assert "app_" not in error.message.replace("app_x", ""), error.message
        assert "SOURCES__ACME__CLIENT_SECRET" in error.next_step, error.next_step
        assert not two.sandbox.requests.to("/api/v1/")

    def test_a_rotated_secret_is_taken_up_from_the_same_section(self, two, write):
        write({"sources.acme": {"base_url": two.base_url, **credentials(two, ACME)}})
        source = acme()
        assert whose(two, source) == ACME
        app = two.sandbox.apps[ACME]
        secret = two.sandbox.tokens.new_secret(app, two.sandbox.calendar())
        write({"sources.acme": {"base_url": two.base_url, "client_id": app.client_id, "client_secret": secret}})
        assert len(list(source.entitlements))

    def test_other_settings_are_its_own_too(self, two, write, desk):
        """Those of `sources.automatum` are not inherited: another API may have another form."""
        write({"sources.acme": {"base_url": two.base_url, **credentials(two, ACME)}})
        desk.set(tables=["customers"], endpoints={"customers": {"path": "nowhere"}})
        assert len(acme().resources) == 4
        assert whose(two, acme()) == ACME

    def test_a_placeholder_and_an_empty_value_count_as_not_set(self, two, write):
        for value in ("<configure me>", "", "  "):
            write({"sources.acme": {"client_id": "app_1", "client_secret": value}})
            assert refused(acme).key == "sources.acme.client_secret"

    def test_a_secret_in_config_toml(self, two, write):
        path = write({"sources.acme": {"client_id": "app_1", "client_secret": CANARY}}, "config.toml")
        error = refused(acme)
        assert error.key == "sources.acme.client_secret"
        assert str(path) in error.message


class TestMistakes:
    """The names and values of a clone's section are checked as those of `sources.automatum`."""

    @pytest.fixture(autouse=True)
    def ready(self, two, write):
        self.write = lambda **more: write(
            {"sources.acme": {"base_url": two.base_url, **credentials(two, ACME), **more}}
        )
        self.write()

    @pytest.mark.parametrize(
        ("key", "words"),
        [
            ("histroy", "Did you mean history?"),
            ("organizations", "docs/configuration.md"),
            ("notify_url", "docs/configuration.md"),
            ("secrets_from", "docs/configuration.md"),
            ("zzz", "docs/configuration.md"),
        ],
    )
    def test_a_name_in_a_file(self, key, words, desk):
        self.write(**{key: CANARY})
        error = refused(acme)
        assert error.key == f"sources.acme.{key}"
        assert words in error.next_step
        assert str(desk.folder / ".dlt/secrets.toml") in error.message

    @pytest.mark.parametrize(
        ("variable", "words"),
        [
            ("SOURCES__ACME__HISTROY", "Did you mean SOURCES__ACME__HISTORY?"),
            ("SOURCES__ACME__ENDPOINTS__CUSTOMERS__PATH", "docs/configuration.md"),
            ("SOURCES__ACME__SECRETS_FROM", "docs/configuration.md"),
            ("SOURCES__ACME__ACME__HISTROY", "Did you mean SOURCES__ACME__ACME__HISTORY?"),
        ],
    )
    def test_a_name_in_the_environment(self, monkeypatch, variable, words):
        monkeypatch.setenv(variable, CANARY)
        error = refused(acme)
        assert error.key == variable
        assert words in error.next_step

    @pytest.mark.parametrize(
        ("name", "value", "key"),
        [
            ("history", "sometimes", "history"),
            ("base_url", "http://api.automatum.io", "base_url"),
            ("since", "soon", "since"),
            ("deletes", "now", "deletes"),
            ("tables", ["nope"], "tables"),
            ("application_limits", [[0, 1]], "application_limits"),
            ("endpoints", {"customers": {"paht": "x"}}, "endpoints.customers.paht"),
            ("quota_url", "mysql://x", "quota_url"),
        ],
    )
    def test_a_value(self, monkeypatch, name, value, key):
        variables(monkeypatch, "SOURCES__ACME", **{name: value if isinstance(value, str) else json.dumps(value)})
        error = refused(acme)
        assert error.key == f"sources.acme.{key}"
        assert error.message.startswith(f"sources.acme.{key}: ")
        assert "sources.automatum" not in f"{error.message} {error.next_step}"

    def test_an_error_while_it_is_read(self, monkeypatch):
        variables(monkeypatch, "SOURCES__ACME", endpoints=json.dumps({"customers": {"path": "nowhere"}}))
        with pytest.raises(PipeException) as caught:
            list(acme().customers)
        error = cause(caught.value, NotThere)
        assert "sources.acme.endpoints.customers.path" in error.next_step
        assert "sources.automatum" not in str(error)

    def test_what_is_left_alone(self, write, two, monkeypatch):
        """Keys of dlt, other names of the section, other sources and clones."""
        write(
            {
                "sources.acme": {"base_url": two.base_url, **credentials(two, ACME), "max_table_nesting": 1},
                "sources.acme.other": {"client_id": "app_2"},
                "sources.acme.data_writer": {"file_max_items": 5},
                "sources.automatum_eu": {"client_id": "app_3", "history": True},
                "sources.rest_api": {"client_id": "app_4", "status": "x"},
            }
        )
        monkeypatch.setenv("SOURCES__AUTOMATUM_EU__HISTORY", "true")
        assert whose(two, acme()) == ACME
        assert whose(two, automatum_source()) == OWN
        resolve_settings()

    def test_a_section_like_ours_is_the_section_of_a_clone(self, write, two, monkeypatch):
        write({"sources.automatum_eu": {"base_url": two.base_url, **credentials(two, ACME)}})
        assert whose(two, automatum_source.clone(name="eu", section="automatum_eu")()) == ACME
        monkeypatch.setenv("SOURCES__AUTOMATUM_EU__HISTROY", "true")
        assert "SOURCES__AUTOMATUM_EU__HISTORY" in str(refused(automatum_source.clone(section="automatum_eu")))


class TestNameOrSectionAlone:
    def test_a_section_alone(self, two, write):
        """Dlt would fall back to `sources.automatum`, the section of the name that stays."""
        clone = automatum_source.clone(section="acme")
        assert refused(clone).key == "sources.acme.client_id"
        write({"sources.acme": {"base_url": two.base_url, **credentials(two, ACME)}})
        source = clone()
        assert (source.name, whose(two, source)) == ("automatum", ACME)
        write(
            {
                "sources.acme": {"base_url": two.base_url, "client_id": "app_1", "client_secret": CANARY},
                "sources.acme.automatum": credentials(two, ACME),
            }
        )
        assert whose(two, clone()) == ACME

    def test_a_name_alone_keeps_the_section(self, two):
        source = automatum_source.clone(name="acme")()
        assert (source.name, source.section, whose(two, source)) == ("acme", "automatum", OWN)

    def test_a_name_alone_reads_its_section_below_ours_first(self, two, write):
        write({"sources.automatum.acme": credentials(two, ACME)})
        assert whose(two, automatum_source.clone(name="acme")()) == ACME
        assert whose(two, automatum_source()) == OWN

    def test_credentials_below_ours_are_a_pair(self, two, write):
        """The rest of the pair is not taken from the section above."""
        write({"sources.automatum.acme": {"client_id": "app_1"}})
        assert refused(automatum_source.clone(name="acme")).key == "sources.automatum.acme.client_secret"

    def test_a_name_alone_does_not_read_the_section_of_its_name_and_says_so(self, two, write):
        """Dlt would read it only where `sources.automatum` has nothing."""
        write({"sources.acme": credentials(two, ACME)})
        error = refused(automatum_source.clone(name="acme"))
        assert error.key == "sources.acme.client_id"
        assert 'clone(name="acme", section="acme")' in error.next_step
        assert whose(two, automatum_source.clone(name="acme")(**credentials(two, ACME))) == ACME

    def test_several_organizations(self, two, desk):
        """With a list of organizations, a source needs to know which one."""
        desk.set(organizations=[{"name": "acme"}], acme__client_id="app_1", acme__client_secret=CANARY)
        for clone in (automatum_source, automatum_source.clone(name="acme")):
            assert 'settings=resolve_settings(organization="acme")' in str(refused(clone))


class TestArguments:
    @pytest.mark.parametrize("clone", [automatum_source, acme], ids=["own", "clone"])
    def test_they_win(self, two, write, clone):
        write({"sources.acme": {"base_url": two.base_url, "client_id": "app_1", "client_secret": CANARY}})
        source = clone(**credentials(two, ACME), tables=["customers"])
        assert set(source.resources) == {"customers"}
        assert whose(two, source) == ACME

    def test_they_suffice(self, two):
        assert whose(two, acme(**credentials(two, ACME), base_url=two.base_url)) == ACME

    @pytest.mark.parametrize("clone", [automatum_source, acme], ids=["own", "clone"])
    def test_wrong_ones_are_refused_and_not_replaced(self, two, write, clone):
        write({"sources.acme": {"base_url": two.base_url, **credentials(two, ACME)}})
        with pytest.raises(PipeException) as caught:
            list(clone(client_id="app_x", client_secret=CANARY).customers)
        cause(caught.value, CredentialsRefused)
        assert not two.sandbox.requests.to("/api/v1/")

    @pytest.mark.parametrize("value", [None, "", " "])
    @pytest.mark.parametrize("key", ["client_id", "client_secret"])
    @pytest.mark.parametrize("clone", [automatum_source, acme], ids=["own", "clone"])
    def test_an_empty_one_is_no_reason_to_look_elsewhere(self, two, write, clone, key, value):
        """Such as `os.environ.get("ACME_CLIENT_ID")` of a variable that is not set."""
        write({"sources.acme": {"base_url": two.base_url, **credentials(two, ACME)}})
        error = refused(lambda: clone(**{**credentials(two, ACME), key: value}))
        assert error.key == key
        assert "is empty" in error.message

    def test_over_settings(self, two, desk):
        settings = resolve_settings(credentials(two, ACME))
        source = automatum_source(settings=settings, tables=["customers"])
        assert (set(source.resources), settings.tables) == ({"customers"}, None)
        assert whose(two, source) == ACME
        assert whose(two, acme(settings=settings)) == ACME
        assert refused(lambda: automatum_source(settings=settings, since="soon")).key == "sources.automatum.since"
        mine = automatum_source(settings=settings, **credentials(two, OWN))
        assert whose(two, mine) == OWN

    def test_a_specification_of_the_user(self, two):
        """Dlt's `spec` fills the arguments that it names."""

        @dlt.common.configuration.configspec
        class Mine(dlt.common.configuration.specs.BaseConfiguration):
            client_id: str = two.sandbox.apps[ACME].client_id
            client_secret: dlt.common.typing.TSecretStrValue = two.sandbox.apps[ACME].secret

        assert whose(two, acme.clone(spec=Mine)(base_url=two.base_url)) == ACME


class TestPipelineName:
    """Dlt looks below the name of the active pipeline first."""

    @pytest.fixture(autouse=True)
    def active(self, desk):
        dlt.pipeline("mine", destination="duckdb", pipelines_dir=str(desk.folder / "pipelines"))

    @pytest.mark.parametrize("section", ["automatum", "acme"])
    def test_credentials_and_settings(self, two, write, monkeypatch, section):
        variables(monkeypatch, "SOURCES__ACME", base_url=two.base_url, **credentials(two, OWN))
        clone = automatum_source.clone(section=section)
        assert whose(two, clone()) == OWN
        write({f"mine.sources.{section}": {**credentials(two, ACME), "tables": ["customers"]}})
        assert whose(two, clone()) == ACME
        assert set(clone().resources) == {"customers"}
        dlt.pipeline("other", destination="duckdb")
        assert whose(two, clone()) == OWN

    def test_a_pair_and_its_names(self, two, write, monkeypatch):
        write({"mine.sources.automatum": {"client_id": "app_1"}})
        assert refused(automatum_source).key == "mine.sources.automatum.client_secret"
        write({"mine.sources.automatum": {**credentials(two, ACME), "histroy": True}})
        assert refused(automatum_source).key == "mine.sources.automatum.histroy"
        write({"mine.sources.automatum": credentials(two, ACME)})
        monkeypatch.setenv("MINE__SOURCES__AUTOMATUM__HISTROY", "true")
        assert "MINE__SOURCES__AUTOMATUM__HISTORY" in str(refused(automatum_source))

    def test_a_rotated_secret(self, two, write):
        write({"mine.sources.automatum": credentials(two, ACME)})
        source = automatum_source()
        assert whose(two, source) == ACME
        app = two.sandbox.apps[ACME]
        secret = two.sandbox.tokens.new_secret(app, two.sandbox.calendar())
        write({"mine.sources.automatum": {"client_id": app.client_id, "client_secret": secret}})
        assert len(list(source.entitlements))


def test_a_source_by_reference(two, write):
    write({"sources.acme": {"base_url": two.base_url, **credentials(two, ACME)}})
    ref = automatum_source.ref.ref
    assert whose(two, SourceReference.from_reference(ref)) == OWN
    assert whose(two, SourceReference.from_reference(ref, name="acme", section="acme")) == ACME
    assert set(SourceReference.from_reference(ref, source_kwargs={"tables": ["customers"]}).resources) == {"customers"}


def cause(error, kind):
    """The error of this kind that another one came from."""
    while error is not None:
        if isinstance(error, kind):
            return error
        error = error.__cause__ or error.__context__
    raise AssertionError(f"no {kind.__name__}")
