"""Lists of other shapes: how they are paged, and where records and numbers are."""

from math import ceil

from tests.support.shapes.api import Api
from tests.support.shapes.cell import Shape
from tests.support.shapes.server import Answer

SHAPES = []


def shape(name, names="", connection=None, **endpoint):
    """Add an API to the battery.

    Args:
        name: What differs from the vendor's documentation.
        names: What a sync names that is not complete; by default the first of the settings.
        connection: Settings of the connection that it needs.
        endpoint: Settings of the endpoint that it needs.
    """

    def add(api):
        settings = dict(connection or {})
        if endpoint:
            settings["endpoints"] = {api.table: endpoint}
        names_ = names or next(iter(endpoint or connection or ()), "")
        SHAPES.append(Shape(name, api, settings, names_, group="lists"))
        return api

    return add


@shape("as documented")
class Documented(Api):
    pass


# Paging


@shape("offset and limit", paginator={"type": "offset", "limit": 100})
class Offset(Api):
    def list(self, call):
        rows, start, size = self.listed(call), int(call.query.get("offset", 0)), self.size(call)
        return self.body(rows[start : start + size], {"offset": start, "limit": size, "total": len(rows)})


CURSOR = {"type": "cursor", "cursor_path": "pagination.nextCursor", "cursor_param": "cursor"}


@shape("cursor in the body", paginator=CURSOR)
class Cursor(Api):
    def list(self, call):
        rows, start, size = self.listed(call), int(call.query.get("cursor", "c0")[1:]), self.size(call)
        return self.body(rows[start : start + size], self.cursor(start + size, rows))

    def cursor(self, place, rows):
        return {"nextCursor": f"c{place}" if place < len(rows) else None, "total": len(rows)}


@shape("cursor in the body, no total", paginator=CURSOR, exact_total=False)
class CursorAlone(Cursor):
    def cursor(self, place, rows):
        return {"nextCursor": f"c{place}" if place < len(rows) else None}


@shape("no paging: all rows at once", paginator="single_page")
class Whole(Api):
    def list(self, call):
        return Answer({"code": 200, "data": [self.record(row) for row in self.listed(call)]})


@shape("at most 20 rows a page", names="page_size", page_size=20)
class Twenty(Api):
    largest = 20


@shape("at most 50 rows a page")
class Fifty(Api):
    largest = 50


@shape("the first page is 0", paginator={"type": "page_number", "base_page": 0})
class FromZero(Api):
    def list(self, call):
        rows, size, number = self.listed(call), self.size(call), int(call.query.get("page", 0))
        counts = {"page": number, "limit": size, "total": len(rows), "pages": ceil(len(rows) / size)}
        return self.body(rows[number * size : (number + 1) * size], counts)


# Numbers


@shape("no total and no pages", exact_total=False)
class NoTotal(Api):
    def body(self, rows, counts):
        return super().body(rows, {"page": counts["page"], "limit": counts["limit"]})


@shape("total without pages")
class TotalOnly(Api):
    def body(self, rows, counts):
        return super().body(rows, {"total": counts["total"]})


@shape("pages without total", names="exact_total", exact_total=False)
class PagesOnly(Api):
    def body(self, rows, counts):
        return super().body(rows, {"pages": counts["pages"]})


@shape("total capped at 200", exact_total=False)
class Capped(Api):
    count = 330

    def body(self, rows, counts):
        total = min(counts["total"], 200)
        return super().body(rows, {**counts, "total": total, "pages": ceil(total / counts["limit"])})


@shape("total counts the rows of the page", exact_total=False)
class PageTotal(Api):
    def body(self, rows, counts):
        return super().body(rows, {"page": counts["page"], "total": len(rows)})


# Envelopes


@shape("records at data.items, total beside them", names="records", records="data.items", total="data.total")
class DataItems(Api):
    def body(self, rows, counts):
        return Answer({"code": 200, "data": {"items": [self.record(row) for row in rows], "total": counts["total"]}})


@shape("a top-level array", names="records", records="$", exact_total=False)
class TopArray(Api):
    def body(self, rows, counts):
        return Answer([self.record(row) for row in rows])
