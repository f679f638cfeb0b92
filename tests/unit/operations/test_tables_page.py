"""The generated parts of docs/tables.md are what the tables say of themselves.

After a change of a table, a column or a description, generate them again: `make tables`.
"""

import os

from automatum.endpoints import ENDPOINTS
from automatum.operations.discover import stored_tables
from automatum.schema.log_tables import PAGES_TABLE
from tests.support.tables_page import PAGE, filled


def test_the_page_is_current():
    text = PAGE.read_text(encoding="utf-8")
    made = filled(text)
    if os.environ.get("TABLES") == "write":
        PAGE.write_text(made, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == made, "run: make tables"


def test_every_column_and_description_is_in_it():
    text = PAGE.read_text(encoding="utf-8")
    for table, _ in stored_tables(ENDPOINTS, history=True):
        if table.name == PAGES_TABLE:
            continue
        assert table.kind == "history" or f"\n### {table.name}\n" in text
        for column in table.columns:
            assert f"- `{column.name}`" in text
            # That of `_row_key` names the key of its table, that of a child table's parent key its parent.
            assert column.description in text, (table.name, column.name)
