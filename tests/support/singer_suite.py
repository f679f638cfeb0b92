"""A Singer tap over the source, and Meltano's standard tests of taps for it; run by `test_singer.py` where both are.

The tap translates and does nothing else: each resource of the source is a stream, its columns are a JSON schema, and
the rows of its Arrow tables are records.
"""

import os
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from singer_sdk import Stream, Tap
from singer_sdk import typing as th
from singer_sdk.testing import SuiteConfig, get_tap_test_class

from automatum import automatum_source

TYPES = {
    "text": th.StringType,
    "json": th.StringType,
    "timestamp": th.DateTimeType,
    "date": th.DateType,
    "decimal": th.NumberType,
    "bigint": th.IntegerType,
    "double": th.NumberType,
    "bool": th.BooleanType,
}
SETTINGS = ("base_url", "client_id", "client_secret")


class Table(Stream):
    """The rows of one resource.

    Args:
        tap: The tap.
        resource: The resource.
        table: Its table, as dlt describes it.
    """

    def __init__(self, tap: Tap, resource: Any, table: dict[str, Any]) -> None:
        # The load fills dlt's own columns.
        columns = [one for one in table["columns"].values() if not one["name"].startswith("_dlt_")]
        keys = [one["name"] for one in columns if one.get("primary_key")]
        properties = [
            th.Property(one["name"], TYPES[one["data_type"]], required=one["name"] in keys) for one in columns
        ]
        super().__init__(tap, name=table["name"], schema=th.PropertiesList(*properties).to_dict())
        self.primary_keys = keys
        self._resource = resource

    def get_records(self, context: Any) -> Iterable[dict[str, Any]]:
        """The rows, with values as JSON writes them."""
        for batch in self._resource:
            if batch.column_names and self.primary_keys[0] in batch.column_names:
                for row in batch.to_pylist():
                    yield {name: _plain(row[name]) for name in self.schema["properties"] if name in row}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if hasattr(value, "isoformat") else value


class TapAutomatum(Tap):
    """The source as a Singer tap."""

    name = "tap-automatum"
    config_jsonschema = th.PropertiesList(
        *(th.Property(name, th.StringType, required=True, secret=name == "client_secret") for name in SETTINGS)
    ).to_dict()

    def discover_streams(self) -> list[Stream]:
        """A stream for each resource."""
        source = automatum_source(**{name: self.config[name] for name in SETTINGS})
        return [Table(self, one, source.schema.tables[name]) for name, one in source.resources.items()]


TestTap = get_tap_test_class(
    TapAutomatum,
    config={name: os.environ[name.upper()] for name in SETTINGS},
    suite_config=SuiteConfig(max_records_limit=500),
)
