"""Names of tables and columns as dlt writes them in a destination."""

from __future__ import annotations

from dlt.common.normalizers.naming.snake_case import NamingConvention

_CONVENTION = NamingConvention()


def normalize_identifier(name: str) -> str:
    """A name in dlt's snake case, such as `my_data` for `My Data`."""
    return _CONVENTION.normalize_identifier(name)
