"""The generated parts of docs/tables.md are what the tables say of themselves.

After a change of a table, a column or a description, generate them again: `make tables`.
"""

import os
from dataclasses import replace

from automatum.endpoints import ENDPOINTS
from automatum.operations.discover import stored_tables
from tests.support.tables_page import PAGE, SAID_ONCE, SHOWN, filled, said


def test_the_page_is_current():
    text = PAGE.read_text(encoding="utf-8")
    made = filled(text)
    if os.environ.get("TABLES") == "write":
        PAGE.write_text(made, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == made, "run: make tables"


def test_every_column_and_description_is_in_it():
    text = PAGE.read_text(encoding="utf-8")
    for table, _ in stored_tables(ENDPOINTS, history=True):
        if table.kind != "history" and table not in [shown for shown, _ in SHOWN]:
            continue
        assert table.kind == "history" or f"\n### {table.name}\n" in text
        for column in table.columns:
            assert f"- `{column.name}`" in text
            # That of `_row_key` names the key of its table, that of a child table's parent key its parent.
            assert said(replace(column, reference=None)) in text, (table.name, column.name)


def test_what_the_page_says_once_is_in_descriptions():
    every = " ".join(column.description for table, _ in SHOWN for column in table.columns)
    assert [phrase for phrase in SAID_ONCE if phrase not in every] == []
