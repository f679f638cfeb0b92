"""A dataset with everything that a report shows, for the tests of the report."""

from automatum.operations.report import read_report
from tests.support.answers_stage import EMPTY, Stage, change, entries
from tests.support.destinations.places import DuckDb, Postgres

PLACES = {"duckdb": DuckDb, "postgres": Postgres}
TRAP = "<script>alert('A & B')</script>"
"""The name of a customer, on the page as text."""


def report_of(kind, folder, empty=False):
    """The report of a new dataset in DuckDB or Postgres.

    Args:
        kind: A key of `PLACES`.
        folder: Where its files go.
        empty: The organization has nothing.
    """
    stage = Stage(PLACES[kind](kind, ""), folder, **({"volume": EMPTY} if empty else {}))
    try:
        for customer in stage.sandbox.rows.ids("customers"):
            stage.sandbox.rows.change("customers", customer, {"companyName": TRAP})
        stage.sync()
        if not empty:
            change(stage)
            stage.export(*entries())
        stage.models().create()
        return read_report(stage.pipeline, None, stage.clock.time())
    finally:
        stage.close()
