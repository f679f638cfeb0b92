"""Lists that are paged in other ways, and that announce other numbers."""

import gzip
import random
from dataclasses import replace
from math import ceil

from tests.support.shapes.api import Api, customer
from tests.support.shapes.registry import registry
from tests.support.shapes.server import Answer

SHAPES, shape = registry("lists", "customers")


@shape("as documented")
class Documented(Api):
    pass


# Paging


@shape("offset and limit", paginator="offset")
class Offset(Api):
    def list(self, call):
        rows, start, size = self.listed(call), int(call.query.get("offset", 0)), self.size(call)
        return self.body(rows[start : start + size], {"offset": start, "limit": size, "total": len(rows)})


CURSOR = {"type": "cursor", "cursor_path": "pagination.nextCursor"}


@shape("cursor in the body", paginator=CURSOR)
class Cursor(Api):
    def list(self, call):
        rows, start, size = self.listed(call), int(call.query.get("cursor", "c0")[1:]), self.size(call)
        return self.body(rows[start : start + size], self.cursor(start + size, rows))

    def cursor(self, place, rows):
        return {"nextCursor": f"c{place}" if place < len(rows) else None, "total": len(rows)}


@shape("cursor in the body, no total", names="total", paginator=CURSOR, total="")
class CursorAlone(Cursor):
    def cursor(self, place, rows):
        return {"nextCursor": f"c{place}" if place < len(rows) else None}


@shape("no paging: all rows at once", names="total")
class Whole(Api):
    def list(self, call):
        return Answer({"code": 200, "data": [self.record(row) for row in self.listed(call)]})


@shape("at most 20 rows a page", names="page_size", page_size=20)
class Twenty(Api):
    largest = 20


@shape("the first page is 0", paginator={"type": "page_number", "base_page": 0})
class FromZero(Api):
    def list(self, call):
        rows, size, number = self.listed(call), self.size(call), int(call.query.get("page", 0))
        counts = {"page": number, "limit": size, "total": len(rows), "pages": ceil(len(rows) / size)}
        return self.body(rows[number * size : (number + 1) * size], counts)


class Links(Api):
    """Pages that name the next one; the parameter is not documented."""

    def list(self, call):
        rows, start, size = self.listed(call), int(call.query.get("after", 0)), self.size(call)
        more = f"{self.path}?limit={size}&after={start + size}" if start + size < len(rows) else None
        return self.linked(self.body(rows[start : start + size], {"total": len(rows)}), more)


@shape("Link header")
class LinkHeader(Links):
    def linked(self, answer, more):
        return Answer(answer.body, headers={"Link": f'<{self.base_url}{more}>; rel="next"'} if more else {})


@shape("limit is ignored: 20 rows a page", page_size=20)
class IgnoredLimit(Api):
    def size(self, call):
        return 20


@shape("limit is ignored: 20 rows a page, no total", names="total", page_size=20, total="")
class IgnoredLimitNoTotal(Api):
    def size(self, call):
        return 20

    def body(self, rows, counts):
        return super().body(rows, {})


@shape("parameters pageNumber and pageSize", names="parameters", parameters={"page": "pageNumber", "limit": "pageSize"})
class OtherParameters(Api):
    def list(self, call):
        words = {"pageNumber": "page", "pageSize": "limit"}
        query = {words[name]: value for name, value in call.query.items() if name in words}
        return super().list(replace(call, query=query))


# Numbers


@shape("no total and no pages", total="")
class NoTotal(Api):
    def body(self, rows, counts):
        return super().body(rows, {"page": counts["page"], "limit": counts["limit"]})


@shape("total without pages")
class TotalOnly(Api):
    def body(self, rows, counts):
        return super().body(rows, {"total": counts["total"]})


@shape("total capped at 200", total="")
class Capped(Api):
    count = 330

    def body(self, rows, counts):
        total = min(counts["total"], 200)
        return super().body(rows, {**counts, "total": total, "pages": ceil(total / counts["limit"])})


@shape("total counts the rows of the page", names="total", total="")
class PageTotal(Api):
    def body(self, rows, counts):
        return super().body(rows, {"page": counts["page"], "total": len(rows)})


@shape("total in a header", total="")
class HeaderTotal(Api):
    def body(self, rows, counts):
        answer = super().body(rows, {})
        return Answer({"code": 200, "data": answer.body["data"]}, headers={"X-Total-Count": str(counts["total"])})


@shape("another order at each request")
class ShuffledWithTotal(Api):
    def listed(self, call):
        rows = super().listed(call)
        random.Random(len(self.calls)).shuffle(rows)
        return rows


# The end of the list


class Ended(Api):
    """No total, and an answer of its own behind the last page."""

    def list(self, call):
        size, number = self.size(call), int(call.query.get("page", 1))
        behind = number > 1 and (number - 1) * size >= len(self.listed(call))
        return self.end(call) if behind else super().list(call)

    def body(self, rows, counts):
        return super().body(rows, {})


@shape("no total, 404 behind the last page", names="total", total="")
class NotFoundAtEnd(Ended):
    def end(self, call):
        return self.not_found()


@shape("no total, the last page again behind it", names="total")
class LastAgain(Ended):
    def end(self, call):
        rows, size = self.listed(call), self.size(call)
        return self.body(rows[(len(rows) - 1) // size * size :], {})


class Empty(Api):
    """No rows at first."""

    count = 0

    def change(self):
        self.rows = {row["id"]: row for row in map(customer, range(3))}

    def settle(self):
        self.rows = {}


@shape("an empty list")
class EmptyList(Empty):
    pass


@shape("an empty list is a 404", names="customers.path")
class EmptyIsNotFound(Empty):
    def list(self, call):
        return super().list(call) if self.rows else self.not_found()


@shape("an empty list is a 204")
class EmptyIsNoContent(Empty):
    def list(self, call):
        return super().list(call) if self.rows else Answer(status=204)


@shape("an empty list is null", names="customers.records")
class EmptyIsNull(Empty):
    def body(self, rows, counts):
        return super().body(rows, counts) if rows else Answer({"code": 200, "data": None, "pagination": counts})


# Transport


@shape("compressed answers")
class Compressed(Api):
    def receive(self, call):
        answer = super().receive(call)
        return Answer(gzip.compress(answer.bytes), answer.status, {"Content-Encoding": "gzip"})


@shape("answers in chunks")
class Chunked(Api):
    def receive(self, call):
        return replace(super().receive(call), chunked=True)
