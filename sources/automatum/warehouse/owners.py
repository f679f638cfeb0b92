"""Whose rows a dataset has: the vendor's id of each organization, and its local name, as the sweeps stored them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ..config.settings import AutomatumSettings
from ..endpoints import ORGANIZATION
from .sql import SWEEPS_TABLE, as_utc, json_object, select_latest
from .sql_client import SQL_UNSUPPORTED, checked_sql_client

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

_MOST_SWEEPS = 2_000
"""Sweeps that are looked at. An organization that none of them is of is found again by its id."""


@dataclass(frozen=True)
class Owner:
    """An organization whose rows a dataset has.

    Attributes:
        owner: Its value of the column `organization_id`; None in a dataset of a single organization.
        id: The vendor's id; empty if no record has named it.
        application: The OAuth application that read it last.
        name: Its name in the settings then; empty with a single organization.
        at: When its last sweep got a verdict.
    """

    owner: str | None
    id: str
    application: str
    name: str
    at: datetime


def read_owners(pipeline: SupportsPipeline, by_organization: bool) -> list[Owner]:
    """The organizations whose rows a dataset has, those of the latest sweeps first.

    Args:
        pipeline: The pipeline whose destination is queried.
        by_organization: The dataset is for several organizations.

    Returns:
        The organizations; none if the destination cannot be read.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    columns = ("finished_at", "verdict", "extra", *((ORGANIZATION,) if by_organization else ()))
    try:
        with checked_sql_client(pipeline) as client:
            rows = select_latest(client, SWEEPS_TABLE, columns, {}, "finished_at", _MOST_SWEEPS)
    except SQL_UNSUPPORTED:
        return []
    found: dict[str | None, Owner] = {}
    for at, verdict, extra, *owners in rows:
        owner = owners[0] if owners else None
        fact = json_object(extra).get("organization")
        # A failed sweep may have loaded no row.
        if verdict != "failed" and owner not in found and isinstance(fact, dict):
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

    Args:
        pipeline: The pipeline whose destination is queried.
        settings: Resolved settings; changed in place.

    Raises:
        DestinationError: The destination cannot be reached.
    """
    if settings.organization and (found := find_owner(read_owners(pipeline, True), settings)):
        settings.stored_owner = found.owner
