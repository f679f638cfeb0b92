"""Refuses rows of another organization than the one whose rows the dataset holds (I1, I2).

Somebody may exchange the credentials, or point the sync of one organization at the dataset of another. The tables would
then hold the rows of both, and the next sweep would find all rows of the first one missing.

The records of the lists name their organization (`organizationId`; documented for customers, `api/reference`). Neither
the token nor a header is known to name it, and reports are not. Each sweep stores the id, and the OAuth application
that it was read with, for the next one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import dlt

from ..api.pages import read_page
from ..api.session import ApiSession
from ..core.errors import AutomatumError, ConfigurationError, MoreToDo
from ..core.text import printable
from ..endpoints import CUSTOMERS, ORGANIZATION, Endpoint
from ..schema.arrow_tables import Table
from ..schema.columns import EXTRA
from ..schema.records import Record
from ..warehouse.dlt_internals import current_load_id, waiting_package_states
from ..warehouse.sql import (
    SWEEPS_TABLE,
    organization_filter,
    select,
    select_latest,
)
from ..warehouse.sql_client import SQL_UNSUPPORTED, checked_sql_client
from ..warehouse.values import json_object
from .facts import SweepFacts
from .results import Verdict

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

logger = logging.getLogger("automatum")

_STATE = "automatum_organization"
"""Key in the state of a load package: whose rows it has."""
_SWEEPS = 20
_SAMPLE = 100
"""Rows of a table whose `extra` is looked at for the organization."""
_LONGEST = 100
"""Characters of an id. A longer value is no id of an organization."""


class OrganizationCheck:
    """Compares the organization that records name with that of the dataset; shared by the tables of one run.

    It compares until records have named the organization. After that, the API answers the same credentials. Records
    that name several organizations say nothing against it if its own is among them, and pin none of them.

    Args:
        session: The API session.

    Attributes:
        refusal: The error of a run whose credentials belong to another organization. No table of the run is read on.
    """

    def __init__(self, session: ApiSession) -> None:
        self.refusal: ConfigurationError | None = None
        self._session, self._settings = session, session.settings
        self._dataset = ""
        self._started = self._named = self._asked = False
        self._id, self._application = "", ""
        if self._settings.named_id:
            self._id = self._settings.organization_id or ""

    @property
    def fact(self) -> dict[str, Any]:
        """What a sweep stores: `id`, empty if it is not known, and the `application` that is known to be its own."""
        return {"id": self._id, "application": self._application}

    def start(self, pipeline: SupportsPipeline) -> None:
        """Read from the destination whose rows it has; once.

        Args:
            pipeline: The pipeline that loads.

        Raises:
            ConfigurationError: What is not loaded yet may be the rows of another organization, or dlt loads this source
                to another dataset.
            DestinationError: The destination cannot be reached.
        """
        if self._started:
            return
        _check_single_dataset(pipeline)
        self._join_load(pipeline)
        self._dataset = pipeline.dataset_name or ""
        try:
            with checked_sql_client(pipeline) as client:
                own = organization_filter(self._settings.owner)
                stored = _stored(client, own)
                if stored is None:
                    stored = {"id": _named_by_rows(client, self._session.endpoints, own)}
        except SQL_UNSUPPORTED:
            stored = {}  # A destination that cannot be read holds no rows that could be marked deleted.
        self._started = True
        self._application = str(stored.get("application") or "")
        if not self._settings.named_id:
            self._id = str(stored.get("id") or "")

    def _join_load(self, pipeline: SupportsPipeline) -> None:
        """Refuse to load together with the rows of another application.

        dlt reads all sources of a `pipeline.run` before it loads the first, so the destination has no rows of them yet.
        """
        if not current_load_id():
            return
        current: Any = dlt.current.load_package_state()["state"]
        own = {"application": self._settings.client_id, "owner": self._settings.owner}
        for state in (current, *waiting_package_states(pipeline)):
            other = state.get(_STATE, own)
            apart = own["owner"] and other["owner"] and own["owner"] != other["owner"]  # It is a part of each key.
            if other != own and not apart:
                self.refusal = ConfigurationError(
                    f"{self._settings.section}.client_id",
                    f"this load has rows of the OAuth application {other['application']} already, and "
                    f"{own['application']} may be that of another organization. Nothing was loaded.",
                    "Run one source at a time. Load each organization to a dataset of its own, or list them under "
                    "sources.automatum.organizations.",
                )
                raise self.refusal
        current[_STATE] = own

    def check(self, table: Table, records: Sequence[Record]) -> None:
        """Check whose records these are. An application that is new to the dataset may cost one request.

        Args:
            table: The table of the records.
            records: Records of one answer.

        Raises:
            ConfigurationError: They belong to another organization.
            RequestError: From the API.
        """
        strict = self._settings.named_id
        if self._named and not strict:
            return
        named = _usable(table.organizations(records)) or self._ask(table.endpoint)
        if not named:
            return
        foreign = named - {self._id} if strict else foreign_to(self._id, named, self._settings.accept_organization)
        if foreign:
            self.refusal = self._error(table.endpoint, min(foreign))
            raise self.refusal
        self._id = organization_of(self._id, named, self._settings.accept_organization)
        self._named, self._application = True, self._settings.client_id

    def _ask(self, endpoint: Endpoint) -> set[str]:
        """What the list of customers names, for records that name nothing; asked once, of a new application alone."""
        customers = next((one for one in self._session.endpoints if one.table == CUSTOMERS.table), None)
        same = not self._id or self._application in ("", self._settings.client_id)
        if self._asked or same or customers is None or endpoint.table == customers.table:
            return set()
        self._asked = True
        try:
            if self._session.missing_scopes((customers,)):
                return set()
            records = read_page(self._session.client, customers, 1).records
        except MoreToDo:
            raise
        except AutomatumError as error:
            logger.warning("it is not known whose credentials these are: %s", error.message)
            return set()
        return _usable(Table(customers, self._settings.owner).organizations(records))

    def _error(self, endpoint: Endpoint, other: str) -> ConfigurationError:
        name, other = self._settings.organization, printable(other)
        if self._settings.named_id:
            return ConfigurationError(
                "sources.automatum.organizations",
                f"{name} is said to be {self._id}, but its {endpoint.table} belong to {other}.",
                "Check its organization_id, and whose credentials it was given.",
            )
        section = f"sources.automatum.{name}" if name else self._settings.section
        return ConfigurationError(
            f"{section}.client_id",
            f"the credentials are those of the organization {other}, but the dataset {self._dataset} has the rows of "
            f"{printable(self._id)}{f' under the name {name}' if name else ''}. Nothing was loaded or deleted.",
            "Check whose credentials these are. Or sync to another dataset (--dataset), which the next sync fills from "
            f"the start. If Automatum has changed the id of your organization, set {section}.accept_organization to "
            f"{other} for the next sync.",
        )


def _check_single_dataset(pipeline: SupportsPipeline) -> None:
    """Refuse dlt's mode with a dataset for each schema: the rows are compared with those of the default schema."""
    opened: Any = pipeline
    if not current_load_id() or opened.config.use_single_dataset:
        return
    default, name = opened.default_schema_name, dlt.current.source_schema().name
    if default not in (None, name):
        raise ConfigurationError(
            "USE_SINGLE_DATASET",
            f"is false, so dlt would load the source {name} to another dataset than {pipeline.dataset_name}, whose "
            "rows it is compared with.",
            "Set it to true, or run the source in a pipeline of its own with a dataset_name.",
        )


def foreign_to(own: str, named: set[str], accepted: str | None = None) -> set[str]:
    """The organizations that speak against records, because these name no other one.

    Args:
        own: The organization of the dataset; empty if it is not known.
        named: The organizations that the records name.
        accepted: A further one that the user allows.
    """
    return named if own and not named & {own, accepted} else set()


def organization_of(own: str, named: set[str], accepted: str | None = None) -> str:
    """The organization of the dataset from now on, after records that are not foreign; empty if it is not known.

    Args:
        own: The one until now; empty if it is not known.
        named: The organizations that the records name.
        accepted: A further one that the user allows.
    """
    if own in named:
        return own
    found = named & {accepted} or named
    return next(iter(found)) if len(found) == 1 else ""


def _usable(named: set[str]) -> set[str]:
    return {one for one in named if 0 < len(one) <= _LONGEST}


def _stored(client: Any, own: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the latest sweeps have stored, of whatever table; None if an earlier version wrote them."""
    rows = select_latest(client, SWEEPS_TABLE, ("extra", "verdict"), own, "finished_at", _SWEEPS)
    # A failed sweep may have loaded no row.
    found = [SweepFacts.from_json(json_object(extra)).organization for extra, verdict in rows if verdict != _FAILED]
    known = [one for one in found if one]
    return next((one for one in known if one.get("id")), known[0] if known else None)


def _named_by_rows(client: Any, endpoints: Sequence[Endpoint], own: Mapping[str, Any]) -> str:
    """The one organization that the rows of the destination name; empty if they name none, or several."""
    named: set[str] = set()
    for endpoint in endpoints:
        if endpoint.by_organization:
            # The column has the configured id, and `extra` has what the record says.
            table = Table(endpoint)
            extras = islice(select(client, endpoint.table, (EXTRA,), own), _SAMPLE)
            named |= table.organizations([json_object(extra) for (extra,) in extras])
        elif any(column.name == ORGANIZATION for column in endpoint.columns):
            found = select(client, endpoint.table, (ORGANIZATION,), distinct=True)
            named |= {str(value) for (value,) in found if value is not None}
    named = _usable(named)
    return min(named) if len(named) == 1 else ""


_FAILED = Verdict.FAILED.value
