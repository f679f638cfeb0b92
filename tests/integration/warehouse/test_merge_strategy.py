"""What a destination cannot do is said before a request is spent; what may come twice is told apart."""

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from automatum import automatum_source
from automatum.core.errors import ConfigurationError
from automatum.sync import batcher
from tests.support.destinations.places import PLACES
from tests.support.destinations.scenario import DATASET, Life
from tests.support.syncing import Site


@pytest.fixture
def life(tmp_path, request):
    """A small dataset in a destination, by its name."""
    place = next(one for one in PLACES if one.name == request.param)
    place.open(tmp_path)
    with Site(tmp_path) as site:
        site.serve(customers=250, entitlements=12, order="updated_asc")
        yield Life(site, place)
    place.close()


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as site:
        site.serve(customers=3)
        yield site


@pytest.mark.parametrize("table_format", ["delta", "parquet"])
def test_a_table_format_that_the_destination_does_not_have_costs_no_request(site, table_format):
    """I3: exit 78, the key is named, the server sees nothing."""
    with pytest.raises(ConfigurationError, match="table_format") as refused:
        site.sync("customers", table_format=table_format)
    assert refused.value.exit_code == 78
    assert site.served.sandbox.requests.all() == []


@pytest.mark.slow
def test_tables_of_another_format_are_refused(site):
    """I1: dlt would go on with the old one, and child lists would not be seen to as it needs; the files tell."""
    lake = dlt.destinations.filesystem(bucket_url=str(site.folder / "lake"))
    assert site.sync("customers", destination=lake, table_format="delta").code == 0
    site._opened = None, None
    with pytest.raises(ConfigurationError, match="table_format") as refused:
        site.sync("customers", destination=lake)
    assert refused.value.exit_code == 78
    assert site.served.sandbox.requests.to("/api/v1/") == []
    # Another place is none of its business, though the working folder has just been used for this one (I9).
    other = dlt.destinations.filesystem(bucket_url=str(site.folder / "other"))
    assert site.sync("customers", destination=other).code == 0


def test_a_destination_that_answers_no_sql_is_refused_before_a_request_i1_i10(site):
    """Nothing could be compared with it: each sync would load every row, and history every version again."""

    @dlt.destination(batch_size=0, loader_file_format="parquet", name="sink")
    def sink(path, table):
        raise AssertionError("something was loaded")

    with pytest.raises(ConfigurationError, match="answers no SQL"):
        site.sync("customers", destination=sink())
    pipeline = dlt.pipeline("sink", destination=sink(), pipelines_dir=str(site.folder / "sink"))
    with pytest.raises(PipelineStepFailed, match="answers no SQL"):
        pipeline.run(automatum_source(settings=site.resolved()).with_resources("customers"))
    assert site.served.sandbox.requests.to("/api/v1/") == []


@pytest.mark.slow
@pytest.mark.parametrize("life", ["Delta"], indirect=True)
def test_a_row_that_is_read_twice_in_a_package_is_held_once(life, monkeypatch):
    """I1: an upsert would double it in the first package, and fail for ever on the next."""
    monkeypatch.setattr(batcher, "BATCH_ROWS", 10)
    life.site.settings["history"] = False
    sandbox = life.sandbox
    for turn in range(2):
        id_ = sandbox.rows.ids("customers")[20]
        # Changed before it is read, and again after that: it moves to the end of the list, and is read there, too.
        sandbox.rows.change("customers", id_, {"status": f"turn {turn}"}, touch=False)
        life.site.clock.advance(60)
        sandbox.schedule.after(
            1, lambda id_=id_, turn=turn: sandbox.rows.change("customers", id_, {"companyName": f"Later {turn}"})
        )
        assert life.sync().code == 0
        assert life.held("customers")[id_]["company_name"] == f"Later {turn}"
        assert life.wrong() == []


@pytest.mark.parametrize("life", ["Parquet"], indirect=True)
def test_usage_that_is_not_parquet_is_refused(life):
    """I5: the numbers of text files are no exact decimals."""
    from automatum.metering.usage.sql import read_relation_or_query

    usage = dlt.pipeline(
        "usage",
        destination=life.place.destination(),
        dataset_name=DATASET,
        pipelines_dir=str(life.site.folder / "usage"),
    )
    usage.run([{"units": 1.5}], table_name="usage_rows")
    with pytest.raises(ConfigurationError, match="loader_file_format"):
        list(read_relation_or_query(life.pipeline, "usage_rows", ""))
