"""A list that moves while it is read, behind an API that pages in another way than by page numbers."""

from dataclasses import replace

from automatum.api.http import ApiResponse
from automatum.core.errors import RequestRefused
from automatum.endpoints import CUSTOMERS, Paging
from automatum.schema.arrow_tables import Table
from automatum.sync.list_sync import ListPages
from tests.support.moving_list import MovingList

PARAMETERS = {"offset": {"offset": "offset", "limit": "limit"}, "cursor": {"cursor": "cursor", "limit": "limit"}}


class PagedList(MovingList):
    """The API. The connector's own reader of pages stands between it and the sweep.

    Args:
        rows: Number of rows.
        page_size: Rows of a page.
        kind: `offset` or `cursor`.
        keyset: A cursor means "after this row", wherever that row is or was. Otherwise it is an offset in disguise.
        totals: The answers announce the number of rows.
        ages: Cursors are refused by the next run.
    """

    def __init__(self, rows, page_size, kind="cursor", keyset=False, totals=True, ages=False):
        super().__init__(rows, page_size)
        paging, total = Paging(kind, size=page_size, cursor_at="next"), CUSTOMERS.total if totals else ""
        self.endpoint = replace(CUSTOMERS, paging=paging, parameters=PARAMETERS[kind], total=total)
        self.table = Table(self.endpoint)
        self.totals, self.keyset, self.ages, self.by_number = totals, keyset, ages, kind == "offset"
        self._ranks = {}
        self._runs = 0

    def pages(self):
        """The pages, as a run reads them."""
        self._runs += 1
        return ListPages(self, self.endpoint)

    def get(self, path, params, scope=""):
        """The answer to a request."""
        for event in self.events.get(len(self.reads), []):
            event(self)
        self.reads.append(dict(params))
        run, _, place = params.get("cursor", f"{self._runs}:").partition(":")
        if self.ages and int(run) != self._runs:
            raise RequestRefused("GET", path, 400, "the cursor has expired")
        start = self._after(place) if self.keyset and place else int(place or params.get("offset", 0))
        found = self.rows[start : start + self.page_size]
        body = {"data": [{"id": key, "version": version} for key, version in found], "next": None}
        if start + self.page_size < len(self.rows):
            self._rank()
            end = self._ranks[found[-1][0]] if self.keyset else start + self.page_size
            body["next"] = f"{self._runs}:{end}"
        if self.totals:
            body["pagination"] = {"total": len(self.rows)}
        return ApiResponse(body, 200, self.late + len(self.reads))

    def _after(self, place):
        """The number of rows up to a rank."""
        self._rank()
        return sum(self._ranks[key] <= float(place) for key, _ in self.rows)

    def _rank(self):
        """Give each row a number that grows from row to row, and keep the numbers of rows that did not move."""
        keys = [key for key, _ in self.rows]
        kept = _ascending([(self._ranks[key], key) for key in keys if key in self._ranks])
        rank, ranks = 0.0, {}
        for at, key in enumerate(keys):
            if key in kept:
                rank = self._ranks[key]
            else:
                above = next((self._ranks[later] for later in keys[at + 1 :] if later in kept), rank + 2.0**20)
                rank = (rank + above) / 2
            ranks[key] = rank
        self._ranks = ranks


def _ascending(ranked):
    """Keys of the longest part of the ranked keys that is in order."""
    best = []
    for at, (rank, key) in enumerate(ranked):
        before = max((best[i] for i in range(at) if ranked[i][0] < rank), key=len, default=[])
        best.append([*before, key])
    return set(max(best, key=len, default=[]))
