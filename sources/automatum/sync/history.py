"""Every version of every row: `<table>_history`.

A version begins when its row was read. It is appended and never changed: it ends where the next version of the same row
begins, which the view `<table>_versions` computes. Versions are merged by row and beginning, so that a package can be
loaded twice, or in part and then again.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ..endpoints import Endpoint
from ..schema.columns import IS_DELETED, ROW_HASH, SYNCED_AT, VALID_FROM, VERSION
from ..schema.tables import history_table_of


class History:
    """Turns rows of a table into versions.

    Args:
        endpoint: Whose rows.

    Attributes:
        name: Name of its table.
        schema: Arrow schema of its table.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        stored = history_table_of(endpoint)
        self.name, self.schema = stored.name, stored.schema

    def versions(self, rows: pa.Table, deleted: bool) -> pa.Table:
        """The versions that these rows begin.

        Args:
            rows: Rows of the table.
            deleted: The rows are gone.
        """
        marks = rows[ROW_HASH]
        made = {
            IS_DELETED: pa.repeat(pa.scalar(deleted), len(rows)),
            VERSION: pc.binary_join_element_wise(marks, "deleted", ":") if deleted else marks,
            VALID_FROM: rows[SYNCED_AT],
        }
        columns = [made[name] if name in made else rows[name] for name in self.schema.names]
        return pa.Table.from_arrays(columns, schema=self.schema)
