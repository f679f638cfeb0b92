"""What an endpoint of the API is: its path, its parameters, and the columns of the table that it fills; or its body.

`automatum.endpoints` has the endpoints themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

ColumnType = Literal["text", "timestamp", "date", "decimal", "bigint", "bool"]
Kind = Literal["list", "report"]
PagingKind = Literal["page_number", "offset", "cursor"]

ORGANIZATION = "organization_id"
"""Column of the organization that a row belongs to."""
VENDOR = "vendor"
"""Column, and field of a record, of the marketplace: `aws`, `azure`."""
NO_DETAIL = "none"
"""The `detail_path` of records that have no URLs of their own."""
PAGE_SIZE = 100
"""Rows a page: the documented maximum of `limit` (`api/reference`). Fewer rows would cost more requests."""


@dataclass(frozen=True)
class Paging:
    """How the pages of a list are asked for. The kinds have the names of dlt's paginators (`rest_api`).

    Attributes:
        kind: `page_number` and `offset` ask for any page; a cursor leads from each page to the next one.
        first: Number of the first page: 1 is documented (`api/reference`), 0 is possible.
        size: Rows to ask for with each page.
        cursor_at: Dotted path of the cursor of the next page.
    """

    kind: PagingKind = "page_number"
    first: int = 1
    size: int = PAGE_SIZE
    cursor_at: str = "cursors.next"

    @property
    def any_page(self) -> bool:
        """Whether each page can be asked for by itself, in any order."""
        return self.kind != "cursor"


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
    vendor_at: str = VENDOR


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: Column name: the snake_case of the vendor's name.
        type: `text`, `timestamp` (UTC, microseconds), `date`, `decimal` (38, 9), `bigint`, `bool`.
        places: Where its value may be found; the first that is present and not null wins.
        documented: True where the vendor's reference shows the field.
        description: What it says: meaning, unit, sign, currency, time zone of a day, and what a null means.
        references: The table whose `id` it holds; empty if there is none.
        personal: It may hold personal data, which `automatum forget` removes.
    """

    name: str
    type: ColumnType
    places: tuple[FieldPath, ...]
    documented: bool = False
    # The row hash covers the other fields as they are printed.
    description: str = field(default="", repr=False, compare=False)
    references: str = field(default="", repr=False, compare=False)
    personal: bool = field(default=False, repr=False, compare=False)


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
        path: Below `/api/v1/`, without a leading slash. It may have a constant query.
        scope: OAuth scope that grants it (`api/authentication`, table of scopes).
        key: Columns that identify a record. More than one, or a nullable one, is condensed to `_row_key`.
        columns: Columns of the table.
        children: Tables made of lists inside its records.
        records: Dotted paths at which the list of records may be found in the answer; the first that holds a list wins.
        total: Dotted path of the number of rows of the list. Empty: no exact number is announced; then two equal
            readings prove a list.
        parameters: Our name to the vendor's query parameter: `limit`, and `page`, `offset` or `cursor`, for lists;
            `start` and `end` for reports.
        paging: How pages are asked for.
        only_in_detail: Keys that a record has at its own URL and not in the list.
        detail_path: Path of a record's own URL, below `/api/v1/`, with a column of the key in braces, such as
            `customers/{id}`. Empty: `path` and the column `id` (see `own_column`). `none`: records have no URLs of
            their own.
        documented: True where the vendor's reference shows path, parameters and fields; False where they are assumed,
            or set by the user.
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
    parameters: Mapping[str, str] = field(default_factory=lambda: {"page": "page", "limit": "limit"})
    paging: Paging = field(default_factory=Paging)
    only_in_detail: tuple[str, ...] = ()
    detail_path: str = ""
    documented: bool = False
    by_organization: bool = False
    description: str = field(default="", repr=False, compare=False)

    @property
    def row_key(self) -> str:
        """Name of the one column that identifies a row of an organization in the destination."""
        return self.key[0] if len(self.key) == 1 else "_row_key"

    @property
    def exact_total(self) -> bool:
        """Whether the list announces its number of rows."""
        return bool(self.total)

    @property
    def own_path(self) -> str:
        """Path of a record's own URL, with a column in braces; empty if records have no URLs of their own."""
        if self.detail_path:
            return "" if self.detail_path == NO_DETAIL else self.detail_path
        name = "id" if "id" in self.key else self.key[0]
        return f"{self.path.partition('?')[0]}/{{{name}}}" if name == "id" or len(self.key) == 1 else ""

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
