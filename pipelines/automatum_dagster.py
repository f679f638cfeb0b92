"""Dagster assets of the tables, made by dagster-dlt: one for each list and each report, and an hourly schedule.

    pip install dagster-dlt dagster-webserver
    dagster dev -f pipelines/automatum_dagster.py

Credentials come from `.dlt/secrets.toml` or the environment. Dagster needs them when a run begins, not when it loads
this file. Let one run at a time load to a destination, because dagster-dlt empties dlt's working folder as a run
begins: `dagster instance concurrency set automatum 1`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dlt import DagsterDltResource, dlt_assets

from automatum import Target, automatum_source

# The assets take their names from this source. It sends no request, so any credentials will do.
NAMES = automatum_source("none", "none")
PIPELINE = Target(database=Path("marketplace.duckdb")).pipeline()


@dlt_assets(dlt_source=NAMES, dlt_pipeline=PIPELINE, name="automatum", group_name="automatum", pool="automatum")
def automatum_assets(context: dg.AssetExecutionContext, dlt: DagsterDltResource) -> Iterator[Any]:
    """Read and load the tables of the selected assets."""
    # A new source in each run, because dagster-dlt 0.29 damages the schema of a source that it has run.
    yield from dlt.run(context=context, dlt_source=automatum_source())


defs = dg.Definitions(
    assets=[automatum_assets],
    schedules=[
        dg.ScheduleDefinition(
            name="automatum_hourly", target=dg.AssetSelection.assets(automatum_assets), cron_schedule="@hourly"
        )
    ],
    resources={"dlt": DagsterDltResource()},
)
