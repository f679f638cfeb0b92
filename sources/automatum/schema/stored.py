"""Tables as they are stored: columns with types and descriptions, keys, and references to other tables.

Arrow schemas, the hints and the schema that dlt gets, `automatum discover` and `docs/tables.md` are made from them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pyarrow as pa

TableKind = Literal["list", "report", "child", "history", "log", "metering"]
StoredType = Literal["text", "timestamp", "date", "decimal", "bigint", "bool", "json"]
Origin = Literal["documented", "assumed", "connector"]


@dataclass(frozen=True)
class Reference:
    """A column whose values are keys of another table.

    Attributes:
        table: The other table.
        column: Its column.
    """

    table: str
    column: str


@dataclass(frozen=True)
class StoredColumn:
    """A column of a table in the destination.

    Attributes:
        name: Its name.
        type: Its type. A `timestamp` is in UTC with microseconds.
        description: What it says: meaning, unit, sign, currency, time zone of a day, and what a null means.
        nullable: Whether it may be null.
        origin: Whether the vendor documents the field, we assume it, or the column is the connector's own.
        places: Where its value may be found in a record, as dotted paths.
        scale: Decimal places of a `decimal`, which has 38 digits.
        reference: Another table whose keys it holds; None if there is none.
        hard_delete: dlt's hint: a row that is not null here is removed.
        latest_first: dlt's hint: of several rows of one key, the one with the latest value stays.
    """

    name: str
    type: StoredType
    description: str
    nullable: bool = True
    origin: Origin = "connector"
    places: tuple[str, ...] = ()
    scale: int = 9
    reference: Reference | None = None
    hard_delete: bool | None = None
    latest_first: bool = False

    @property
    def arrow(self) -> pa.Field:
        """The column as Arrow has it."""
        import pyarrow as pa  # Not where only names are needed, as for `automatum status`.

        from .coerce import ARROW_TYPES

        kind = pa.decimal128(38, self.scale) if self.type == "decimal" else ARROW_TYPES[self.type]
        return pa.field(self.name, kind, nullable=self.nullable)


def read_columns(text: str) -> tuple[StoredColumn, ...]:
    """Columns from lines such as `price decimal(12)! Price of a unit.` or `id text>customers.id The customer.`

    `!` says that the column is never null, and `>` which keys it holds. An indented line goes on.

    Args:
        text: The lines.
    """
    columns: list[StoredColumn] = []
    for line in re.sub(r"\n +", " ", text).strip().splitlines():
        name, kind, said = line.split(" ", 2)
        type_, scale, table, column, never = re.findall(r"^(\w+)(?:\((\d+)\))?(?:>(\w+)\.(\w+))?(!?)$", kind)[0]
        reference = Reference(table, column) if table else None
        columns.append(StoredColumn(name, type_, said, not never, scale=int(scale or 9), reference=reference))
    return tuple(columns)


@dataclass(frozen=True)
class StoredTable:
    """A table in the destination.

    Attributes:
        name: Its name.
        kind: `list` and `report` are read from the API, `child` is made of lists in their records, `history` has their
            versions; `log` is the connector's own, `metering` is the ledger of the push.
        description: What a row is.
        key: Columns that identify a row.
        columns: Its columns, in their order.
        merge_key: Columns whose rows a load replaces together; empty to replace row by row.
        parent: The table whose records its rows are made of; None if there is none.
    """

    name: str
    kind: TableKind
    description: str
    key: tuple[str, ...]
    columns: tuple[StoredColumn, ...]
    merge_key: tuple[str, ...] = ()
    parent: str | None = None

    @property
    def schema(self) -> pa.Schema:
        """Its Arrow schema."""
        import pyarrow as pa

        return pa.schema([column.arrow for column in self.columns])
