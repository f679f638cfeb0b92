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
        kept: Key to last version of rows that the table lacks, though they have not ended: they may come back as they
            were. Those that come are taken out.

    Attributes:
        name: Name of its table.
        schema: Arrow schema of its table.
    """

    def __init__(self, endpoint: Endpoint, kept: dict[str, str]) -> None:
        stored = history_table_of(endpoint)
        self._key, self._kept = endpoint.row_key, kept
        self.name, self.schema = stored.name, stored.schema

    def versions(self, rows: pa.Table, deleted: bool) -> pa.Table:
        """The versions that these rows begin.

        Args:
            rows: Rows of the table.
            deleted: The rows are gone.
        """
        if self._kept and not deleted:
            pairs = zip(rows[self._key].to_pylist(), rows[ROW_HASH].to_pylist(), strict=True)
            rows = rows.filter([self._kept.pop(key, None) != mark for key, mark in pairs])
        marks = rows[ROW_HASH]
        made = {
            IS_DELETED: pa.repeat(pa.scalar(deleted), len(rows)),
            VERSION: pc.binary_join_element_wise(marks, "deleted", ":") if deleted else marks,
            VALID_FROM: rows[SYNCED_AT],
        }
        columns = [made[name] if name in made else rows[name] for name in self.schema.names]
        return pa.Table.from_arrays(columns, schema=self.schema)
