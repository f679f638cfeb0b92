"""The dataset of a run: check it before, and delete page records after."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..core.errors import AutomatumError, ConfigurationError
from ..core.redaction import redact
from ..core.suggest import suggestion
from ..endpoints import ORGANIZATION
from .dlt_internals import destination_client
from .lake_files import writes_lake_files
from .sql import (
    PAGES_TABLE,
    SWEEPS_TABLE,
    column_names,
    complete_load_ids,
    organization_filter,
    where_clause,
)
from .sql_client import SQL_UNSUPPORTED, TABLE_MISSING, checked_sql_client, unreachable_error

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

logger = logging.getLogger("automatum")

_SYSTEM = ("information_schema", "main", "pg_catalog", "public")


def read_complete_loads(pipeline: SupportsPipeline) -> set[str] | None:
    """Ids of complete load packages, for all that is read after them; None if they cannot be read.

    What is read later may be of a package that was completed meanwhile. It then counts as incomplete, and is read or
    loaded again.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    try:
        with checked_sql_client(pipeline) as client:
            return complete_load_ids(client)
    except SQL_UNSUPPORTED:
        return None


def check_dataset(pipeline: SupportsPipeline) -> None:
    """Check that the dataset of a pipeline exists.

    Raises:
        ConfigurationError: It does not exist. The message names the datasets that do, where the destination says.
        DestinationError: The destination cannot be reached.
    """
    try:
        with destination_client(pipeline) as client:
            if client.is_storage_initialized():
                return
    except Exception as error:  # Errors of drivers have no common base class.
        raise unreachable_error(error) from None
    name, known = pipeline.dataset_name, list[str]()
    if not writes_lake_files(pipeline):
        text = "SELECT DISTINCT table_schema FROM information_schema.tables ORDER BY 1"
        with contextlib.suppress(AutomatumError, *SQL_UNSUPPORTED), checked_sql_client(pipeline) as client:
            found = [str(row[0]) for row in client.execute_sql(text)]
            known = [one for one in found if one.lower() not in _SYSTEM and not one.endswith("_staging")]
    there = f" The destination has {', '.join(known)}." if known else ""
    raise ConfigurationError(
        "--dataset",
        f"there is no dataset {name}.{there}",
        f"{suggestion(name, known)} Sync first, or name another with --dataset.".lstrip(),
    )


def has_organizations(pipeline: SupportsPipeline) -> bool | None:
    """Whether the dataset holds several organizations; None if it is empty, or answers no SQL.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    # Before the first verdict there are only page records.
    for table in (SWEEPS_TABLE, PAGES_TABLE):
        try:
            with checked_sql_client(pipeline) as client:
                if names := column_names(client, table):
                    return ORGANIZATION in names
        except SQL_UNSUPPORTED:
            break
    return None


def check_organization_kind(pipeline: SupportsPipeline, by_organization: bool) -> None:
    """Refuse to sync a single organization to a dataset of several, or the other way round.

    Raises:
        ConfigurationError: The dataset is of the other kind.
    """
    has_several = has_organizations(pipeline)
    if has_several in (None, by_organization):
        return
    problem = "was loaded before organizations were listed, and its keys do not hold them"
    step = "Name another dataset for several organizations."
    if has_several:  # The sync of a single organization would mark the rows of all others as deleted.
        problem = "holds several organizations, and none is named"
        step = "List them under sources.automatum.organizations, or name another dataset."
    raise ConfigurationError("--dataset", f"{pipeline.dataset_name} {problem}.", step)


def delete_page_records(pipeline: SupportsPipeline, sweeps: Sequence[str], organization_id: str | None = None) -> None:
    """Delete the page records of sweeps; only an unfinished sweep needs them.

    Args:
        pipeline: The pipeline whose destination holds them.
        sweeps: Ids of the sweeps.
        organization_id: Whose, where the dataset holds several organizations.
    """
    try:
        if writes_lake_files(pipeline):
            return  # Files are only added. Page records older than the last verdict of their table are ignored.
        with checked_sql_client(pipeline) as client:
            name = client.make_qualified_table_name(PAGES_TABLE)
            for sweep in sweeps:
                where = {"sweep_id": sweep, **organization_filter(organization_id)}
                client.execute_sql(f"DELETE FROM {name}{where_clause(client, where)}", *where.values())
    except TABLE_MISSING:
        return
    except SQL_UNSUPPORTED as error:
        logger.debug("page records stay: %s", redact(str(error)))
