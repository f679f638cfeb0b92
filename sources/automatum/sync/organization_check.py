"""Refuses rows of another organization than the one whose rows the dataset holds (I1, I2).

An organization is the vendor's id (`organizationId` in the records of the lists; documented for customers). Each sweep
stores it, the OAuth application that read it, and the local name. So another name in the settings, or another
application of the same organization, changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import dlt

from ..api.pages import Page, read_page
from ..api.session import ApiSession
from ..config.organizations import organization_names
from ..core.errors import AutomatumError, ConfigurationError, MoreToDo
from ..core.text import printable
from ..schema.arrow_tables import Table
from ..schema.records import Record
from ..warehouse.dataset import Owner, find_owner, read_forgotten, read_owners
from ..warehouse.dlt_internals import current_load_id, waiting_package_states

if TYPE_CHECKING:
    from dlt.common.pipeline import SupportsPipeline

logger = logging.getLogger("automatum")

_STATE = "automatum_organization"
"""Key in the state of a load package: whose rows it has."""
_LONGEST = 100
"""Characters of an id. A longer value is no id of an organization."""


class OrganizationCheck:
    """Compares the organization of the credentials with that of the dataset; shared by the tables of one run.

    Args:
        session: The API session. `settings.owner` is what the dataset has for its organization, after `start`.
        tables: The tables that are read. Their first pages are asked before others.

    Attributes:
        pages: Table to the first page that was read to ask whose credentials these are. A sweep begins with it.
        spent: Table to the number of requests for that page, which no table is charged for yet.
        forgotten: Ids of the customers whose personal data is not loaded.
        refusal: The error of a run whose credentials belong to another organization. No table of the run is read on.
    """

    def __init__(self, session: ApiSession, tables: Collection[str]) -> None:
        self.refusal: ConfigurationError | None = None
        self.pages: dict[str, Page] = {}
        self.spent: dict[str, int] = {}
        self.forgotten = frozenset[str]()
        self._tables = tables
        self._session, self._settings = session, session.settings
        self._id = self._settings.organization_id or ""
        self._started = self._named = self._other_application = False
        self._dataset = ""
        self._asked: set[str] | None = None

    @property
    def fact(self) -> dict[str, Any]:
        """What a sweep stores (`warehouse.dataset`)."""
        return {"id": self._id, "application": self._settings.client_id, "name": self._settings.organization or ""}

    def start(self, pipeline: SupportsPipeline) -> None:
        """Find out from the destination whose rows it has; once. The first sweep of one of several begins with it.

        Args:
            pipeline: The pipeline that loads.

        Raises:
            ConfigurationError: The rows may be those of another organization, or of another entry of the settings; or
                dlt loads this source to another dataset.
            DestinationError: The destination cannot be reached.
            RequestError: From the API.
        """
        if self._started:
            return
        _check_single_dataset(pipeline)
        self._join_load(pipeline)
        settings, self._dataset = self._settings, pipeline.dataset_name or ""
        owners = read_owners(pipeline, bool(settings.organization))
        own = self._resolve(owners) if settings.organization else next(iter(owners), None)
        if own:
            self._other_application = own.application not in ("", settings.client_id)
            self._id = self._id or own.id
        self.forgotten = read_forgotten(pipeline)
        self._started = True

    def check(self, table: Table, records: Sequence[Record]) -> None:
        """Check whose records these are. An application that is new to the dataset may cost a request.

        Args:
            table: The table of the records.
            records: Records of one answer.

        Raises:
            ConfigurationError: They belong to another organization, or nothing says that they do not.
            RequestError: From the API.
        """
        settings, own = self._settings, self._id
        if self._named and not settings.organization_id:
            return
        named = _usable(table.organizations(records)) or (self._ask() if self._other_application else set())
        if not named:
            if self._other_application:
                self._refuse("are another application's, and no record names its organization", own)
            return
        if settings.organization_id and (foreign := named - {own}):
            self.refusal = ConfigurationError(
                "sources.automatum.organizations",
                f"{settings.organization} is said to be {own}, but its {table.endpoint.table} belong to "
                f"{printable(min(foreign))}.",
                "Check its organization_id, and whose credentials it was given.",
            )
            raise self.refusal
        if own and own not in named:
            self._refuse(f"are those of the organization {printable(min(named))}", own)
        # Records that name several organizations pin none.
        found = named & {own} or named
        self._id = min(found) if len(found) == 1 else own
        self._named = True

    def _resolve(self, owners: Sequence[Owner]) -> Owner | None:
        """Set `settings.owner`, of one of several organizations; returns what the dataset has of it."""
        settings, name = self._settings, self._settings.organization
        own = next((one for one in owners if one.application == settings.client_id), None)
        if own is None:
            # The tables of a dlt source are read one by one, and nothing is loaded before the last.
            self._id = self._id or settings.stored_owner or min(self._ask(), default="")
            own = next((one for one in owners if self._id in (one.id, one.owner)), None)
            own = own if self._id else find_owner(owners, settings)
        if own is None and not self._id:
            raise ConfigurationError(
                "sources.automatum.organizations",
                f"no record names the organization of {name}.",
                f"Set organization_id in the entry of {name} to Automatum's id of the organization.",
            )
        settings.stored_owner = own.owner if own else self._id
        id_ = self._id or (own.id if own else "")
        last = next((one for one in owners if one.name == name), own)
        if last and last.owner != settings.owner:
            self._refuse(f"are those of the organization {printable(id_)}", last.id or last.name)
        if own and own.name != name and own.name in organization_names():
            raise ConfigurationError(
                "sources.automatum.organizations",
                f"{own.name} and {name} are the same organization, {printable(id_)}.",
                "Remove one of the two entries.",
            )
        return own

    def _ask(self) -> set[str]:
        """What the first pages of the lists name; asked once, of a new application alone."""
        if self._asked is None:
            self._asked = set()
            for endpoint in sorted(self._session.endpoints, key=lambda one: one.table not in self._tables):
                try:
                    if endpoint.kind == "list" and not self._asked and not self._session.missing_scopes((endpoint,)):
                        before = self._session.budget.requests
                        page = read_page(self._session.client, endpoint, 1)
                        self.pages[endpoint.table] = page
                        if not self._started:  # Later, the table that wants to know is charged.
                            self.spent[endpoint.table] = self._session.budget.requests - before
                        self._asked = _usable(Table(endpoint).organizations(page.records))
                except MoreToDo:
                    self._asked = None
                    raise
                except AutomatumError as error:
                    logger.warning("it is not known whose credentials these are: %s", error.message)
        return self._asked

    def _refuse(self, why: str, own: str) -> NoReturn:
        name = self._settings.organization
        section = f"sources.automatum.{name}" if name else self._settings.section
        rows = printable(own) if own else "another application"
        self.refusal = ConfigurationError(
            f"{section}.client_id",
            f"the credentials {why}, but the dataset {self._dataset} has the rows of {rows}"
            f"{f' under the name {name}' if name else ''}. Nothing was loaded or deleted.",
            "Check whose credentials these are. Or sync to another dataset (--dataset), which the next sync fills from "
            "the start. A new application of the same organization is recognised by its customers: it needs "
            "read:customers.",
        )
        raise self.refusal

    def _join_load(self, pipeline: SupportsPipeline) -> None:
        """Refuse to load together with the rows of another application.

        dlt reads all sources of a `pipeline.run` before it loads the first, so the destination has no rows of them yet.
        """
        if not current_load_id():
            return
        current: Any = dlt.current.load_package_state()["state"]
        own = {"application": self._settings.client_id, "owner": self._settings.organization}
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


def _usable(named: set[str]) -> set[str]:
    return {one for one in named if 0 < len(one) <= _LONGEST}
