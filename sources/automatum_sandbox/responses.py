"""Response bodies: the envelope and the error bodies of `api/reference` and `api/authentication`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import orjson

FieldError = tuple[str, str]
"""A field and what is wrong with it."""


@dataclass
class ApiResponse:
    """A response before it is written to the connection.

    Attributes:
        status: HTTP status.
        payload: Body, before it is written as JSON.
        headers: Further headers.
        text: Body as HTML text, instead of `payload`.
    """

    status: int
    payload: Any
    headers: dict[str, str] = field(default_factory=dict)
    text: str | None = None

    @property
    def body(self) -> bytes:
        """The body as bytes."""
        return write_json(self.payload) if self.text is None else self.text.encode()

    @property
    def content_type(self) -> str:
        """The value of the header `Content-Type`."""
        return "application/json; charset=utf-8" if self.text is None else "text/html; charset=utf-8"


def write_json(value: object) -> bytes:
    """Compact UTF-8 JSON. A decimal becomes a number, or text if a float cannot represent it."""
    return orjson.dumps(value, default=_json_default, option=orjson.OPT_NON_STR_KEYS)


def _json_default(value: object) -> object:
    if isinstance(value, Decimal):
        number = float(value)
        return number if Decimal(repr(number)) == value else str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def success(data: Any, *, code: int = 200, pagination: dict[str, int] | None = None) -> ApiResponse:
    """A success in the documented envelope."""
    payload: dict[str, Any] = {"code": code, "data": data}
    if pagination is not None:
        payload["pagination"] = pagination
    return ApiResponse(code, payload)


def failure(code: int, message: str = "", errors: Iterable[FieldError] = ()) -> ApiResponse:
    """An error in the documented form. `errors` appears only if there are field errors (400)."""
    payload: dict[str, Any] = {"code": code, "message": message or HTTPStatus(code).phrase}
    listed = [{"field": name, "message": text} for name, text in errors]
    if listed:
        payload["errors"] = listed
    return ApiResponse(code, payload)
