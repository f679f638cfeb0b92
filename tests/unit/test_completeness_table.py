"""The verdicts in `docs/internals/completeness.md`: each line names a test that exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.findall(r"`(test_\w+\.py)::(test_\w+)`", (ROOT / "docs" / "internals" / "completeness.md").read_text())


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_each_verdict_is_tested(file, name):
    assert any(f"def {name}(" in path.read_text() for path in (ROOT / "tests").rglob(file))


def test_each_line_names_a_test():
    part = (ROOT / "docs" / "internals" / "completeness.md").read_text().split("## Verdicts")[1].split("\n## ")[0]
    rows = [line for line in part.splitlines() if line.startswith("- ")]
    assert len(rows) == len(NAMED) > 20
