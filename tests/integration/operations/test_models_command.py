"""`automatum models`: it makes, replaces and drops its own views only, beside syncs and whatever dlt drops."""

import contextlib

import dlt
import duckdb
import psycopg2
import pytest

from automatum import automatum_source
from automatum.core.errors import ConfigurationError
from automatum.operations.model_files import USER_TABLES, compile_models, read_models, source_tables
from automatum.operations.models import Models
from tests.support.desk import SMALL
from tests.support.postgres import postgres  # noqa: F401  fixture

pytestmark = pytest.mark.slow
VIEWS = set(read_models())


class Place:
    """A destination that the commands load to, and a connection of its own."""

    def __init__(self, desk, url):
        self.desk, self._url, self.options = desk, url, ("--destination", "postgres") if url else ()

    def run(self, *arguments):
        return self.desk.run(*arguments, *self.options)

    def start(self, *arguments, chunk_rows):
        return self.desk.start(*arguments, *self.options, chunk_rows=chunk_rows)

    def query(self, text, change=False):
        opened = psycopg2.connect(self._url) if self._url else duckdb.connect(str(self.desk.database))
        with contextlib.closing(opened) as connection, connection.cursor() as cursor:
            cursor.execute(text)
            rows = None if change else cursor.fetchall()
            connection.commit()
            return rows

    def change(self, text):
        self.query(text, change=True)

    def names(self, kind, dataset="automatum"):
        found = self.query(
            "SELECT table_name FROM information_schema.tables "
            f"WHERE table_schema = '{dataset}' AND table_type = '{kind}'"
        )
        return {name for (name,) in found}

    def destination(self):
        return dlt.destinations.postgres(self._url) if self._url else dlt.destinations.duckdb(str(self.desk.database))


@pytest.fixture(params=["duckdb", "postgres"])
def place(request, desk, start, monkeypatch):
    url = request.getfixturevalue("postgres") if request.param == "postgres" else None
    if url:
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)
    desk.use(start(**SMALL))
    made = Place(desk, url)
    assert made.run("sync", "--json").code == 0
    return made


def test_create_is_idempotent_and_drop_leaves_what_is_the_users(place):
    tables = place.names("BASE TABLE")
    made = place.run("models", "create", "--json")
    assert made.code == 0, made
    assert made.json["changed"] and set(made.json["views"]) == VIEWS
    assert place.names("VIEW") == VIEWS
    assert place.names("BASE TABLE") == tables | USER_TABLES.keys()
    place.change("INSERT INTO automatum.expected_fees (vendor, percent) VALUES ('aws', 3)")
    place.change("CREATE VIEW automatum.mine AS SELECT 1 AS one")
    assert place.run("models", "create", "--json").json["changed"] is False
    assert place.query("SELECT percent FROM automatum.stg_expected_fees") == [(3,)]
    listed = place.run("models", "list", "--json").json["models"]
    assert {one["view"] for one in listed} == {"yes"} and {one["name"] for one in listed} == VIEWS
    assert all(one["question"].endswith("?") for one in listed)
    dropped = place.run("models", "drop", "--json")
    assert set(dropped.json["dropped"]) == VIEWS
    assert place.names("VIEW") == {"mine"}
    assert place.query("SELECT percent FROM automatum.expected_fees") == [(3,)]
    assert place.run("models", "drop", "--json").json["dropped"] == []
    assert {one["view"] for one in place.run("models", "list", "--json").json["models"]} == {"no"}


@pytest.mark.parametrize("kind", ["TABLE", "VIEW"])
def test_a_table_or_view_of_another_origin_is_refused_and_stays(place, kind):
    place.change(f"CREATE {kind} automatum.revenue_monthly AS SELECT 4711 AS mine")
    refused = place.run("models", "create")
    assert refused.code == 78
    assert "revenue_monthly" in refused.says and "--into" in refused.says
    assert place.names("VIEW") == ({"revenue_monthly"} if kind == "VIEW" else set())
    place.run("models", "drop")
    assert place.query("SELECT mine FROM automatum.revenue_monthly") == [(4711,)]
    for name in () if place.options else ("temp", "system", place.desk.database.stem):
        assert place.run("models", "create", "--into", name).code == 78  # DuckDB's own names, and the file's.
    # In a dataset of their own they fit.
    assert place.run("models", "create", "--into", "Answers").code == 0
    assert place.names("VIEW", "answers") == VIEWS
    assert place.query("SELECT count(*) > 0 FROM answers.stg_customers") == [(True,)]
    assert place.run("models", "drop", "--into", "Answers").code == 0
    assert place.names("VIEW", "answers") == set()


def test_syncs_and_verify_go_on_and_a_refresh_is_not_blocked_i10(place):
    assert place.run("models", "create").code == 0
    place.desk.set(history=True)
    again = place.run("sync", "--json")  # It adds tables, and writes its own views.
    assert again.code == 0, again
    assert place.run("status", "--verify").code == 0
    made = place.run("models", "create", "--json").json
    assert not [name for name in made["empty_tables"] if name.endswith("_history")]
    assert place.query("SELECT count(*) > 0 FROM automatum.int_history") == [(True,)]
    folder = str(place.desk.folder / "own")
    for mode in ("drop_sources", "drop_resources", "drop_data"):
        pipeline = dlt.pipeline("own", destination=place.destination(), dataset_name="automatum", pipelines_dir=folder)
        pipeline.run(automatum_source(), refresh=mode)
        assert place.query("SELECT count(*) FROM automatum.customers") == [(SMALL["customers"],)]
        assert place.run("models", "create").code == 0
        assert place.query("SELECT count(*) FROM automatum.stg_customers") == [(SMALL["customers"],)]
    assert place.run("status", "--verify").code == 0


def test_views_are_made_and_dropped_beside_running_syncs(place):
    """A sync that adds the tables of the history, then one that replaces rows and drops its own tables of work."""
    made = []
    for setting in ({"history": True}, {"personal": {"customers.email": "drop"}}):
        place.desk.set(**setting)
        with place.start("sync", "--json", chunk_rows=3) as running:
            while running.poll() is None:
                made += [place.run("models", action) for action in ("create", "drop")]
            said = running.communicate()
        assert running.returncode == 0, said
    assert len(made) >= 4
    assert [one for one in made if one.code] == []
    assert place.names("VIEW") & VIEWS == set()
    assert place.run("models", "create").code == 0
    assert place.names("VIEW") >= VIEWS
    for name in VIEWS:
        place.query(f"SELECT * FROM automatum.{name}")
    assert place.run("status", "--verify").code == 0


def test_a_view_of_the_user_on_ours_is_no_loss(place):
    place.run("models", "create")
    place.change("CREATE VIEW automatum.mine AS SELECT gross FROM automatum.revenue_monthly")
    place.desk.set(models={"annual_days": 360})
    made = place.run("models", "create")
    if place.names("VIEW") and made.code:  # Postgres keeps what a view reads.
        assert made.code == 69
        assert "A view of your own reads them" in made.says
        assert place.names("VIEW") == {*VIEWS, "mine"}
        assert place.query("SELECT annual_days FROM automatum.model_settings") == [(365,)]
        place.change("DROP VIEW automatum.mine")
        assert place.run("models", "create").code == 0
    assert place.query("SELECT annual_days FROM automatum.model_settings") == [(360,)]


@pytest.mark.parametrize("table", ["entitlements", "analytics_revenue"])
def test_a_table_that_was_not_synced_is_read_as_empty(place, table):
    place.change(f"DROP TABLE automatum.{table}")
    made = place.run("models", "create", "--json")
    assert made.code == 0, made
    assert table in made.json["empty_tables"]
    for name in VIEWS:
        place.query(f"SELECT * FROM automatum.{name}")


def test_a_column_that_is_missing_is_read_as_null(place):
    place.change("ALTER TABLE automatum.entitlements DROP COLUMN value")
    assert place.run("models", "create").code == 0
    assert place.query("SELECT count(*), count(value) FROM automatum.stg_entitlements") == [(SMALL["entitlements"], 0)]
    assert place.query("SELECT count(*) FROM automatum.contract_value_daily") == [(0,)]


# Without a destination


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"anual_days": 365}, "annual_days"),
        ({"annual_days": "many"}, "not a number"),
        ({"annual_days": True}, "not a number"),
        ({"fee_tolerance": -1}, "not a number"),
        ({"fee_tolerance": "NaN"}, "not a number"),
        ({"today": "tomorrow"}, "not a day"),
    ],
)
def test_a_wrong_definition_is_refused_by_name(settings, says):
    with pytest.raises(ConfigurationError) as caught:
        compile_models({}, "duckdb", "automatum", "automatum", settings)
    said = f"{caught.value} {caught.value.next_step}"
    assert says in said and f"sources.automatum.models.{next(iter(settings))}" in said


def test_definitions_are_literals_whatever_they_contain():
    given = {"active_statuses": ["active", "it's; DROP"], "today": "2026-01-02", "fee_tolerance": "0.25"}
    query = compile_models({}, "duckdb", "a", "a", given)[list(read_models()).index("model_settings")].query
    with duckdb.connect() as connection:
        row = connection.execute(f"SELECT active_statuses, today, fee_tolerance FROM ({query})").fetchone()
    assert [str(one) for one in row] == ["active,it's; DROP", "2026-01-02", "0.250000000"]


@pytest.mark.parametrize("name", ["filesystem", "motherduck", "snowflake"])
def test_a_destination_without_views_is_refused_by_name(name):
    pipeline = dlt.pipeline("other", destination=getattr(dlt.destinations, name)(), dataset_name="automatum")
    with pytest.raises(ConfigurationError, match=f"{name}.*duckdb and postgres"):
        Models(pipeline)


def test_a_file_that_does_not_exist_is_not_created(desk):
    for action in ("create", "drop", "list"):
        assert desk.run("models", action).code == 78
    assert not desk.database.exists()


def test_a_list_does_not_write(desk, small):
    desk.sync()
    before = desk.database.stat().st_mtime_ns
    assert desk.run("models", "list").code == 0
    assert desk.database.stat().st_mtime_ns == before


def test_each_model_reads_what_is_declared_and_says_what_it_does_not_say():
    models = read_models()
    known = {*models, *USER_TABLES, *source_tables()}
    marts = [one for one in models.values() if one.kind == "mart"]
    assert len(marts) == 10
    assert all("does not" in one.description or "It is not" in one.description for one in marts)
    assert all(one.question.count("?") == 1 for one in models.values() if one.kind != "settings")
    assert not known & {"", None}
