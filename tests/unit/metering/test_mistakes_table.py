"""The mistakes in `docs/metering-operations.md`: each line names a test that exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "metering-operations.md").read_text(encoding="utf-8")
LINES = [line for line in TEXT.partition("\nMistakes, and")[2].splitlines() if line.startswith("- ")]
NAMED = sorted(set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", "".join(LINES))))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_each_mistake_is_tested(file, name):
    assert any(f"def {name}(" in path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob(file))


def test_each_line_names_a_test():
    assert len(LINES) > 10 and all("::test_" in line for line in LINES)
