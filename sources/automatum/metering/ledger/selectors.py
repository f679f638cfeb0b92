"""What a person names on the command line: ids, filters such as `customer_id=cust_1,dimension=api`, or `all`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ...core.errors import ConfigurationError

ALL = "all"


def parse_filter(selector: str, names: Collection[str], key: str) -> list[tuple[str, str]] | None:
    """Fields and values of a filter; None for a selector that is not a filter.

    Args:
        selector: Such as `customer_id=cust_1,dimension=api`.
        names: Fields that a filter may name.
        key: Option that an error names.

    Raises:
        ConfigurationError: The filter names another field.
    """
    if "=" not in selector:
        return None
    pairs = []
    for part in selector.split(","):
        name, _, value = part.strip().partition("=")
        if name not in names:
            raise ConfigurationError(key, f"{part.strip()!r} is not a filter.", f"Filters are {', '.join(names)}.")
        pairs.append((name, value))
    return pairs


def find_ids(
    selectors: Collection[str],
    rows: Mapping[str, Mapping[str, Any]],
    names: Collection[str],
    key: str,
    problem: str,
    next_step: str,
) -> list[str]:
    """Ids of the rows that a person names, each once.

    Args:
        selectors: Ids, filters, or `all`.
        rows: Fields of each row, by its id.
        names: Fields that a filter may name.
        key: Option that an error names.
        problem: What is wrong with a selector that names no row.
        next_step: What to do then.

    Raises:
        ConfigurationError: A selector names no row, or a filter names another field.
    """
    found: dict[str, None] = {}
    for selector in selectors:
        pairs = parse_filter(selector, names, key)
        if pairs is None:
            ids = [row_id for row_id in rows if selector in (ALL, row_id)]
        else:
            ids = [row_id for row_id, row in rows.items() if all(row[name] == value for name, value in pairs)]
        if not ids:
            raise ConfigurationError(key, f"{selector!r} {problem}", next_step)
        found |= dict.fromkeys(ids)
    return list(found)
