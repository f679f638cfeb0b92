"""`automatum packages`: list, drop."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..core.defaults import DEFAULT_DATABASE, DEFAULT_DATASET, DUCKDB
from .commands import CommandApp, examples
from .console import say, say_text
from .options import (
    Database,
    Dataset,
    Debug,
    DestinationName,
    Json,
    OrganizationName,
    PipelinesDir,
    guarded,
)
from .tables import TextTable

packages_app = CommandApp(
    help="Load packages that wait for the next sync, or that the destination refused.",
    no_args_is_help=True,
)
PipelineName = Annotated[
    str | None, typer.Option(help="Name of the dlt pipeline, if the sync was given one, as by the Airflow DAG.")
]
LoadId = Annotated[
    str | None, typer.Argument(metavar="LOAD_ID", help="Load id of a package. Default: all that are set aside.")
]


@packages_app.command(
    "list", epilog=examples("automatum packages list", "automatum packages list --destination postgres")
)
def list_(
    destination: DestinationName = DUCKDB,
    dataset: Dataset = DEFAULT_DATASET,
    database: Database = DEFAULT_DATABASE,
    organization: OrganizationName = None,
    pipelines_dir: PipelinesDir = None,
    pipeline_name: PipelineName = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List the load packages of a destination and dataset; sends no request."""

    def work() -> int:
        from ..operations.packages import WorkingFolders, list_packages
        from ..warehouse.target import Target

        target = Target(destination, dataset, database)
        found = list_packages(WorkingFolders(target, pipelines_dir, organization, pipeline_name))
        say(found, as_json, lambda: _show(found))
        return 0

    guarded(work, as_json, debug)


@packages_app.command(epilog=examples("automatum packages drop", "automatum packages drop 1767225600.123"))
def drop(
    load_id: LoadId = None,
    destination: DestinationName = DUCKDB,
    dataset: Dataset = DEFAULT_DATASET,
    database: Database = DEFAULT_DATABASE,
    organization: OrganizationName = None,
    pipelines_dir: PipelinesDir = None,
    pipeline_name: PipelineName = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Delete packages that are set aside. The next sync reads their rows again in any case."""

    def work() -> int:
        from ..operations.packages import WorkingFolders, drop_packages
        from ..warehouse.target import Target

        target = Target(destination, dataset, database)
        dropped = drop_packages(WorkingFolders(target, pipelines_dir, organization, pipeline_name), load_id)
        say(dropped, as_json, lambda: say_text(f"Deleted: {', '.join(dropped['dropped']) or 'nothing'}."))
        return 0

    guarded(work, as_json, debug)


def _show(found: dict[str, Any]) -> None:
    if not found["packages"]:
        say_text(f"No load package of {', '.join(found['pipelines'])} waits or is set aside.")
        return
    table = TextTable("package", "state", "table", "kB", words=("state", "table"))
    for one in found["packages"]:
        table.add(one["load_id"], one["state"], one.get("table") or "", f"{one['bytes'] / 1000:,.0f}")
    table.show()
    for one in found["packages"]:
        if one.get("reason"):
            say_text(f"{one['load_id']}: {one['reason']}")
    say_text("Next: automatum sync reads the rows again; automatum packages drop deletes what is set aside.")
