"""What dlt drops or empties when it loads the package that is extracted now (I10).

A sync compares the API with the destination as it is while pages are read. dlt drops, truncates or replaces tables
later, in the load. So what is about to go counts as absent, and every row of it is loaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import dlt

from .dlt_internals import current_load_id


@dataclass(frozen=True)
class Refresh:
    """Tables that have no rows any more when the package is loaded.

    Attributes:
        dropped: Names of tables that are dropped.
        emptied: Names of tables that are truncated or replaced.
    """

    dropped: frozenset[str] = frozenset()
    emptied: frozenset[str] = frozenset()

    @property
    def absent(self) -> frozenset[str]:
        """Names of the tables without rows."""
        return self.dropped | self.emptied


NO_REFRESH = Refresh()


def pending_refresh(replaced: Iterable[str] = ()) -> Refresh:
    """What goes with the package that is extracted now; nothing outside of an extraction.

    Args:
        replaced: Names of tables whose write disposition is `replace`.
    """
    if not current_load_id():
        return NO_REFRESH
    state: Any = dlt.current.load_package_state()["state"]
    dropped, truncated = (
        frozenset(table["name"] for table in state.get(key) or ()) for key in ("dropped_tables", "truncated_tables")
    )
    return Refresh(dropped, truncated | frozenset(replaced))
