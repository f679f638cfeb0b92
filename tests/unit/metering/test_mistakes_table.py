"""The table of mistakes in `docs/metering-operations.md`: each row names a test that exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "metering-operations.md").read_text(encoding="utf-8")
TABLES = ["| Mistake | " + part.split("\n\n")[0] for part in TEXT.split("| Mistake | ")[1:]]
NAMED = sorted(set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", "".join(TABLES))))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_each_row_of_the_table_is_tested(file, name):
    assert any(f"def {name}(" in path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob(file))


def test_each_row_names_a_test():
    rows = [line for table in TABLES for line in table.splitlines()[2:]]
    assert len(TABLES) == 1
    assert len(rows) > 10 and all("::test_" in row for row in rows)
