"""Syncs of a part: the day bounds of reports, and resources that the user cuts."""

import dlt
import pytest

from automatum import automatum_source


@pytest.mark.slow
def test_a_cut_resource_leaves_nothing_behind_for_good(desk, start):
    """I1: `add_limit` may cut between a row and its children; the next run brings both."""
    served = start(customers=5, entitlements=20)
    desk.use(served)
    pipeline = dlt.pipeline(
        "mine",
        destination=dlt.destinations.duckdb(str(desk.database)),
        dataset_name="automatum",
        pipelines_dir=str(desk.folder / "pipelines"),
    )
    pipeline.run(automatum_source().with_resources("entitlements").add_limit(1))
    pipeline.run(automatum_source().with_resources("entitlements"))
    count = sum(len(row["dimensions"]) for row in served.sandbox.rows.all("entitlements"))
    assert "entitlement_dimensions" in desk.tables()
    assert desk.counts() == {"entitlements": 20, "entitlement_dimensions": count}
