"""How usage is posted: the part of the API that the settings `metering` set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class MeteringForm:
    """How the API takes usage: `POST /api/v1/metering`, as documented in `guide/api-integration`.

    Attributes:
        path: Below `/api/v1/`, without a leading slash.
        fields: Our name of a field of the body to its dotted path there. A field that is not in it is not sent.
        usage_fields: The same for the fields of one usage, in the order in which they are sent.
        texts: Names of the numbers that are sent as text.
        day_format: Format of the date, as `strftime` writes it.
    """

    path: str
    fields: Mapping[str, str]
    usage_fields: Mapping[str, str]
    texts: frozenset[str]
    day_format: str
