"""The tables of the export have the columns of the ledger, in its order."""

from dataclasses import fields

import pytest

from automatum.metering.ledger.entries import AttemptEntry, Entry
from automatum.metering.ledger.tables import ATTEMPTS, EVENTS, LINES
from automatum.schema import metering_tables

LEDGER = {
    "metering_lines": ([one.name for one in fields(Entry)], LINES),
    "metering_attempts": ([one.name for one in fields(AttemptEntry)], ATTEMPTS),
    "metering_events": ([one.name for one in EVENTS.columns], EVENTS),
}


@pytest.mark.parametrize("table", metering_tables.METERING_TABLES, ids=lambda one: one.name)
def test_no_column_of_the_ledger_is_left_out(table):
    """A new one that the definition lacks would silently not be exported."""
    columns, ledger = LEDGER[table.name]
    assert [one.name for one in table.columns] == [*columns, "_dlt_load_id"]
    assert table.key == tuple(one.name for one in ledger.primary_key)
    assert {one.name for one in table.columns if not one.nullable} == set(table.key)
