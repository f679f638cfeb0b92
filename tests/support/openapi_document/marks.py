"""What marks each part of the OpenAPI document: documented by the vendor, assumed, or set in the configuration."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

AUTHENTICATION = "api/authentication"
REFERENCE = "api/reference"
INTEGRATION = "guide/api-integration"

DOCUMENTED = "x-automatum-documented"
"""True where a page of the vendor shows it; false where it is assumed, or comes from the configuration."""
SOURCE = "x-automatum-source"
"""The vendor's page, or why it is assumed."""
CONFIGURED = "x-automatum-configured"
"""True where the configuration overrides what the connector assumes."""
USED = "x-automatum-used"
"""False where the vendor documents it, and the connector does not use it."""
COLUMNS = "x-automatum-columns"
"""Columns that a field fills."""
TABLE = "x-automatum-table"
"""Table that an operation or a schema fills."""


def documented(page: str) -> Json:
    """The marks of what a page of the vendor shows."""
    return {DOCUMENTED: True, SOURCE: page}


def assumed(reason: str = "") -> Json:
    """The marks of what no page shows."""
    return {DOCUMENTED: False, **({SOURCE: reason} if reason else {})}


def configured() -> Json:
    """The marks of what the configuration overrides."""
    return {DOCUMENTED: False, CONFIGURED: True}


def origin(is_documented: bool, page: str, is_configured: bool = False) -> Json:
    """The marks of what is documented on a page, assumed, or configured."""
    if is_configured:
        return configured()
    return documented(page) if is_documented else assumed()


def ref(kind: str, name: str) -> Json:
    """A reference to a component of the document."""
    return {"$ref": f"#/components/{kind}/{name}"}
