"""The tables of the export have what the ledger has, under the same names."""

import pytest

from automatum.metering.ledger.entries import entry_figures
from automatum.metering.ledger.tables import ATTEMPTS, JOURNAL, LINES
from automatum.schema import metering_tables
from tests.support.entries import make_entry

LEDGER = {"metering_lines": LINES, "metering_attempts": ATTEMPTS, "metering_journal": JOURNAL}
INTERNAL = {"date_key", "before", "before_error", "line_ids"}
"""Columns that only the ledger needs."""


@pytest.mark.parametrize("table", metering_tables.METERING_TABLES, ids=lambda one: one.name)
def test_no_column_of_the_ledger_is_left_out(table):
    """A new one that the definition lacks would silently not be exported, and be missing after a restore."""
    ledger = LEDGER[table.name]
    assert {one.name for one in ledger.columns} - INTERNAL <= {one.name for one in table.columns}
    assert table.key == tuple(one.name for one in ledger.primary_key)
    assert {one.name for one in table.columns if not one.nullable} == set(table.key)
    assert table.columns[-1].name == "_dlt_load_id"


def test_a_row_of_a_line_has_each_column():
    columns = {one.name for one in metering_tables.LINES.columns} - {"_dlt_load_id"}
    assert set(entry_figures(make_entry())) == columns
