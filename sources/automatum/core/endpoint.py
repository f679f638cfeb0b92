"""What an endpoint of the API is: its path, its parameters, and the columns of the table that it fills.

`automatum.endpoints` has the endpoints themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .paging import Paging

ColumnType = Literal["text", "timestamp", "date", "decimal", "bigint", "bool"]
Kind = Literal["list", "report"]

ORGANIZATION = "organization_id"
"""Column of the organization that a row belongs to."""
VENDOR = "vendor"
"""Column, and field of a record, of the marketplace: `aws`, `azure`."""
NO_DETAIL = "none"
"""The `detail_path` of records that have no URLs of their own."""


@dataclass(frozen=True)
class FieldPath:
    """Where a value may be found in a record.

    Attributes:
        path: Dotted JSON path, such as `details.company.name`.
        vendor: The path counts only for records of this marketplace; None for all.
        vendor_at: Where the record names its marketplace.
    """

    path: str
    vendor: str | None = None
    vendor_at: str = field(default=VENDOR, repr=False)  # The row hash covers the other fields as they are printed.


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: Column name: the snake_case of the vendor's name.
        type: `text`, `timestamp` (UTC, microseconds), `date`, `decimal` (38, 9), `bigint`, `bool`.
        places: Where its value may be found; the first that is present and not null wins.
        documented: True where the vendor's reference shows the field.
        formats: Formats of its times, in the order in which they are tried (`automatum.schema.moments`). Empty: ISO
            8601, and epoch numbers that are safe to guess.
        description: What it says: meaning, unit, sign, currency, time zone of a day, and what a null means.
        references: The table whose `id` it holds; empty if there is none.
    """

    name: str
    type: ColumnType
    places: tuple[FieldPath, ...]
    documented: bool = False
    # The row hash covers the other fields as they are printed.
    formats: tuple[str, ...] = field(default=(), repr=False)
    description: str = field(default="", repr=False, compare=False)
    references: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True)
class Child:
    """A table made of a list inside each record; its rows follow their parent in the same load package.

    Attributes:
        table: Table name.
        parent_key: Column that holds the parent's key.
        places: Dotted paths at which the list may be found; the first that holds a list wins.
        columns: Columns of one entry. `position` (0-based, bigint) is added: with the parent's key it is the row's key.
        description: What a row is.
    """

    table: str
    parent_key: str
    places: tuple[str, ...]
    columns: tuple[Column, ...]
    description: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True)
class Endpoint:
    """A list or a report of the API.

    Attributes:
        table: Table that it fills.
        group: Name on the command line: `analytics` for each report, the table's name for the lists.
        kind: `list` is swept page by page; `report` is read by date range.
        path: Below `/api/v1/`, without a leading slash.
        scope: OAuth scope that grants it (`api/authentication`, table of scopes).
        key: Columns that identify a record. More than one, or a nullable one, is condensed to `_row_key`.
        columns: Columns of the table.
        children: Tables made of lists inside its records.
        records: Dotted paths at which the list of records may be found in the answer; the first that holds a list wins.
        total: Where the number of records is announced: a dotted path, or `header:` and a header's name.
        pages: Where the number of pages is announced, in the same way.
        parameters: Our name to the vendor's query parameter: `limit`, and `page`, `offset` or `cursor`, for lists;
            `start`, `end`, and `page`, `limit` if it has pages, for reports.
        paging: How pages are asked for.
        params: Further query parameters of each request for a list or a report.
        filters: Column to the query parameter that filters a list by it. The rows are filtered again on this side.
        newest_first: Set by the user: the list is ordered by `updatedAt`, newest first. Used once it is proven.
        exact_total: The announced total is the number of rows that are listed. If not, two equal readings prove a list.
        only_in_detail: Keys that a record has at its own URL and not in the list.
        detail_path: Path of a record's own URL, below `/api/v1/`, with a column in braces, such as `customers/{id}`.
            Empty: `path` and the column `id` (see `own_column`). `none`: records have no URLs of their own.
        documented: True where the vendor's reference shows path, parameters and fields; False where they are assumed,
            or set by the user.
        volatile: Dotted paths whose values change all the time and do not matter: neither the row hash nor the history
            sees their changes. They are loaded when anything else changes.
        detail: Dotted path of the record in the answer of its own URL (lists only); `$` for the answer itself.
        date_format: Format of the days in a request for a report, as `strftime` writes them.
        naming: How the vendor writes names: `camelCase` as documented, or `snake_case`.
        by_organization: The table holds the rows of several organizations, and `organization_id` is part of all keys.
        description: What a row is.
    """

    table: str
    group: str
    kind: Kind
    path: str
    scope: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    children: tuple[Child, ...] = ()
    records: tuple[str, ...] = ("data",)
    total: str = "pagination.total"
    pages: str = "pagination.pages"
    parameters: Mapping[str, str] = field(default_factory=lambda: {"page": "page", "limit": "limit"})
    paging: Paging = field(default_factory=Paging)
    params: Mapping[str, str] = field(default_factory=dict)
    filters: Mapping[str, str] = field(default_factory=lambda: {"status": "status", "vendor": "vendor"})
    newest_first: bool = False
    exact_total: bool = True
    only_in_detail: tuple[str, ...] = ()
    detail_path: str = ""
    documented: bool = False
    volatile: tuple[str, ...] = ()
    detail: str = "data"
    date_format: str = "%Y-%m-%d"
    naming: str = "camelCase"
    by_organization: bool = False
    description: str = field(default="", repr=False, compare=False)

    @property
    def row_key(self) -> str:
        """Name of the one column that identifies a row of an organization in the destination."""
        return self.key[0] if len(self.key) == 1 else "_row_key"

    @property
    def own_path(self) -> str:
        """Path of a record's own URL, with a column in braces; empty if records have no URLs of their own."""
        if self.detail_path:
            return "" if self.detail_path == NO_DETAIL else self.detail_path
        names = [column.name for column in self.columns]
        name = "id" if "id" in names else self.key[0]
        return f"{self.path}/{{{name}}}" if name == "id" or len(self.key) == 1 else ""

    @property
    def own_column(self) -> str:
        """Column whose value is in a record's own URL; empty if records have no URLs of their own."""
        return self.own_path.partition("{")[2].partition("}")[0]

    def find_column(self, name: str) -> Column | None:
        """The column with this name, None if there is none."""
        return next((column for column in self.columns if column.name == name), None)

    def key_with(self, *names: str) -> tuple[str, ...]:
        """These columns, and `organization_id` before them where the table holds several organizations."""
        return (ORGANIZATION, *names) if self.by_organization else names
