"""I5 for dlt users: the resource is the push, and usage that comes in several loads is billed whole."""

import runpy
import sys
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from automatum import ConfigurationError, PushOptions, metering_usage, resolve_settings, run_push
from tests.support import ROOT
from tests.support.clocks import FakeClock

HOUR = (datetime.now(timezone.utc) - timedelta(minutes=66)).replace(minute=0, second=0, microsecond=0)


@pytest.fixture
def usage(small):
    """Two good rows of each of the first entitlements, and one that cannot be sent."""
    rows = [
        {
            "customer_id": one.customer_id,
            "listing_id": one.listing_id,
            "vendor": one.vendor,
            "dimension": dimension,
            "units": Decimal(units),
            "price": Decimal(price),
            "usage_at": HOUR + timedelta(minutes=minutes),
        }
        for one in small.metering.billable()[:3]
        for dimension, price in list(one.prices.items())[:1]
        for units, minutes in (("1.5", 3), ("2", 40))
    ]
    assert len(rows) >= 4
    return rows


def pushed(sandbox):
    """(customer, dimension, units) of everything that the server took."""
    return sorted(
        (call.body["details"]["customer"]["id"], one["apiKey"], Decimal(str(one["units"])))
        for call in sandbox.metering.accepted
        for one in call.body["details"]["usages"]
    )


def wanted(rows):
    keys = sorted({(row["customer_id"], row["dimension"]) for row in rows})
    return [(*key, sum(row["units"] for row in rows if (row["customer_id"], row["dimension"]) == key)) for key in keys]


@pytest.mark.slow
def test_usage_of_an_incremental_resource_is_billed_whole_after_it_was_loaded_to_a_table_i5(small, desk, usage):
    """The destination that this replaces billed 118 of 180 units: it lost the rows of each hour that was open."""
    start = HOUR - timedelta(hours=3)
    every = [
        {**usage[0], "units": Decimal(1), "usage_at": start + timedelta(minutes=minute), "number": minute}
        for minute in range(180)
    ]

    def load(until):
        cursor = dlt.sources.incremental("number", initial_value=-1)

        @dlt.resource(name="usage", write_disposition="append")
        def new_rows(number=cursor):
            yield [row for row in every if number.last_value < row["number"] < until]

        pipeline = dlt.pipeline(
            "usage", destination=dlt.destinations.duckdb(str(desk.database)), dataset_name="automatum"
        )
        pipeline.run(new_rows())
        clock = FakeClock(epoch=(start + timedelta(minutes=until)).timestamp())
        options = PushOptions(confirm=True, new_ledger=until in (59, 80))  # until a line was sent
        pipeline.run(metering_usage("usage", options, clock=clock))
        return sum(units for *_, units in pushed(small))

    # Loads end within hours, and an hour's rows come in several loads.
    assert [load(until) for until in (59, 80, 118, 140, 179, 200)] == [0, 60, 60, 120, 120, 180]
    assert small.metering.accepted and all(
        one["units"] == 60 for call in small.metering.accepted for one in call.body["details"]["usages"]
    )


def test_a_dlt_resource_is_refused_as_usage(desk, usage):
    """I5. A resource may give each row only once, and the rows of an open hour would be lost."""
    resource = dlt.resource(usage, name="my_usage")
    with pytest.raises(ConfigurationError, match="my_usage is a dlt resource, which may give each row only once"):
        run_push(resource, settings=resolve_settings(with_credentials=False))


def test_the_destination_that_lost_open_hours_says_what_to_use_in_its_place():
    with pytest.raises(ImportError, match=r"push the table: pipeline\.run\(metering_usage\("):
        from automatum import metering_destination  # noqa: F401


@pytest.mark.slow
def test_a_resource_pushes_and_yields_the_results(small, desk, usage):
    pipeline = dlt.pipeline(
        "automatum", destination=dlt.destinations.duckdb(str(desk.database)), dataset_name="automatum"
    )
    for new in (True, False):
        pipeline.run(metering_usage(usage, PushOptions(confirm=True, new_ledger=new)))
        rows = desk.query("SELECT customer_id, dimension, asked_units, state FROM metering_lines ORDER BY ALL")
        assert rows == [(*line, "accepted") for line in wanted(usage)]
    assert pushed(small) == wanted(usage)


@pytest.mark.slow
def test_a_resource_reads_a_relation_of_the_pipeline_that_runs_it(small, desk, usage):
    pipeline = dlt.pipeline(
        "automatum", destination=dlt.destinations.duckdb(str(desk.database)), dataset_name="automatum"
    )
    pipeline.run(usage, table_name="usage_by_hour")
    pipeline.run(metering_usage("usage_by_hour", PushOptions(confirm=True, new_ledger=True)))
    assert pushed(small) == wanted(usage)


def test_an_api_that_is_away_fails_the_job_and_loses_nothing(small, desk, usage):
    desk.attempts(1)
    desk.set(base_url="http://127.0.0.1:9", ledger_url=f"sqlite:///{desk.folder / 'l.sqlite'}")
    pipeline = dlt.pipeline(
        "automatum", destination=dlt.destinations.duckdb(str(desk.database)), dataset_name="automatum"
    )
    with pytest.raises(PipelineStepFailed, match=r"127\.0\.0\.1"):
        pipeline.run(metering_usage(usage, PushOptions(confirm=True, new_ledger=True)))
    assert small.metering.accepted == []


def run_script(monkeypatch, *arguments):
    """The exit code of `pipelines/automatum_push.py`."""
    script = str(ROOT / "pipelines" / "automatum_push.py")
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(script, run_name="__main__")
    return ended.value.code


def test_m15_the_script_ends_with_the_exit_code_of_the_push(small, desk, usage, monkeypatch, capsys):
    """As found: it ended with 0 although 5 of 6 rows were not billed."""
    assert run_script(monkeypatch) == 78, "there is no database"
    pipeline = dlt.pipeline(
        "automatum", destination=dlt.destinations.duckdb("marketplace.duckdb"), dataset_name="automatum"
    )
    wrong = [{**row, "customer_id": "cust_of_nobody", "vendor": ""} for row in usage[1:]]
    pipeline.run([usage[0], *wrong], table_name="usage_by_hour")
    assert run_script(monkeypatch, "--confirm") == 78, "there is no ledger"
    assert run_script(monkeypatch, "--confirm", "--new-ledger") == 65
    assert "incomplete" in capsys.readouterr().out
    assert len(pushed(small)) == 1


@pytest.mark.slow
def test_the_script_is_dry_without_confirm(small, desk, usage, monkeypatch):
    pipeline = dlt.pipeline(
        "automatum", destination=dlt.destinations.duckdb("marketplace.duckdb"), dataset_name="automatum"
    )
    pipeline.run(usage, table_name="usage_by_hour")
    assert run_script(monkeypatch) == 0
    assert small.metering.accepted == []
    assert run_script(monkeypatch, "--confirm", "--new-ledger") == 0
    assert pushed(small) == wanted(usage)
