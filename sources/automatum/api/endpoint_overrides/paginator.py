"""The key `paginator`: how a list is paged, in the words of dlt's `rest_api`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from ...core.errors import ConfigurationError
from ...core.paging import Paging, PagingKind
from ...endpoints import Endpoint
from ..paging import HEADER
from .values import choice, next_step, number, path, table, text

_KINDS: tuple[str, ...] = get_args(PagingKind)
_MOST_ROWS = 10_000


@dataclass(frozen=True)
class _Words:
    """Keys of one kind of paginator.

    Attributes:
        parameters: dlt's key to our name of a query parameter and the vendor's usual name.
        next_at: Key of the place that leads to the next page, and dlt's default.
        numbers: Keys of announced numbers to the attribute of `Endpoint`.
    """

    parameters: Mapping[str, tuple[str, str]]
    next_at: tuple[str, str] | None = None
    numbers: Mapping[str, str] | None = None


_LIMIT = {"limit_param": ("limit", "limit")}
_CURSOR = {"cursor_param": ("cursor", "cursor"), **_LIMIT}
_TOTAL = {"total_path": "total"}
_WORDS: dict[str, _Words] = {
    # In dlt, `total_path` of page numbers is the number of pages.
    "page_number": _Words({"page_param": ("page", "page"), **_LIMIT}, numbers={"total_path": "pages"}),
    "offset": _Words({"offset_param": ("offset", "offset"), **_LIMIT}, numbers=_TOTAL),
    "cursor": _Words(_CURSOR, ("cursor_path", "cursors.next"), _TOTAL),
    "header_cursor": _Words(_CURSOR, ("cursor_key", "next"), _TOTAL),
    "json_link": _Words(_LIMIT, ("next_url_path", "next"), _TOTAL),
    "header_link": _Words(_LIMIT, ("links_next_key", "next"), _TOTAL),
    "single_page": _Words(_LIMIT, numbers=_TOTAL),
}
_TWICE = {
    "page_param": "parameters",
    "offset_param": "parameters",
    "cursor_param": "parameters",
    "limit_param": "parameters",
    "limit": "page_size",
    "base_page": "first_page",
}
"""Keys of a paginator that have a key of the endpoint of the same meaning."""


def apply_paginator(at: str, endpoint: Endpoint, value: Any) -> Endpoint:
    """The endpoint with the paginator of the settings.

    Args:
        at: Dotted name of the setting.
        endpoint: The endpoint.
        value: The kind of the paginator, or a table with its `type`.
    """
    named = {"type": value} if isinstance(value, str) else table(at, value)
    if "type" not in named:
        raise ConfigurationError(at, "a paginator needs a type.", next_step("", "Types", _KINDS))
    kind = choice(f"{at}.type", named["type"], _KINDS, "Types")
    words = _WORDS[kind]
    table(at, named, ["type", "limit", *(["base_page"] if kind == "page_number" else []), *_keys(words)])
    parameters = dict(words.parameters.values())
    for key, (ours, _) in words.parameters.items():
        if key in named:
            parameters[ours] = text(f"{at}.{key}", named[key])
    paging = Paging(kind=kind)  # type: ignore[arg-type]
    if words.next_at:
        key, usual = words.next_at
        check = path if key in ("cursor_path", "next_url_path") else text
        paging = replace(paging, next_at=check(f"{at}.{key}", named.get(key, usual)))
    endpoint = replace(endpoint, paging=paging, parameters=parameters)
    for key, ours in (words.numbers or {}).items():
        if key in named:
            endpoint = replace(endpoint, **{ours: place_of_number(f"{at}.{key}", named[key])})  # type: ignore[arg-type]
    if "limit" in named:
        endpoint = apply_page_size(f"{at}.limit", endpoint, named["limit"])
    if "base_page" in named:
        endpoint = apply_first_page(f"{at}.base_page", endpoint, named["base_page"])
    return endpoint


def apply_page_size(at: str, endpoint: Endpoint, value: Any) -> Endpoint:
    """The endpoint with another number of rows of a page."""
    size = number(at, value)
    if size > _MOST_ROWS:
        raise ConfigurationError(at, f"{size} rows are more than a page may have.", f"The most is {_MOST_ROWS}.")
    return replace(endpoint, paging=replace(endpoint.paging, size=size, sized=True))


def apply_first_page(at: str, endpoint: Endpoint, value: Any) -> Endpoint:
    """The endpoint with another number of the first page."""
    first = number(at, value, 0)
    if first > 1:
        raise ConfigurationError(at, f"{first} is not the number of a first page.", "It is 1 (the default) or 0.")
    if endpoint.paging.kind != "page_number":
        raise ConfigurationError(at, f"the paginator {endpoint.paging.kind} has no page numbers.", "Leave it out.")
    return replace(endpoint, paging=replace(endpoint.paging, first=first))


def check_twice(where: str, changes: Mapping[str, Any]) -> None:
    """Refuse a setting that is made twice: in the paginator, and as a key of the endpoint.

    Args:
        where: Dotted name of the table of settings.
        changes: The table of settings.

    Raises:
        ConfigurationError: Something is set twice.
    """
    paginator = changes.get("paginator")
    if not isinstance(paginator, Mapping):
        return
    numbers = _WORDS[kind].numbers if isinstance(kind := paginator.get("type"), str) and kind in _WORDS else None
    for key, other in {**_TWICE, **(numbers or {})}.items():
        beside = changes.get(other)
        if other == "parameters":
            name = key.removesuffix("_param")
            beside, other = beside.get(name) if isinstance(beside, Mapping) else None, f"parameters.{name}"
        if key in paginator and beside is not None:
            raise ConfigurationError(f"{where}.{other}", f"paginator.{key} sets the same.", "Keep one of them.")


def _keys(words: _Words) -> list[str]:
    return [*words.parameters, *([words.next_at[0]] if words.next_at else []), *(words.numbers or {})]


def place_of_number(at: str, value: Any) -> str:
    """Where a number is announced: a dotted path, or `header:` and the name of a header."""
    where = text(at, value)
    if not where.startswith(HEADER):
        return path(at, where)
    if not where.removeprefix(HEADER).strip():
        raise ConfigurationError(at, "the header has no name.", f"Write it as {HEADER}X-Total-Count.")
    return where
