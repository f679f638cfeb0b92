"""The dataset of a run: whether it exists, whose rows it has, which loads are complete, and what of its log can go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import dlt

from ..config.settings import AutomatumSettings
from ..core.clock import utc
from ..core.errors import ConfigurationError
from ..core.suggest import suggestion
from ..endpoints import ORGANIZATION
from .dlt_internals import LOADS_TABLE
from .sql import (
    PAGES_TABLE,
    SWEEPS_TABLE,
    as_utc,
    column_names,
    json_object,
    organization_filter,
    read_latest,
    read_rows,
    where_clause,
)
from .sql_client import TABLE_MISSING, one_client, open_client, sql_client

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

_SYSTEM = ("information_schema", "main", "pg_catalog", "public")
_KNOWN_SQL = (dlt.destinations.duckdb, dlt.destinations.postgres)
_MOST_SWEEPS = 2_000
"""Sweeps that are looked at. An organization that none of them is of is found again by its id."""

FORGOTTEN_TABLE = "_automatum_forgotten"
"""Ids of customers whose personal data `automatum forget` has removed. dlt does not know it, so no refresh drops it."""


_ALL_SWEEPS_FOR = timedelta(days=90)
_LATEST_SWEEPS = 100
_OLD_SWEEPS = """
DELETE FROM {sweeps} WHERE sweep_id IN (
  SELECT sweep_id FROM (
    SELECT sweep_id, finished_at,
      ROW_NUMBER() OVER (PARTITION BY table_name ORDER BY finished_at DESC) AS place,
      ROW_NUMBER() OVER (
        PARTITION BY table_name, verdict, CAST(finished_at AT TIME ZONE 'UTC' AS DATE) ORDER BY finished_at DESC
      ) AS place_in_day
    FROM {sweeps}
    WHERE table_name IN ({tables}) AND load_id IN (SELECT load_id FROM {loads} WHERE status = 0){own}
  ) ranked
  WHERE finished_at < %s AND place > %s AND place_in_day > 1
)
"""


def can_forget(pipeline: SupportsPipeline) -> bool:
    """Whether `automatum forget` works on the destination of a pipeline."""
    return isinstance(pipeline.destination, _KNOWN_SQL)


def read_forgotten(pipeline: SupportsPipeline) -> frozenset[str]:
    """Ids of the customers whose personal data no sync may load.

    Raises:
        DestinationError: The destination cannot be reached or read.
    """
    if not can_forget(pipeline):
        return frozenset()
    return frozenset(str(one) for (one,) in read_rows(pipeline, FORGOTTEN_TABLE, ("customer_id",)))


def check_dataset(pipeline: SupportsPipeline) -> None:
    """Check that the dataset of a pipeline exists.

    Raises:
        ConfigurationError: It does not exist. The message names the datasets that do, where the destination says.
        DestinationError: The destination cannot be reached or read.
    """
    with one_client(pipeline), open_client(pipeline) as opened, sql_client(pipeline) as client:
        if opened.is_storage_initialized():
            return
        found = client.execute_sql("SELECT DISTINCT table_schema FROM information_schema.tables ORDER BY 1")
    name = pipeline.dataset_name
    known = [one for (one,) in found if one.lower() not in _SYSTEM and not one.endswith("_staging")]
    there = f" The destination has {', '.join(known)}." if known else ""
    raise ConfigurationError(
        "--dataset",
        f"there is no dataset {name}.{there}",
        f"{suggestion(name, known)} Sync first, or name another with --dataset.".lstrip(),
    )


def has_organizations(pipeline: SupportsPipeline) -> bool | None:
    """Whether the dataset holds several organizations; None if it is empty.

    Raises:
        DestinationError: The destination cannot be reached or read.
    """
    # Before the first verdict there are only page records.
    for table in (SWEEPS_TABLE, PAGES_TABLE):
        if names := column_names(pipeline, table):
            return ORGANIZATION in names
    return None


def check_organization_kind(pipeline: SupportsPipeline, by_organization: bool) -> None:
    """Refuse to sync a single organization to a dataset of several, or the other way round.

    Raises:
        ConfigurationError: The dataset is of the other kind, or its destination answers no SQL.
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


@dataclass(frozen=True)
class Owner:
    """An organization whose rows a dataset has, as its sweeps stored it.

    Attributes:
        owner: Its value of the column `organization_id`; None in a dataset of a single organization.
        id: The vendor's id; empty if no record has named it.
        application: The OAuth application that read it last.
        name: Its name in the settings then; empty with a single organization.
        at: When its last sweep got a verdict; the epoch before the first.
    """

    owner: str | None
    id: str
    application: str
    name: str
    at: datetime


def read_owners(pipeline: SupportsPipeline, by_organization: bool) -> list[Owner]:
    """The organizations whose rows a dataset has, those of the latest sweeps first, and then those of page records.

    Args:
        pipeline: The pipeline whose destination is queried.
        by_organization: The dataset is for several organizations.

    Raises:
        DestinationError: The destination cannot be reached or read.
    """
    if by_organization and not has_organizations(pipeline):
        return []  # `check_organization_kind` says why they cannot be synced to it.
    own = (ORGANIZATION,) if by_organization else ()
    columns, of_page = ("finished_at", "extra", "verdict", *own), ("read_at", "extra", "page", *own)
    found: dict[str | None, Owner] = {}
    sweeps = read_latest(pipeline, SWEEPS_TABLE, columns, {}, "finished_at", _MOST_SWEEPS)
    pages = read_latest(pipeline, PAGES_TABLE, of_page, {}, "read_at", _MOST_SWEEPS)
    # A failed sweep may have loaded no row. Pages are recorded with their rows, before the sweep has its verdict.
    records = [row for row in sweeps if row[2] != "failed"] + [(utc(0), *row[1:]) for row in pages]
    for at, extra, _, *owners in records:
        owner = owners[0] if owners else None
        fact = json_object(extra).get("organization")
        if owner not in found and isinstance(fact, dict):
            id_, application, name = (str(fact.get(key) or "") for key in ("id", "application", "name"))
            found[owner] = Owner(owner, id_, application, name or owner or "", as_utc(at))
    return list(found.values())


def find_owner(owners: Sequence[Owner], settings: AutomatumSettings) -> Owner | None:
    """The organization of these settings: that of the OAuth application, or else of the local name or id."""
    names = (settings.organization, settings.organization_id)
    same = [one for one in owners if one.application == settings.client_id]
    same += [one for one in owners if one.name == settings.organization or one.owner in names]
    return same[0] if same else None


def use_stored_owner(pipeline: SupportsPipeline, settings: AutomatumSettings) -> None:
    """Let `settings.owner` be what the dataset has for the organization, whatever its name in the settings is now.

    Raises:
        DestinationError: The destination cannot be reached or read.
    """
    if settings.organization and (found := find_owner(read_owners(pipeline, True), settings)):
        settings.stored_owner = found.owner


def delete_page_records(pipeline: SupportsPipeline, sweeps: Sequence[str], organization_id: str | None = None) -> None:
    """Delete the page records of sweeps, which only an unfinished sweep needs."""
    with sql_client(pipeline) as client:
        name = client.make_qualified_table_name(PAGES_TABLE)
        for sweep in sweeps:
            where = {"sweep_id": sweep, **organization_filter(organization_id)}
            try:
                client.execute_sql(f"DELETE FROM {name}{where_clause(client, where)}", *where.values())
            except TABLE_MISSING:
                return


def delete_old_sweeps(
    pipeline: SupportsPipeline, tables: Sequence[str], now: datetime, organization_id: str | None = None
) -> None:
    """Delete old sweeps of tables from the log, on DuckDB and Postgres; otherwise it grows by a row a sync for ever.

    All sweeps of the last 90 days stay, of each earlier day the last one of each verdict, and the latest 100. So what a
    sync, `automatum status` and the models read of them does not change. A sweep without a verdict has no row here.

    Args:
        pipeline: The pipeline of the destination.
        tables: Names of the tables that were swept.
        now: The present.
        organization_id: Whose sweeps, where the dataset holds several organizations.

    Raises:
        DestinationError: The destination cannot be reached or written to.
    """
    if not isinstance(pipeline.destination, _KNOWN_SQL):
        return
    own = organization_filter(organization_id)
    with sql_client(pipeline) as client:
        text = _OLD_SWEEPS.format(
            sweeps=client.make_qualified_table_name(SWEEPS_TABLE),
            loads=client.make_qualified_table_name(LOADS_TABLE),
            tables=", ".join(["%s"] * len(tables)),
            own=where_clause(client, own, "AND"),
        )
        client.execute_sql(text, *tables, *own.values(), now - _ALL_SWEEPS_FOR, _LATEST_SWEEPS)
