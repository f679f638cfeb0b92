"""`automatum demo`: the whole product in one command, in a process of its own."""

import json
import re
import resource

import duckdb

from tests.support import ROOT
from tests.support.pages import blocks


def test_the_demo_syncs_changes_and_asks(desk):
    """Under 20 s of one processor, and what it prints is what anyone finds in the file that it names."""
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = desk.start("demo", "--json")
    out, err = process.communicate(timeout=120)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Other tests run beside it: what it takes of the clock is theirs, too.
    assert ended.ru_utime - began.ru_utime + ended.ru_stime - began.ru_stime < 20
    assert process.returncode == 0, err
    figures = json.loads(out)
    assert "Traceback" not in err
    rows = figures["rows"]
    # 250, 410 and 130 are served; 3 customers and the entitlements of accepted offers come with the changes.
    assert (rows["customers"], rows["private_offers"]) == (253, 130)
    assert rows["entitlements"] > 410
    assert rows["analytics_revenue"] > 1_000
    assert rows["entitlement_dimensions"] > 0
    assert rows["private_offer_payments"] > 0
    first, second = figures["first_sync"], figures["second_sync"]
    assert first["verdict"] == second["verdict"] == "complete"
    assert figures["requests"] == first["requests"] + second["requests"]
    # Three, five and two pages, and a report of a year with its proofs.
    assert 10 < second["requests"] < first["requests"] < 30
    counted = {name: (one["inserted"], one["updated"], one["unchanged"]) for name, one in second["tables"].items()}
    assert {name: one[0] for name, one in counted.items()} == {
        "customers": 3,
        "entitlements": rows["entitlements"] - 410,
        "private_offers": 0,
        "analytics": 0,
    }
    assert min(counted[name][1] for name in ("customers", "entitlements", "private_offers")) > 0
    # Of the report, today and the 35 days whose revenue may be restated are read.
    assert 0 < counted["analytics"][2] < rows["analytics_revenue"]
    assert len(figures["answers"]) == 4
    assert all(answer["rows"] for answer in figures["answers"])
    with duckdb.connect(str(desk.folder / "automatum_demo.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM automatum.customers").fetchall() == [(253,)]
        queries = blocks(ROOT / "docs" / "analyse.md", "sql")
        answers = [connection.execute(query).fetchall() for query in queries if "_automatum_rejected" not in query]
        assert len(answers) >= 3 and all(answers), "the page's examples have answers"
    assert figures["database"].endswith("automatum_demo.duckdb")
    check_picture(figures)


def check_picture(figures):
    """The picture of the demo in the README has the tables, columns and figures that do not depend on the day."""
    picture = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split("```")[3].split())
    assert f"customers {figures['rows']['customers']}" in picture
    one = figures["second_sync"]["tables"]["customers"]
    numbers = [one[count] for count in ("requests", "inserted", "updated", "deleted", "unchanged")]
    assert f"customers {' '.join(map(str, numbers))}" in picture
    for answer in figures["answers"][:1]:
        assert f"{answer['question']} {' '.join(answer['columns'])}" in picture
    assert re.search(r"\d+ requests in ", picture)  # Those of the report depend on the day.


def test_the_demo_is_the_same_for_those_who_have_configured_the_real_api(desk):
    """Whatever is set for the real API neither helps nor hinders it."""
    desk.set(
        base_url="https://nowhere.invalid",
        client_id="app_real",
        client_secret="secret_of_the_real_application",
        tables=["customers"],
        endpoints={"entitlements": {"path": "contracts"}},
        since="2020-01-01",
    )
    made = desk.run("demo", "--json")
    assert made.code == 0, made
    assert made.json["rows"]["entitlements"] > 410
    assert 20 < made.json["requests"] < 50
