"""What an interrupted run has left in dlt's working folder goes where it belongs, or nowhere (I1)."""

import dlt
import pytest

from automatum import automatum_source
from automatum.warehouse.pipeline import open_pipeline
from tests.support.desk import SMALL


@pytest.mark.slow
@pytest.mark.parametrize("other", ["database", "dataset", "application", "nothing"])
def test_what_was_read_for_another_place_or_application_is_not_loaded_i1(desk, start, other):
    """dlt has one working folder for a pipeline, wherever it loads to and whomever it asks."""
    served = start(**SMALL)
    desk.use(served)
    assert desk.sync("customers").code == 0
    (strange,) = served.sandbox.insert("customers", {"companyName": "Strange"})
    # Read and not loaded, as after a kill.
    pipeline = open_pipeline(dlt.destinations.duckdb(str(desk.database.resolve())), "automatum")
    pipeline.extract(automatum_source().with_resources("customers"))
    assert pipeline.has_pending_data
    arguments, database, dataset = [], desk.database, "automatum"
    if other == "database":
        database = desk.folder / "another.duckdb"
        arguments = ["--database", database]
    elif other == "dataset":
        dataset = "another"
        arguments = ["--dataset", dataset]
    elif other == "application":
        served = start(**{**SMALL, "seed": 99})
        desk.use(served)
        desk.set(deletes="ignore")
    if other in ("database", "dataset"):
        served.sandbox.delete("customers", strange)
    ran = desk.sync("customers", *arguments)
    assert ran.code == 0, ran
    assert ("dropped" in ran.err) == (other != "nothing")
    found = desk.query(f"SELECT count(*) FROM {dataset}.customers WHERE company_name = 'Strange'", database=database)
    assert found == [(1 if other == "nothing" else 0,)]
