"""Finds out how a list is paged: where it announces its numbers, and what asks for the next page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any

from ..api.client import ApiClient, ApiResponse
from ..api.page_signs import announced_size, more_rows, total_elsewhere
from ..api.paging import announced_number, list_url, next_place, page_parameters
from ..core.errors import ConfigurationError, RequestError
from ..endpoints import Endpoint
from ..schema.json_text import dumps
from ..schema.records import Record
from .answer_shape import records_in
from .explained import Draft, TableExplanation

_MOST_TRIES = 6
_PAGE_WORDS = ("pageNumber", "page_number", "currentPage", "current_page", "pageNo", "pageIndex", "p")
_SIZE_WORDS = ("pageSize", "page_size", "perPage", "per_page", "size", "count")
_OFFSET_WORDS = ("offset", "skip", "start", "from")
_USUAL_WORDS = (("pageNumber", "pageSize"), ("page_number", "page_size"), ("p", "per_page"))
_CURSOR_HEADER = re.compile(r"(?i)(^|-)(next|cursor|continuation)(-|$)")
_CURSOR_WORDS = ("cursor", "after", "pageToken")


class PagingQuestion:
    """Asks for few further pages of a list, to see which way of paging leads to other rows.

    Args:
        client: Sends the requests.
        draft: The endpoint; takes the proposals.
        found: Takes the facts and the doubts.
        first: Answer to the first page.
    """

    def __init__(self, client: ApiClient, draft: Draft, found: TableExplanation, first: ApiResponse) -> None:
        self._client, self._draft, self._found, self._first = client, draft, found, first
        self._rows = records_in(draft.endpoint, first.body)
        self._tries = 0
        self._others: dict[str, Record] = {}

    def answer(self) -> None:
        """Propose what the list needs, and say how it is paged."""
        rows, paging = self._rows, self._draft.endpoint.paging
        self._found.facts["rows"] = {"asked": paging.size, "given": len(rows)}
        total, pages = self._numbers()
        size = announced_size(self._first.body, self._draft.endpoint.total)
        given = len(rows)
        sign = more_rows(self._first.headers, self._first.body)
        full = given >= paging.size or given == size
        if total is not None and total <= given and not full and not sign:
            self._found.facts["paging"] = "not seen: all rows are on one page"
            return
        if not rows and not total:
            self._found.facts["paging"] = "not seen: the list is empty"
            return
        if not paging.any_page:
            self._found.facts["paging"] = f"{paging.kind}, as configured"
            return
        self._ask_pages(total, pages)

    def _numbers(self) -> tuple[int | None, int | None]:
        """The announced numbers of rows and pages."""
        draft, facts = self._draft, self._found.facts
        total = announced_number(self._first, draft.endpoint.total)
        if total is None:
            place = total_elsewhere(self._first.headers, self._first.body)
            if place:
                draft.propose(total=place)
                total = announced_number(self._first, place)
        pages = announced_number(self._first, draft.endpoint.pages)
        facts["total"] = {"at": draft.endpoint.total, "says": total} if total is not None else "not announced"
        facts["pages"] = {"at": draft.endpoint.pages, "says": pages} if pages is not None else "not announced"
        return total, pages

    def _ask_pages(self, total: int | None, pages: int | None) -> None:
        """Ask for a later page by its number, and go on from what it says."""
        endpoint, given = self._draft.endpoint, len(self._rows)
        size = min(given, endpoint.paging.size) or endpoint.paging.size
        last = max(2, ceil(total / size) if total and total > given else 2)
        rows = self._ask(endpoint, last)
        if rows and not self._same(rows):
            self._numbers_work(total, size, last, rows)
        elif rows and self._same(rows):
            self._number_is_ignored(total, pages)
        elif endpoint.paging.kind == "page_number" and self._begins_at_zero():
            self._found.facts["paging"] = "page numbers from 0"
            self._draft.propose(paginator={"type": "page_number", "base_page": 0})
            self._propose_sizes(total, size)
        elif rows is None and self._other_ways():
            pass
        elif total is None or given >= total:
            self._found.facts["paging"] = "not seen: no row follows the first page"
            if total is None:
                self._draft.propose(exact_total=False)
        else:
            self._doubt(f"{total} rows are announced, and page {last} has none of them")

    def _numbers_work(self, total: int | None, size: int, last: int, rows: Sequence[Record]) -> None:
        kind = self._draft.endpoint.paging.kind
        at_zero = False
        if kind == "page_number" and self._draft.endpoint.paging.first == 1:
            short = total is not None and len(rows) < total - (last - 1) * size
            at_zero = (total is None or short) and self._begins_at_zero()
        if at_zero:
            self._found.facts["paging"] = "page numbers from 0"
            self._draft.propose(paginator={"type": "page_number", "base_page": 0})
        else:
            self._found.facts["paging"] = "page numbers from 1" if kind == "page_number" else kind
        self._propose_sizes(total, size)
        if total is None:
            self._draft.propose(exact_total=False)
        elif total <= len(self._rows) or (len(rows) >= size and self._ask(self._draft.endpoint, last + 1)):
            self._found.doubts.append(f"The announced total is {total}, and more rows follow: it is not their number.")
            self._draft.propose(exact_total=False)

    def _propose_sizes(self, total: int | None, size: int) -> None:
        asked = self._draft.endpoint.paging.size
        if size < asked and (total is None or total > size):
            self._draft.propose(page_size=size)

    def _number_is_ignored(self, total: int | None, pages: int | None) -> None:
        given, asked = len(self._rows), self._draft.endpoint.paging.size
        if self._other_ways():
            return
        if given == total or (total is None and given > asked):
            self._found.facts["paging"] = "none: the answer has all rows"
            self._draft.propose(paginator="single_page", **({} if total is not None else {"exact_total": False}))
            return
        self._found.facts["paging"] = "not known"
        words = self._draft.endpoint.parameters
        word = words.get("page") or words.get("offset", "")
        self._doubt(f"the parameter {word} is ignored, and no other way to a second page was found")

    def _other_ways(self) -> bool:
        """Try what the answer suggests; whether a way leads to other rows."""
        for keys, words in self._ways():
            if self._tries >= _MOST_TRIES:
                break
            try:
                other = self._draft.tried(**keys)
                after = next_place(self._first, other, list_url(other, self._client.base_url), self._client.base_url)
            except ConfigurationError as error:
                self._found.doubts.append(f"{error.message} {error.next_step}".strip())
                continue
            if not other.paging.any_page and not after:
                continue
            rows = self._ask(other, 2, after or "")
            if rows and not self._same(rows):
                self._draft.propose(**keys)
                self._found.facts["paging"] = words
                known = announced_number(self._first, self._draft.endpoint.total)
                if known is None:
                    self._draft.propose(exact_total=False)
                return True
        return False

    def _ways(self) -> Iterator[tuple[dict[str, Any], str]]:
        """Settings that may lead to the next page, and their name, the likeliest first."""
        body = self._first.body
        sign = more_rows(self._first.headers, body)
        if sign and sign.paginator:
            paginator, kind = dict(sign.paginator), sign.kind
            if "cursor_param" in paginator:
                name = paginator.get("cursor_key", sign.at).rpartition(".")[2]
                for word in dict.fromkeys((*_CURSOR_WORDS, name)):
                    yield {"paginator": {**paginator, "cursor_param": word}}, f"{kind}: {sign.at}, parameter {word}"
            else:
                yield {"paginator": paginator if len(paginator) > 1 else kind}, f"{kind}: {sign.at}"
        for name, value in self._first.headers.items():
            if value and _CURSOR_HEADER.search(name) and not sign:
                paginator = {"type": "header_cursor", "cursor_key": name, "cursor_param": "cursor"}
                yield {"paginator": paginator}, f"header_cursor: the header {name}"
        echoed = _names(body)
        limit = next((word for word in _SIZE_WORDS if word in echoed), "")
        for word in (one for one in _OFFSET_WORDS if one in echoed):
            paginator = {"type": "offset", **({"offset_param": word} if word != "offset" else {})}
            yield {"paginator": paginator}, f"offset: parameter {word}"
        for word in (one for one in _PAGE_WORDS if one in echoed):
            names = {"page": word, **({"limit": limit} if limit else {})}
            yield {"parameters": names}, f"page numbers: parameter {word}"
        if not sign:
            yield {"paginator": "offset"}, "offset: parameter offset"
            for word, limit in _USUAL_WORDS:
                yield {"parameters": {"page": word, "limit": limit}}, f"page numbers: parameter {word}"

    def _begins_at_zero(self) -> bool:
        """Whether page 0 has other rows than page 1."""
        rows = self._ask(self._draft.tried(paginator={"type": "page_number", "base_page": 0}), 1)
        return bool(rows) and not self._same(rows)

    def _ask(self, endpoint: Endpoint, number: int, after: str = "") -> list[Record] | None:
        """The rows of a page; None if the API refuses it."""
        self._tries += 1
        url = after if after and endpoint.paging.by_link else None
        try:
            if url:
                answer = self._client.get(endpoint.path, None, endpoint.scope, url)
            else:
                query = {**endpoint.params, **page_parameters(endpoint, number, after)}
                answer = self._client.get(endpoint.path, query, endpoint.scope)
        except RequestError:
            return None
        rows = records_in(endpoint, answer.body)
        self._others.update({repr(row): row for row in rows})
        return rows

    @property
    def records(self) -> list[Record]:
        """The records of all pages that were read, those of the first page first."""
        return list(({repr(row): row for row in self._rows} | self._others).values())

    def _same(self, rows: Sequence[Record] | None) -> bool:
        """Whether these are the rows of the first page, in any order."""
        return bool(rows) and set(map(dumps, rows or ())) <= set(map(dumps, self._rows))

    def _doubt(self, what: str) -> None:
        self._found.doubts.append(f"It is not clear how the list is paged: {what}. Set paginator or parameters.")


def _names(body: Any) -> set[str]:
    """Names beside and above the records, three levels deep."""
    names: set[str] = set()
    levels = [(body, 3)]
    while levels:
        inner, depth = levels.pop()
        if isinstance(inner, dict):
            names |= set(inner)
            levels += [(value, depth - 1) for value in inner.values() if depth]
    return names
