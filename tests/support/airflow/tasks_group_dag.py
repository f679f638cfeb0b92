"""A DAG of dlt's `PipelineTasksGroup`; docs/airflow.md shows what follows, and tests change how it is decomposed."""

from datetime import datetime

import dlt
from airflow.sdk import dag
from dlt.helpers.airflow_helper import PipelineTasksGroup

from automatum import automatum_source


@dag(schedule="@hourly", start_date=datetime(2026, 1, 1), catchup=False, max_active_runs=1)
def automatum_tasks():
    tasks = PipelineTasksGroup("automatum")  # It sets dlt's folders, so it comes before the pipeline.
    pipeline = dlt.pipeline("marketplace", destination="postgres", dataset_name="automatum")
    tasks.add_run(pipeline, automatum_source)  # no parentheses: each task reads the credentials when it runs


automatum_tasks()
