"""A destination that a sync could not compare its rows with is refused before a request (I1, I3, I10)."""

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from automatum import automatum_source
from automatum.core.errors import ConfigurationError
from automatum.sync.options import SyncOptions
from automatum.sync.run import run_sync
from automatum.warehouse.target import Target
from tests.support.syncing import Site


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as site:
        site.serve(customers=3)
        yield site


@dlt.destination(batch_size=0, loader_file_format="parquet", name="sink")
def sink(path, table):
    raise AssertionError("something was loaded")


@pytest.mark.parametrize("kind", ["filesystem", "sink"])
def test_a_destination_that_does_not_replace_rows_is_refused_before_a_request(site, kind):
    destination = sink() if kind == "sink" else dlt.destinations.filesystem(bucket_url=str(site.folder / "lake"))
    with pytest.raises(ConfigurationError, match=f"{kind} does not replace rows") as refused:
        site.sync("customers", destination=destination)
    assert refused.value.exit_code == 78
    pipeline = dlt.pipeline("refused", destination=destination, pipelines_dir=str(site.folder / kind))
    with pytest.raises(PipelineStepFailed, match="does not replace rows"):
        pipeline.run(automatum_source(settings=site.resolved()).with_resources("customers"))
    assert site.served.sandbox.requests.to("/api/v1/") == []
    assert not (site.folder / "lake").exists()


@pytest.mark.parametrize("name", ["automatum_staging", "Automatum_Staging", "automatum_staging_acme"])
def test_a_dataset_in_which_dlt_stages_the_rows_of_another_is_refused_before_a_request(site, name):
    """A load to `automatum` on Postgres, and `automatum forget` in it, empty every table of it."""
    with pytest.raises(ConfigurationError, match="a staging dataset of automatum") as refused:
        run_sync(SyncOptions(target=Target(dataset=name, database=site.database)), settings=site.resolved())
    assert refused.value.exit_code == 78
    destination = dlt.destinations.duckdb(str(site.folder / "dlt.duckdb"))
    pipeline = dlt.pipeline("staged", str(site.folder / "dlt"), destination=destination, dataset_name=name)
    with pytest.raises(PipelineStepFailed, match="a staging dataset of automatum"):
        pipeline.run(automatum_source(settings=site.resolved()).with_resources("customers"))
    assert site.served.sandbox.requests.to("/api/v1/") == []
