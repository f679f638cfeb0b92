"""A destination that a command cannot use: no credentials, no driver, no such dataset, no such file."""

import sys

import duckdb
import pytest

from tests.support.desk import SMALL, api_requests
from tests.support.loopback import closed_port
from tests.support.postgres import TRUSTED, postgres, running  # noqa: F401  a fixture

PASSWORD = "pw-canary-123456"
CREDENTIALS = "DESTINATION__POSTGRES__CREDENTIALS"
READERS = [("status",), ("status", "--verify")]


@pytest.fixture
def ready(desk, start):
    """Credentials of a sandbox."""
    served = start(**SMALL)
    desk.use(served)
    return served.sandbox


class TestCredentials:
    """Exit 78, and the variable to set."""

    @pytest.mark.parametrize("command", [("sync",), ("sync", "--dry-run"), *READERS], ids=" ".join)
    def test_each_command_names_the_variable(self, desk, ready, command):
        made = desk.run(*command, "--destination", "postgres")
        assert made.code == 78, made
        assert f"{CREDENTIALS}__PASSWORD" in made.says
        assert f"{CREDENTIALS}=postgresql://" in made.says
        assert ".dlt/secrets.toml under [destination.postgres.credentials]" in made.says
        assert not api_requests(ready) or command == ("sync", "--dry-run")

    @pytest.mark.parametrize(
        ("destination", "words"),
        [
            ("snowflake", "DESTINATION__SNOWFLAKE__CREDENTIALS__HOST"),
            ("motherduck", "DESTINATION__MOTHERDUCK__CREDENTIALS__PASSWORD"),
        ],
    )
    def test_of_other_destinations(self, desk, destination, words):
        made = desk.run("status", "--destination", destination)
        assert made.code == 78, made
        assert words in made.says

    def test_only_what_is_missing(self, desk, monkeypatch):
        (desk.folder / ".dlt").mkdir()
        file = desk.folder / ".dlt" / "secrets.toml"
        file.write_text("[destination.postgres.credentials]\ndatabase = 'd'\nusername = 'u'\npassword = 'p'\n")
        made = desk.run("status", "--destination", "postgres")
        assert made.code == 78, made
        assert "host is not set" in made.says
        assert "__USERNAME" not in made.says

    def test_no_url(self, desk, monkeypatch):
        monkeypatch.setenv(CREDENTIALS, f"nonsense {PASSWORD}")
        made = desk.run("status", "--destination", "postgres")
        assert made.code == 78, made
        assert "postgresql://username:password@host" in made.says
        assert PASSWORD not in made.says

    def test_a_server_that_is_down_is_not_a_setting(self, desk, monkeypatch):
        monkeypatch.setenv(CREDENTIALS, f"postgresql://u:{PASSWORD}@127.0.0.1:{closed_port()}/d")
        made = desk.run("status", "--destination", "postgres")
        assert made.code == 69, made
        assert "holds the file" not in made.says
        assert PASSWORD not in made.says

    def test_a_missing_driver(self, desk, monkeypatch):
        monkeypatch.setenv(CREDENTIALS, "postgresql://u:p@127.0.0.1:1/d")
        for name in [name for name in sys.modules if name.startswith(("psycopg2", "dlt.destinations.impl.postgres"))]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "psycopg2", None)
        made = desk.run("status", "--destination", "postgres")
        assert made.code == 78, made
        assert "pip install" in made.says


@pytest.mark.slow
class TestWithoutPassword:
    """A Postgres server that asks for no password takes a URL with an empty one."""

    def test_where_the_server_allows_it(self, desk, ready, postgres, monkeypatch):  # noqa: F811
        running().execute(f"CREATE ROLE {TRUSTED} LOGIN SUPERUSER")
        try:
            name = postgres.rpartition("/")[2]
            monkeypatch.setenv(CREDENTIALS, f"postgresql://{TRUSTED}:@127.0.0.1:{running().port}/{name}")
            assert desk.sync("customers", "--destination", "postgres").code == 0
            made = desk.run("status", "--json", "--destination", "postgres")
            assert made.json["tables"]["customers"]["verdict"] == "complete"
            assert desk.run("status", "--verify", "--destination", "postgres").code == 0
        finally:
            running().drop(name)
            running().execute(f"DROP ROLE {TRUSTED}")

    def test_where_it_does_not(self, desk, postgres, monkeypatch):  # noqa: F811
        monkeypatch.setenv(CREDENTIALS, postgres.replace(postgres.split("@")[0], "postgresql://postgres"))
        made = desk.run("status", "--destination", "postgres")
        assert made.code == 78, made
        assert f"{CREDENTIALS}__PASSWORD" in made.says
        assert "An empty password is for a server that asks for none." in made.says


class TestNotThere:
    """`status` and `verify` of a file or a dataset that does not exist: 78, and what exists."""

    @pytest.mark.parametrize("command", READERS, ids=" ".join)
    def test_a_file(self, desk, command):
        duckdb.connect(str(desk.folder / "market.duckdb")).close()
        made = desk.run(*command)
        assert made.code == 78, made
        assert f"there is no file {desk.database}" in made.says
        assert "Did you mean market.duckdb?" in made.says

    @pytest.mark.parametrize("command", READERS, ids=" ".join)
    def test_a_folder(self, desk, command):
        desk.database.mkdir()
        made = desk.run(*command)
        assert made.code == 78, made
        assert "is a folder" in made.says

    @pytest.mark.parametrize("command", [*READERS, ("sync",)], ids=" ".join)
    def test_a_link_to_itself(self, desk, command, monkeypatch):
        monkeypatch.setenv("AUTOMATUM_CLIENT_ID", "app_one")
        monkeypatch.setenv("AUTOMATUM_CLIENT_SECRET", "secret_of_app_one")
        desk.database.symlink_to(desk.database)
        made = desk.run(*command)
        assert made.code == 78, made
        assert "is a link to itself" in made.says

    @pytest.mark.parametrize("command", READERS, ids=" ".join)
    def test_a_dataset(self, desk, command):
        with duckdb.connect(str(desk.database)) as connection:
            connection.execute("CREATE SCHEMA automata; CREATE TABLE automata.a (x INT); CREATE TABLE b (x INT)")
        made = desk.run(*command)
        assert made.code == 78, made
        assert "there is no dataset automatum" in made.says
        assert "The destination has automata." in made.says
        assert "Did you mean automata?" in made.says

    def test_a_dataset_without_our_tables_is_not_verified(self, desk):
        with duckdb.connect(str(desk.database)) as connection:
            connection.execute("CREATE SCHEMA automatum")
        made = desk.run("status", "--verify")
        assert made.code == 78, made
        assert "has none of the tables customers" in made.says

    @pytest.mark.slow
    @pytest.mark.parametrize("command", READERS, ids=" ".join)
    def test_a_dataset_of_postgres(self, desk, postgres, monkeypatch, command):  # noqa: F811
        monkeypatch.setenv(CREDENTIALS, postgres)
        running().execute("CREATE SCHEMA automata", postgres.rpartition("/")[2])
        running().execute("CREATE TABLE automata.a (x INT)", postgres.rpartition("/")[2])
        made = desk.run(*command, "--destination", "postgres")
        assert made.code == 78, made
        assert "Did you mean automata?" in made.says
