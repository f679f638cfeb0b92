"""A Singer tap, made with Meltano's SDK; writes its messages to stdout."""

from __future__ import annotations

import sys
from typing import Any

from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import BearerTokenAuthenticator
from singer_sdk.pagination import BasePageNumberPaginator

from suite.rows import DIMENSION_FIELDS, FIELDS, PAGE, Fields

_TYPES: dict[str, Any] = {
    "text": th.StringType,
    "timestamp": th.DateTimeType,
    "date": th.DateType,
    "decimal": th.NumberType,
    "bool": th.BooleanType,
}


def properties(fields: Fields, texts: tuple[str, ...] = ()) -> list[th.Property[Any]]:
    """The fields as JSON schema; `texts` are decimals that the API writes as text."""
    return [
        th.Property(name, th.StringType if name in texts else _TYPES[type_], required=name == "id")
        for name, type_ in fields.items()
    ]


class Pages(BasePageNumberPaginator):
    """Counts up to the announced number of pages."""

    def has_more(self, response: Any) -> bool:
        """Whether there is a page after this one."""
        pagination = response.json()["pagination"]
        return bool(pagination["page"] < pagination["pages"])


class Records(RESTStream[int]):
    """A list."""

    records_jsonpath = "$.data[*]"
    primary_keys = ("id",)

    @property
    def url_base(self) -> str:
        """Where the API is."""
        return f"{self.config['url']}/api/v1/"

    @property
    def authenticator(self) -> BearerTokenAuthenticator:
        """Any token."""
        return BearerTokenAuthenticator(token="t")

    def get_new_paginator(self) -> Pages:
        """Page numbers from 1."""
        return Pages(1)

    def get_url_params(self, context: Any, next_page_token: Any) -> dict[str, Any]:
        """Query of a page."""
        return {"page": next_page_token or 1, "limit": PAGE}


class ListTap(Tap):
    """A tap of one list."""

    name = "tap-bench"
    config_jsonschema = th.PropertiesList(
        th.Property("url", th.StringType), th.Property("table", th.StringType)
    ).to_dict()

    def discover_streams(self) -> list[Records]:
        """The list that is asked for."""
        table = self.config["table"]
        found = properties(FIELDS[table])
        if table == "entitlements":
            entry = th.ObjectType(*properties(DIMENSION_FIELDS, texts=("price",)))
            found.append(th.Property("dimensions", th.ArrayType(entry)))
        return [Records(self, name=table, schema=th.PropertiesList(*found).to_dict(), path=table)]


def main() -> None:
    """Write all records as messages."""
    url, table, _ = sys.argv[1:]
    ListTap(config={"url": url, "table": table}).sync_all()


if __name__ == "__main__":
    main()
