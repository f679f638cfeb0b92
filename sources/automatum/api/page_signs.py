"""What an answer says about its list in other places than the configured ones: that rows follow, how many there are.

The names are those that common APIs use. A sign proves nothing. It keeps a list from counting as complete where rows
may follow, and it lets a message name the setting that is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_DEPTH = 3
_CURSORS = frozenset(("next", "nextcursor", "nextpagecursor", "nexttoken", "nextpagetoken", "continuationtoken"))
_LINKS = frozenset(("next", "nextlink", "nexturl", "nextpage", "nextpageurl", "nexthref"))
_NUMBERS = frozenset(("next", "nextpage", "nextoffset"))
_MORE = frozenset(("more", "hasmore", "hasnext", "hasnextpage", "hasmorepages", "morepages", "morerecords"))
_CURSOR_HEADERS = ("X-Next-Cursor", "X-Next-Token", "X-Next-Page-Token", "X-Next", "X-Continuation-Token")
_TOTALS = frozenset(
    ("total", "totalcount", "totalrecords", "totalitems", "totalresults", "totalrows", "totalelements", "count")
)
_TOTAL_HEADERS = ("X-Total-Count", "X-Total", "Total-Count", "X-Pagination-Total-Count")
_SIZES = ("limit", "pageSize", "page_size", "perPage", "per_page", "size")
_LIKELIEST = ("", "json_link", "cursor")
"""Types of paginators that a body may ask for, the likeliest last."""
_LIKE_URL = re.compile(r"(https?://|/|\?)")


@dataclass(frozen=True, slots=True)
class Sign:
    """A place in an answer that says that rows follow.

    Attributes:
        at: Dotted path in the body, or name of a header.
        paginator: The keys of the setting `paginator` that follows it, `type` first; empty if it only says that rows
            follow.
    """

    at: str
    paginator: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The type of the paginator; empty if there is none."""
        return self.paginator.get("type", "")

    @property
    def setting(self) -> str:
        """The setting `paginator` as TOML."""
        keys = ", ".join(f'{name} = "{value}"' for name, value in self.paginator.items())
        return f"{{ {keys} }}" if len(self.paginator) > 1 else f'"{self.kind}"'


def more_rows(headers: Mapping[str, str], body: Mapping[str, Any]) -> Sign | None:
    """The sign that rows follow; None if there is none.

    Args:
        headers: Headers of the answer.
        body: The answer. Lists in it are not looked at: they hold records.
    """
    if link_in(headers, "next"):
        return Sign("the header Link", {"type": "header_link"})
    for name in _CURSOR_HEADERS:
        if headers.get(name):
            return Sign(f"the header {name}", {"type": "header_cursor", "cursor_key": name, "cursor_param": "cursor"})
    signs = [sign for path, value in _leaves(body) if (sign := _sign(path, value))]
    if any(value is False for path, value in _leaves(body) if _last_step(path) in _MORE):
        signs = [sign for sign in signs if sign.kind == "json_link"]
    return max(signs, key=lambda sign: (_LIKELIEST.index(sign.kind), len(sign.at)), default=None)


def total_elsewhere(headers: Mapping[str, str], body: Mapping[str, Any]) -> str:
    """Where an answer seems to announce the number of rows, as a value of the setting `total`; empty if nowhere."""
    for name in _TOTAL_HEADERS:
        if headers.get(name, "").strip().isdigit():
            return f"header:{name}"
    found = (path for path, value in _leaves(body) if _last_step(path) in _TOTALS and type(value) is int and value >= 0)
    return next(found, "")


def announced_size(body: Mapping[str, Any], total: str) -> int | None:
    """Rows of a full page, where an answer repeats the limit beside the total; None if it does not.

    Args:
        body: The answer.
        total: Dotted path of the announced number of rows.
    """
    beside: Any = body
    for step in total.split(".")[:-1]:
        beside = beside.get(step) if isinstance(beside, dict) else None
    if not isinstance(beside, dict):
        return None
    sizes = (beside.get(name) for name in _SIZES)
    return next((size for size in sizes if type(size) is int and size > 0), None)


def link_in(headers: Mapping[str, str], relation: str) -> str:
    """The URL of a relation in the header `Link` (RFC 8288); empty if there is none."""
    for link in re.split(r",\s*<", headers.get("Link") or ""):
        # A URL may hold a semicolon. Some servers leave the angle brackets out.
        url, _, parameters = link.partition(">" if ">" in link else ";")
        for parameter in parameters.split(";"):
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "rel" and relation in value.strip(" ,'\"").split():
                return url.strip("<> '\"")
    return ""


def _sign(path: str, value: Any) -> Sign | None:
    name = _last_step(path)
    if isinstance(value, str) and value.strip():
        if name in _LINKS and _LIKE_URL.match(value):
            return Sign(path, {"type": "json_link", "next_url_path": path})
        if name in _CURSORS:
            return Sign(path, {"type": "cursor", "cursor_path": path, "cursor_param": "cursor"})
    if value is True and name in _MORE:
        return Sign(path)
    if type(value) is int and value > 0:
        if name in _NUMBERS:
            return Sign(path)
        if name in _CURSORS:
            return Sign(path, {"type": "cursor", "cursor_path": path, "cursor_param": "cursor"})
    return None


def _last_step(path: str) -> str:
    """The last step of a path in lower case, without separators; `links.next.href` counts as its relation."""
    steps = path.split(".")
    last = steps[-2] if steps[-1] == "href" and len(steps) > 1 else steps[-1]
    return re.sub(r"[^a-z]", "", last.lower())


def _leaves(body: Mapping[str, Any], above: str = "", depth: int = _DEPTH) -> Iterator[tuple[str, Any]]:
    for name, value in body.items():
        if isinstance(value, dict):
            if depth:
                yield from _leaves(value, f"{above}{name}.", depth - 1)
        elif not isinstance(value, list):
            yield above + name, value
