"""What a run loads to, before anything is opened."""

import sys

import pytest

from automatum.core.budget import Budget
from automatum.core.errors import ConfigurationError
from automatum.warehouse.target import Target
from tests.support.clocks import FakeClock


def write(target, clock):
    with target.exclusive_writer("sync", clock, Budget(clock), 0):
        pass


def query(target, clock):
    if target.file:
        target.file.touch()
    target.existing(clock, Budget(clock), 0)


@pytest.mark.parametrize(
    ("destination", "step"),
    [
        ("postgress", "Did you mean postgres? For a destination"),
        ("our_lake", "For a destination with a name of your own"),
    ],
)
def test_a_destination_that_dlt_does_not_know_is_named_with_the_next_step(isolated, destination, step):
    with pytest.raises(ConfigurationError, match=f"dlt has no destination '{destination}'") as caught:
        Target(destination).open()
    assert caught.value.next_step.startswith(step)
    assert f"destination_type under [destination.{destination}]" in caught.value.next_step


@pytest.mark.parametrize("use", [write, query, lambda target, _: target.open()], ids=["write", "query", "open"])
@pytest.mark.parametrize(
    "destination, module, package",
    [
        ("duckdb", "duckdb", "duckdb>=1.4"),
        ("postgres", "psycopg2", "psycopg2-binary>=2.9.9"),
    ],
)
def test_a_destination_whose_package_is_missing_is_refused_with_the_command(
    isolated, monkeypatch, destination, module, package, use
):
    """After `dlt init` for another destination: the message says what to install, and it is no defect."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigurationError, match=f"{destination} needs the package {module}") as caught:
        use(Target(destination), FakeClock())
    assert caught.value.next_step == f"pip install '{package}'"


@pytest.mark.parametrize("dataset", ["temp", "System", "pg_catalog", "information_schema", "marketplace"])
def test_a_dataset_that_duckdb_takes_for_its_own_is_refused(isolated, dataset):
    with pytest.raises(ConfigurationError, match=f"'{dataset}'"):
        Target(dataset=dataset).open()
    Target("postgres").check_name("--into", dataset)


def test_the_file_may_be_named_by_a_text(tmp_path):
    assert Target(database=f"{tmp_path}/vendor.duckdb").file == tmp_path / "vendor.duckdb"
