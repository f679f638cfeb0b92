"""Keys of the URLs that single records have."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from ...core.errors import ConfigurationError
from ...endpoints import NO_DETAIL, Endpoint
from .columns import column_name
from .values import OverrideKey, next_step, text

DETAIL_PATH = "detail_path"
_FIELD = re.compile(r"\{([^{}]+)\}")


def _detail_path(at: str, endpoint: Endpoint, value: Any) -> Endpoint:
    if value is False:
        return replace(endpoint, detail_path=NO_DETAIL)
    path = text(at, value).strip("/")
    fields = _FIELD.findall(path)
    if path == NO_DETAIL:
        return replace(endpoint, detail_path=path)
    if len(fields) != 1:
        raise ConfigurationError(
            at,
            f"{path!r} does not name one field in braces.",
            f'Write it like "customers/{{id}}", or "{NO_DETAIL}" if records have no URLs of their own.',
        )
    known = [column.name for column in endpoint.columns]
    name = column_name(at, fields[0])
    if name not in known:
        raise ConfigurationError(
            at, f"there is no column of the field {fields[0]!r}.", next_step(name, "Columns", known)
        )
    return replace(endpoint, detail_path=_FIELD.sub(f"{{{name}}}", path))


DETAIL_KEYS = (OverrideKey(DETAIL_PATH, _detail_path, ("list",)),)
