"""The models: each of an analyst's questions is one SELECT from one mart, and equals a second computation in pandas."""

import pytest

from automatum.operations.model_files import read_models
from tests.support.answers import Answers, plain
from tests.support.answers_stage import EMPTY, FEES, RATES, REPORTING, Stage, change, entries
from tests.support.destinations.places import DuckDb, Postgres

pytestmark = pytest.mark.slow
PLACES = {"duckdb": DuckDb, "postgres": Postgres}
MARTS = sorted(name for name, model in read_models().items() if model.kind == "mart")
SCENES = {
    "two organizations with history": {"names": ("acme", "globex"), "history": True},
    "one organization without history": {},
    "an empty organization": {"volume": EMPTY},
}


@pytest.fixture(scope="module", params=PLACES, name="kind")
def kind_(request):
    return request.param


@pytest.fixture(scope="module", params=SCENES)
def scene(request, kind, tmp_path_factory):
    """A dataset with its views and the answers; built once for all questions."""
    folder = tmp_path_factory.mktemp("stage")
    stage = Stage(PLACES[kind](kind, ""), folder, **SCENES[request.param])
    try:
        stage.sync()
        if request.param != "an empty organization":
            change(stage)
            stage.export(*entries())
        stage.models().create()
        stage.fill()
        stage.answers = Answers(stage.place.rows, stage.today, FEES, RATES, REPORTING)
        stage.files = folder
        stage.empty = request.param == "an empty organization"
        yield stage
    finally:
        stage.close()


def ask(scene, query):
    """Rows of a query on the views."""
    with scene.pipeline.sql_client() as client, client.execute_query(query) as cursor:
        names = [one[0] for one in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


QUESTIONS = {
    "net revenue by month and marketplace": (
        "SELECT organization_id, month, vendor, currency, SUM(net) AS net FROM automatum.revenue_monthly "
        "GROUP BY organization_id, month, vendor, currency",
        lambda answers: summed(answers.revenue_monthly(), ("organization_id", "month", "vendor", "currency"), "net"),
    ),
    "what ends within 90 days": (
        "SELECT * FROM automatum.contracts_ending WHERE days_left <= 90",
        lambda answers: [one for one in answers.contracts_ending() if one["days_left"] <= 90],
    ),
    "which offers hang": (
        "SELECT * FROM automatum.offers_open WHERE hangs",
        lambda answers: [one for one in answers.offers_open() if one["hangs"]],
    ),
    "who left": ("SELECT * FROM automatum.customers_left", Answers.customers_left),
    "net revenue retention": ("SELECT * FROM automatum.retention_monthly", Answers.retention_monthly),
    "was all usage of last month billed": (
        "SELECT * FROM automatum.usage_by_month WHERE month = DATE '2026-06-01'",
        lambda answers: [one for one in answers.usage_by_month() if one["month"].month == 6],
    ),
    "fees against what is expected": ("SELECT * FROM automatum.fee_check", Answers.fee_check),
    "what is paid when": (
        "SELECT * FROM automatum.payments_due WHERE NOT is_over",
        lambda answers: [one for one in answers.payments_due() if not one["is_over"]],
    ),
}


def summed(rows, keys, name):
    groups = {}
    for row in rows:
        key = tuple(row[one] for one in keys)
        groups[key] = groups.get(key, 0) + row[name]
    return [{**dict(zip(keys, key, strict=True)), name: value} for key, value in groups.items()]


@pytest.mark.parametrize("question", QUESTIONS)
def test_each_question_is_one_select_and_equals_pandas_to_the_last_digit(scene, question):
    query, compute = QUESTIONS[question]
    found, expected = ask(scene, query), compute(scene.answers)
    assert bool(expected) is not scene.empty
    columns = expected[0] if expected else ()
    assert plain(found, columns) == plain(expected, columns)


@pytest.mark.parametrize("mart", MARTS)
def test_each_mart_equals_pandas_to_the_last_digit(scene, mart):
    found, expected = ask(scene, f"SELECT * FROM automatum.{mart}"), getattr(scene.answers, mart)()
    assert bool(expected) is not scene.empty or mart == "sync_health"
    columns = expected[0] if expected else ()
    assert plain(found, columns) == plain(expected, columns)
    if isinstance(scene.place, DuckDb):  # As docs/destinations.md says it.
        file = scene.files / f"{mart}.parquet"
        scene.execute(f"COPY (FROM automatum.{mart}) TO '{file}'")
        assert plain(ask(scene, f"FROM '{file}'"), columns) == plain(expected, columns)


def test_the_scenes_have_what_makes_answers_hard(scene):
    """Otherwise the comparison above would prove nothing about it."""
    if scene.empty:
        return
    answers = scene.answers
    revenue, daily = answers.revenue_monthly(), answers.contract_value_daily()
    assert sum(one["restated_days"] for one in revenue) > 0 and sum(one["refunds"] for one in revenue) < 0
    assert {one["vendor"] for one in revenue} == {"aws", "azure"}
    assert {one["net_converted"] is None for one in revenue} == {True, False}
    assert {"USD", "EUR", "JPY", "unknown"} <= {one["currency"] for one in daily}
    names = ("new_value", "expansion_value", "contraction_value", "churn_value", "renewal_value", "contracts_left_out")
    assert all(any(one[name] for one in daily) for name in names)
    assert {one["basis"] for one in daily} == ({"history", "terms"} if scene.history else {"terms"})
    gaps = [one["start_date"] for key, one in answers.successors.items() if key[1] == "ent_gap_1"]
    assert len(gaps) == len(scene.names)
    assert {one["successor_id"] is None for one in answers.contracts_ending()} == {True, False}
    assert {one["verdict"] for one in answers.fee_check()} >= {"no expected fee", "as expected", "too high"}
    assert {one["since_basis"] for one in answers.offers_open()} >= {"created_at", "sent_at", "viewed_at", "updated_at"}
    assert {one["ended_before"] for one in answers.payments_due()} == {True, False}
    assert {one["currency"] for one in answers.payments_due()} >= {"JPY", "EUR", "USD"}
    assert {one["is_billed"] for one in answers.usage_by_month()} == {True, False}
    deleted = [one for one in scene.place.rows("entitlements") if one["_deleted_at"]]
    assert len(deleted) == len(scene.names)


def test_the_days_of_contract_value_add_up(scene):
    """value = value of the day before + new + expansion + contraction + churn, in each marketplace and currency."""
    before = {}
    query = "SELECT * FROM automatum.contract_value_daily ORDER BY day"
    for one in ask(scene, query):
        key = one["organization_id"], one["vendor"], one["currency"]
        moved = sum(one[f"{name}_value"] for name in ("new", "expansion", "contraction", "churn"))
        assert one["value"] == before.get(key, 0) + moved, one
        before[key] = one["value"]
    assert bool(before) is not scene.empty


def test_each_unit_of_usage_is_in_one_column(scene):
    for one in ask(scene, "SELECT * FROM automatum.usage_by_month"):
        for kind in ("units", "amount"):
            sides = (
                ("measured", "carried_in", "over_billed"),
                ("accepted", "confirmed", "carried_out", "open", "refused", "written_off"),
            )
            asked, became = (sum(one[f"{name}_{kind}"] for name in side) for side in sides)
            assert asked == became, (one, kind)
