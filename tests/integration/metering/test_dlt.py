"""I5 for dlt users: the destination and the resource are the push, and a row-level refusal poisons no load package."""

import logging
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from automatum import PushOptions, metering_destination, metering_usage
from tests.support import ROOT

HOUR = (datetime.now(timezone.utc) - timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)


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
        for one in small.billable()[:3]
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


def test_a_destination_pushes_the_rows_of_any_resource_once(small, desk, usage, caplog):
    bad = {**usage[0], "units": Decimal(-1)}

    destination = metering_destination(PushOptions(confirm=True, new_ledger=True))

    def load():
        pipeline = dlt.pipeline("usage", destination=destination, pipelines_dir=str(desk.folder))
        return pipeline.run([*usage, bad], table_name="usage")

    with caplog.at_level(logging.WARNING, "automatum"):
        load().raise_on_failed_jobs()
    assert pushed(small) == wanted(usage)
    assert "row 7 is not billed" in caplog.text or f"row {len(usage) + 1} is not billed" in caplog.text
    load().raise_on_failed_jobs()
    assert pushed(small) == wanted(usage), "the same rows again bill nothing"


def test_a_destination_is_dry_unless_told_otherwise(small, desk, usage):
    dlt.pipeline("usage", destination=metering_destination(), pipelines_dir=str(desk.folder)).run(usage, table_name="u")
    assert small.metering.accepted == []


@pytest.mark.slow
def test_a_resource_pushes_and_tells_what_came_of_it(small, desk, usage):
    pipeline = dlt.pipeline(
        "automatum", destination=dlt.destinations.duckdb(str(desk.database)), dataset_name="automatum"
    )
    for new in (True, False):
        pipeline.run(metering_usage(usage, PushOptions(confirm=True, new_ledger=new)))
        told = desk.query("SELECT customer_id, dimension, units, state FROM metering_lines ORDER BY ALL")
        assert told == [(*line, "accepted") for line in wanted(usage)]
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
    desk.set(base_url="http://127.0.0.1:9", retry_attempts=1, ledger_url=f"sqlite:///{desk.folder / 'l.sqlite'}")
    pipeline = dlt.pipeline(
        "automatum", destination=dlt.destinations.duckdb(str(desk.database)), dataset_name="automatum"
    )
    with pytest.raises(PipelineStepFailed, match=r"127\.0\.0\.1"):
        pipeline.run(metering_usage(usage, PushOptions(confirm=True, new_ledger=True)))
    assert small.metering.accepted == []


@pytest.mark.slow
def test_the_script_is_dry_without_confirm(small, desk, usage, monkeypatch, caplog):
    import runpy
    import sys

    script = ROOT / "pipelines" / "automatum_push.py"
    pipeline = dlt.pipeline(
        "automatum", destination=dlt.destinations.duckdb("marketplace.duckdb"), dataset_name="automatum"
    )
    pipeline.run(usage, table_name="usage_by_hour")
    monkeypatch.setattr(sys, "argv", [str(script)])
    runpy.run_path(str(script), run_name="__main__")
    assert small.metering.accepted == []
    monkeypatch.setattr(sys, "argv", [str(script), "--confirm", "--new-ledger"])
    runpy.run_path(str(script), run_name="__main__")
    assert pushed(small) == wanted(usage)
